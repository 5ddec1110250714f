//! The thread that follows every partition that somebody listens to.

use std::sync::Arc;
use std::time::Duration;

use super::{FeedEvent, Shared, told};
use crate::engine::{AggregateGate, Engine};
use crate::log::{LogError, Record, TopicPartition};
use crate::position::Offset;

/// How long it waits for events before it looks whether somebody else listens.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// How long it sleeps where nobody listens.
const NOBODY_WAIT: Duration = Duration::from_secs(1);
const RETRY_WAIT: Duration = Duration::from_millis(250);
const AT_ONCE: usize = 1000;

/// Runs until the feeds are gone, or the log can no longer be read; then every subscription ends.
pub(super) fn run(engine: &Engine, shared: &Shared) {
    let ended = follow(engine, shared);
    let mut state = shared.state();
    if let Err(error) = ended {
        tracing::error!(%error, "events can no longer be read; event streams end");
    }
    state.feeds.clear();
    state.is_running = false;
}

fn follow(engine: &Engine, shared: &Shared) -> Result<(), LogError> {
    let mut reader = engine.log.reader()?;
    let mut followed = None;
    let mut away = false;
    while let Some(changes) = wait(shared) {
        if followed != Some(changes) {
            match reader.follow(&places(shared)) {
                Ok(()) => followed = Some(changes),
                Err(error) => retry(&mut away, error)?,
            }
            continue;
        }
        match reader.poll(IDLE_WAIT, AT_ONCE) {
            Ok(records) => {
                away = false;
                tell(shared, records);
            }
            Err(error) => {
                retry(&mut away, error)?;
                followed = None;
            }
        }
    }
    Ok(())
}

/// Waits until somebody listens; what is to be followed then, or nothing once all is over.
fn wait(shared: &Shared) -> Option<u64> {
    let mut state = shared.state();
    loop {
        if state.closing {
            return None;
        }
        if !state.feeds.is_empty() {
            return Some(state.changes);
        }
        let waited = shared.woken.wait_timeout(state, NOBODY_WAIT);
        state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
}

/// Those that somebody still listens to, each from where it was left.
fn places(shared: &Shared) -> Vec<(TopicPartition, Offset)> {
    let mut state = shared.state();
    state.feeds.retain(|_, feed| feed.told.receiver_count() > 0);
    state.feeds.iter().map(|(place, feed)| (place.clone(), feed.next)).collect()
}

/// Events are read outside of the lock, which subscribers need too.
fn tell(shared: &Shared, records: Vec<Record>) {
    for record in records {
        let place = record.topic.partition(record.partition);
        let aggregate: Option<Arc<dyn AggregateGate>> = {
            let state = shared.state();
            state.feeds.get(&place).filter(|feed| feed.told.receiver_count() > 0).map(|feed| feed.aggregate.clone())
        };
        let event: Option<FeedEvent> = aggregate.map(|aggregate| told(aggregate.as_ref(), &record));
        let mut state = shared.state();
        let Some(feed) = state.feeds.get_mut(&place) else { continue };
        feed.next = record.offset.next();
        if let Some(event) = event {
            // Whoever listened may have gone meanwhile.
            let _ = feed.told.send(Arc::new(event));
        }
    }
}

fn retry(away: &mut bool, error: LogError) -> Result<(), LogError> {
    if !error.is_temporary() {
        return Err(error);
    }
    if !std::mem::replace(away, true) {
        tracing::warn!(%error, "events cannot be read now; trying again");
    }
    std::thread::sleep(RETRY_WAIT);
    Ok(())
}
