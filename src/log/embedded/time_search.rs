//! Finding an offset by time: a binary search over chunks. Each chunk says how new the partition was
//! before it, which never falls, though a clock that was set back makes timestamps fall.

use super::chunk::{self, Chunk};
use super::fetch;
use super::partition::Plan;
use super::storage::{Space, Storage};
use crate::clock::Timestamp;
use crate::log::{LogError, TopicPartition};
use crate::position::Offset;

const STEP_RECORDS: usize = 1000;

/// The first record of the plan with a timestamp at or after `time`.
pub(super) fn first_at_or_after(
    storage: &Storage,
    partition: &TopicPartition,
    mut plan: Plan,
    time: Timestamp,
) -> Result<Option<Offset>, LogError> {
    plan.from = last_chunk_that_begins_before(storage, &plan, time)?;
    while plan.from < plan.until {
        let fetched = fetch::fetch(storage, partition, &plan, STEP_RECORDS)?;
        if let Some(record) = fetched.records.iter().find(|it| it.timestamp >= time) {
            return Ok(Some(record.offset));
        }
        plan.from = fetched.next;
    }
    Ok(None)
}

/// Where to begin to look: all records before it are older than `time`.
fn last_chunk_that_begins_before(storage: &Storage, plan: &Plan, time: Timestamp) -> Result<Offset, LogError> {
    let (mut low, mut high) = (plan.from, plan.until);
    let mut start = plan.from;
    while low < high {
        let middle = Offset(low.0 + (high.0 - low.0) / 2);
        let found = storage.floor(Space::Records, &plan.prefix.key(low), &plan.prefix.key(middle))?;
        let Some((key, value)) = found else {
            low = middle.next();
            continue;
        };
        let chunk = Chunk::decode(chunk::base_of(&key)?, value)?;
        if chunk.newest_before < time {
            start = chunk.base;
            low = chunk.next.max(middle.next());
        } else {
            high = chunk.base;
        }
    }
    Ok(start)
}
