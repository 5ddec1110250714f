//! Retention by time: whole chunks are deleted from the front, once all of their records are old.

use std::ops::ControlFlow;
use std::time::Duration;

use super::chunk::{self, Chunk};
use super::shared::Shared;
use super::storage::{Batch, Space};
use super::upkeep::Upkeep;
use crate::log::LogError;
use crate::position::Offset;

/// How many chunks one batch deletes.
const STEP_CHUNKS: usize = 1000;

/// Deletes the records that are older than `time`, up to the first that is not.
pub(super) fn delete_older(shared: &Shared, upkeep: &Upkeep, time: Duration) -> Result<(), LogError> {
    let oldest = shared.lock()?.now().minus(time);
    let prefix = upkeep.plan.prefix;
    let mut low = upkeep.plan.from;
    loop {
        let mut old = Vec::new();
        let mut next = upkeep.plan.until;
        let (from, until) = (prefix.key(low), prefix.key(upkeep.plan.until));
        shared.storage().scan(Space::Records, &from, &until, &mut |key, value| {
            let chunk = Chunk::decode(chunk::base_of(key)?, value)?;
            if chunk.newest >= oldest || old.len() == STEP_CHUNKS {
                next = chunk.base;
                return Ok(ControlFlow::Break(()));
            }
            old.push(chunk.base);
            Ok(ControlFlow::Continue(()))
        })?;
        if old.is_empty() {
            return Ok(());
        }
        advance(shared, upkeep, next, &old)?;
        low = next;
    }
}

/// Moves the partition's low mark and deletes what lies before it, in one batch under the lock: a
/// reader that was about to read there finds out by the mark.
fn advance(shared: &Shared, upkeep: &Upkeep, low: Offset, old: &[Offset]) -> Result<(), LogError> {
    let mut broker = shared.lock()?;
    let mut batch = Batch::default();
    for base in old {
        batch.remove(Space::Records, upkeep.plan.prefix.key(*base));
    }
    let log = broker.partition_mut(&upkeep.name)?;
    log.low = low;
    log.forget_aborted(low, &mut batch);
    log.save(&mut batch)?;
    broker.write(batch)
}
