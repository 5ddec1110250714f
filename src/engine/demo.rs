//! What an application's `demo` does.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use super::scan::scan;
use super::{Calls, CommandInput, Engine, EventsError, SagasError};
use crate::clock;
use crate::position::{Offset, Partition};
use crate::schema::json::Secrets;

/// How often sagas are looked at until they have ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What shows an application at work.
pub trait Demo: Send + Sync + 'static {
    /// Commands in the order in which they are sent; the same for the same seed.
    fn commands(&self, seed: u64, count: u64) -> Box<dyn Iterator<Item = CommandInput> + Send>;

    /// A query whose answer is shown before and after the load: its name and its fields.
    fn figures(&self) -> Option<(&'static str, Value)> {
        None
    }

    /// What takes several steps, each decided by what came of the one before. Told after the load.
    fn story<'a>(&'a self, stage: &'a Stage) -> BoxFuture<'a, Result<(), StoryError>> {
        let _ = stage;
        Box::pin(async { Ok(()) })
    }

    /// What must have come of it all.
    fn endings(&self, events: &EventCounts) -> Vec<Ending> {
        let _ = events;
        Vec::new()
    }
}

/// How many events there are, by aggregate and event.
#[derive(Clone, Debug, Default)]
pub struct EventCounts(BTreeMap<(&'static str, &'static str), u64>);

impl EventCounts {
    /// How many of this name.
    #[must_use]
    pub fn of(&self, aggregate: &'static str, event: &'static str) -> u64 {
        self.0.get(&(aggregate, event)).copied().unwrap_or(0)
    }
}

impl FromIterator<((&'static str, &'static str), u64)> for EventCounts {
    fn from_iter<I: IntoIterator<Item = ((&'static str, &'static str), u64)>>(counts: I) -> Self {
        Self(counts.into_iter().collect())
    }
}

/// Something that comes to an end in one of several ways, and how often it came to which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// What, in the plural.
    pub of: &'static str,
    /// How many began.
    pub begun: u64,
    /// How many came to each end.
    pub ends: Vec<(&'static str, u64)>,
    /// Whether every one came to exactly one end, and every end was come to.
    pub ok: bool,
}

impl Ending {
    /// Of so many that began, so many came to each end.
    #[must_use]
    pub fn of(of: &'static str, begun: u64, ends: &[(&'static str, u64)]) -> Self {
        let sum = ends.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let ok = begun == sum && ends.iter().all(|(_, count)| *count > 0);
        Self { of, begun, ends: ends.to_vec(), ok }
    }
}

/// Why a story cannot be told to its end.
#[derive(Debug, thiserror::Error)]
#[error("the demo's story: {0}")]
pub struct StoryError(String);

impl StoryError {
    /// For this reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// Where a demo's story is told.
pub struct Stage {
    /// The engine, to be called.
    pub calls: Calls,
}

impl Stage {
    /// So much time passes at once, for the log and its workers. Commands of clients carry the true time, and
    /// are too old from then on.
    pub fn pass(&self, time: Duration) {
        self.calls.engine().clock.pass(time);
    }
}

impl Engine {
    /// Waits until every saga has ended; how many are open if that does not happen in time.
    pub(crate) async fn sagas_ended(self: &Arc<Self>, within: Duration) -> Result<usize, SagasError> {
        let deadline = clock::instant() + within;
        loop {
            let of = self.clone();
            let open = tokio::task::spawn_blocking(move || of.open_instances(None, Secrets::Hidden));
            let open = open.await.map_err(|error| crate::log::LogError::Fatal(error.to_string()))??.len();
            if open == 0 || clock::instant() >= deadline {
                return Ok(open);
            }
            clock::sleep(LOOK_EVERY).await;
        }
    }

    /// How many events there are of each name. Blocks.
    pub(crate) fn event_counts(&self) -> Result<EventCounts, EventsError> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for aggregate in &self.aggregates {
            for number in 0..self.topology.partitions {
                let partition = aggregate.topics().events.partition(Partition(number));
                scan::<EventsError>(&*self.log, partition, Offset::ZERO, |record| {
                    let row = aggregate.event(&record, Secrets::Hidden)?;
                    *counts.entry((row.aggregate, row.event)).or_default() += 1;
                    Ok(())
                })?;
            }
        }
        Ok(EventCounts(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_has_ended_in_one_way_and_every_way_was_gone() {
        assert!(Ending::of("trips", 3, &[("there", 2), ("back", 1)]).ok);
        assert!(!Ending::of("trips", 4, &[("there", 2), ("back", 1)]).ok, "one is still under way");
        assert!(!Ending::of("trips", 2, &[("there", 2), ("back", 1)]).ok, "one ended twice");
        assert!(!Ending::of("trips", 2, &[("there", 2), ("back", 0)]).ok, "a way was not shown");
    }
}
