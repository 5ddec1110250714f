//! Looks now and then at what a process stands on, and how far its commands are behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::Dependency;
use crate::engine::Engine;
use crate::lane::PartitionState;
use crate::log::{Isolation, TopicPartition};
use crate::projection::ViewError;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);
/// After which time without an answer something is away.
const PATIENCE: Duration = Duration::from_secs(3);

/// Keeps an eye on what the process stands on, until the task is aborted.
pub fn watch(engine: Arc<Engine>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut turn = tokio::time::interval(EVERY);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut registry_answered = false;
        loop {
            turn.tick().await;
            let away = registry_away(&engine).await;
            registry_answered |= away.is_none();
            let mut dependencies = Vec::new();
            // Once it answered, ids are known: only what is new has to wait for it.
            dependencies.push(Dependency { name: "registry", away, needed: !registry_answered });
            if !engine.app.projections.is_empty() {
                dependencies.push(Dependency { name: "database", away: database_away(&engine).await, needed: true });
            }
            engine.health.see_dependencies(dependencies);
            measure_lag(&engine).await;
        }
    })
}

async fn registry_away(engine: &Arc<Engine>) -> Option<String> {
    let subject = engine.subjects().into_iter().next()?.name;
    let registry = engine.registry.clone();
    let asked = tokio::task::spawn_blocking(move || registry.latest(&subject).map(drop));
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answered)) => answered.err().map(|error| error.to_string()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the schema registry does not answer".to_owned()),
    }
}

async fn database_away(engine: &Engine) -> Option<String> {
    let asked = async {
        let views = engine.views().await?;
        for projection in &engine.app.projections {
            match views.store().progress(&projection.shape()?).await {
                // Nobody has made it yet; but the database answered.
                Ok(_) | Err(ViewError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok::<_, ViewError>(())
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answered) => answered.err().map(|error| error.to_string()),
        Err(_) => Some("the database does not answer".to_owned()),
    }
}

/// How many offsets the partitions owned here are behind, for each aggregate.
async fn measure_lag(engine: &Arc<Engine>) {
    let of = engine.clone();
    let asked = tokio::task::spawn_blocking(move || {
        for (name, partitions) in of.health.lanes() {
            let Ok(aggregate) = of.aggregate(&name) else { continue };
            let running = partitions.into_iter().filter_map(|(partition, state)| match state {
                PartitionState::Running { next_offset } => {
                    Some((aggregate.topics().commands.partition(partition), next_offset))
                }
                _ => None,
            });
            let (places, reached): (Vec<TopicPartition>, Vec<_>) = running.unzip();
            // While the log is away, the last lag known is as good as any.
            let Ok(bounds) = of.log.bounds(&places, Isolation::Committed) else { continue };
            let lag: i64 = bounds.iter().zip(&reached).map(|(bounds, next)| (bounds.end.0 - next.0).max(0)).sum();
            #[expect(clippy::cast_precision_loss, reason = "a metric; nothing is computed from it")]
            metrics::gauge!("headwater_command_lag_records", "aggregate" => name).set(lag as f64);
        }
    });
    let _ = asked.await;
}
