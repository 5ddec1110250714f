//! Maintenance: what deletes from the log. Runs when a log on disk is opened and every minute after,
//! on a thread of its own, and whenever it is asked to; never twice at the same time.
//!
//! It touches nothing at or past the last stable offset, so an open transaction is never cut.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::shared::Shared;
use super::upkeep::{Effort, Upkeep};
use crate::log::{LogError, Retention, TopicPartition, TopicSpec};
use crate::position::Partition;

const INTERVAL: Duration = Duration::from_mins(1);

/// Deletes what retention and compaction let go.
pub(super) fn maintain(shared: &Shared, effort: Effort) -> Result<(), LogError> {
    let _alone = shared.maintaining()?;
    for spec in deleting_topics(shared)? {
        for partition in 0..spec.partitions {
            let Some(upkeep) = upkeep(shared, &spec.topic.partition(Partition(partition)))? else { continue };
            match spec.retention {
                Retention::Forever => {}
                Retention::For(time) => super::retention::delete_older(shared, &upkeep, time)?,
                Retention::Compacted => super::compaction::compact(shared, &upkeep, effort)?,
            }
        }
    }
    Ok(())
}

fn deleting_topics(shared: &Shared) -> Result<Vec<TopicSpec>, LogError> {
    let broker = shared.lock()?;
    Ok(broker.topics.values().map(|it| it.spec.clone()).filter(|it| it.retention != Retention::Forever).collect())
}

fn upkeep(shared: &Shared, name: &TopicPartition) -> Result<Option<Upkeep>, LogError> {
    let broker = shared.lock()?;
    let log = broker.partition(name)?;
    let plan = log.plan(log.low, log.end);
    let nothing = plan.from >= plan.until;
    Ok((!nothing).then(|| Upkeep { name: name.clone(), plan, cleaned: log.cleaned, kept: log.kept }))
}

/// Maintains the log until it is closed.
pub(super) fn start(shared: &Arc<Shared>, closed: Receiver<()>) -> Result<(), LogError> {
    let shared = Arc::downgrade(shared);
    std::thread::Builder::new()
        .name("embedded-log-maintenance".to_owned())
        .spawn(move || run(&shared, &closed))
        .map(drop)
        .map_err(|error| LogError::Fatal(format!("the embedded log cannot start a thread: {error}")))
}

fn run(shared: &Weak<Shared>, closed: &Receiver<()>) {
    while let Some(shared) = shared.upgrade() {
        if let Err(error) = maintain(&shared, Effort::Due) {
            tracing::warn!(%error, "the embedded log could not be maintained; it grows until it can");
        }
        // While waiting nothing may keep the log open.
        drop(shared);
        if closed.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
