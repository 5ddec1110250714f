//! Reading committed records from storage, without holding the log's lock: what lies below the last
//! stable offset never changes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use super::broker::Broker;
use super::chunk::{self, Chunk, Kind};
use super::partition::Plan;
use super::shared::Shared;
use super::storage::{Space, Storage};
use crate::log::{LogError, Record, TopicPartition};
use crate::position::Offset;

/// How many bytes one fetch reads before it comes back.
const FETCH_BYTES: usize = 4 * 1024 * 1024;

/// What a fetch gave.
pub(super) struct Fetched {
    pub(super) records: Vec<Record>,
    /// The next offset to read.
    pub(super) next: Offset,
    /// How many bytes of storage were read.
    bytes: usize,
}

/// The chunk that `from` lies in, else the next one.
fn first_key(storage: &Storage, plan: &Plan) -> Result<[u8; 16], LogError> {
    let at = plan.prefix.key(plan.from);
    let lowest = plan.prefix.key(Offset::ZERO);
    let Some((key, _)) = storage.floor(Space::Records, &lowest, &at)? else { return Ok(at) };
    Ok(plan.prefix.key(chunk::base_of(&key)?))
}

/// Reads the committed records of a plan: whole chunks, until there are `max` records.
pub(super) fn fetch(storage: &Storage, from: &TopicPartition, plan: &Plan, max: usize) -> Result<Fetched, LogError> {
    let mut fetched = Fetched { records: Vec::new(), next: plan.from, bytes: 0 };
    if plan.from >= plan.until {
        return Ok(fetched);
    }
    let mut stopped = false;
    let start = first_key(storage, plan)?;
    storage.scan(Space::Records, &start, &plan.prefix.key(plan.until), &mut |key, value| {
        fetched.bytes += value.len();
        let chunk = Chunk::decode(chunk::base_of(key)?, value)?;
        if is_visible(&chunk, plan) {
            for entry in chunk.entries() {
                let entry = entry?;
                if plan.from <= entry.offset && entry.offset < plan.until {
                    fetched.records.push(entry.into_record(from));
                }
            }
        }
        fetched.next = fetched.next.max(chunk.next).min(plan.until);
        stopped = fetched.records.len() >= max || fetched.bytes >= FETCH_BYTES;
        Ok(if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if !stopped {
        fetched.next = plan.until;
    }
    Ok(fetched)
}

/// [`fetch`], unless maintenance deleted from the plan meanwhile: a silent gap would skip history. The
/// lock must not be held.
pub(super) fn fetch_held(shared: &Shared, from: &TopicPartition, plan: &Plan, max: usize) -> Result<Fetched, LogError> {
    let fetched = fetch(shared.storage(), from, plan, max)?;
    shared.lock()?.partition(from)?.check(from, plan.from)?;
    Ok(fetched)
}

/// Whether a reader of committed records sees what the chunk holds.
pub(super) fn is_visible(chunk: &Chunk, plan: &Plan) -> bool {
    chunk.kind == Kind::Records && !plan.aborted.iter().any(|it| it.covers(chunk.producer, chunk.base))
}

/// Partitions being read on, each with what was fetched of it and not yet given out.
#[derive(Default)]
pub(super) struct Flows {
    flows: BTreeMap<TopicPartition, Flow>,
    /// Where the last one left off, so that no partition starves the others.
    last: Option<TopicPartition>,
}

struct Flow {
    next: Offset,
    fetched: VecDeque<Record>,
}

impl Flows {
    /// Reads on from `next`; what was fetched before is dropped.
    pub(super) fn start(&mut self, partition: TopicPartition, next: Offset) {
        self.flows.insert(partition, Flow { next, fetched: VecDeque::new() });
    }

    pub(super) fn stop(&mut self, partition: &TopicPartition) {
        self.flows.remove(partition);
    }

    pub(super) fn clear(&mut self) {
        self.flows.clear();
    }

    /// At most `max` records of what was fetched, beginning after the partition that was last.
    pub(super) fn take(&mut self, max: usize) -> Vec<Record> {
        let mut taken = Vec::new();
        for partition in self.turn() {
            let Some(flow) = self.flows.get_mut(&partition) else { continue };
            let count = flow.fetched.len().min(max - taken.len());
            if count > 0 {
                taken.extend(flow.fetched.drain(..count));
                self.last = Some(partition);
            }
            if taken.len() == max {
                break;
            }
        }
        taken
    }

    fn turn(&self) -> Vec<TopicPartition> {
        let (before, after): (Vec<_>, Vec<_>) =
            self.flows.keys().cloned().partition(|it| self.last.as_ref().is_some_and(|last| it <= last));
        after.into_iter().chain(before).collect()
    }

    /// What there is to fetch.
    pub(super) fn plans(&self, broker: &Broker) -> Result<Vec<(TopicPartition, Plan)>, LogError> {
        let mut plans = Vec::new();
        for partition in self.turn() {
            let Some(flow) = self.flows.get(&partition).filter(|it| it.fetched.is_empty()) else { continue };
            let log = broker.partition(&partition)?;
            let plan = log.checked_plan(&partition, flow.next, Offset(i64::MAX))?;
            if plan.from < plan.until {
                plans.push((partition, plan));
            }
        }
        Ok(plans)
    }

    /// Fetches by plan, until there are `max` records or enough bytes. The lock must not be held.
    pub(super) fn fetch(
        &mut self,
        shared: &Shared,
        plans: Vec<(TopicPartition, Plan)>,
        max: usize,
    ) -> Result<(), LogError> {
        let (mut count, mut bytes) = (0, 0);
        for (partition, plan) in plans {
            if count >= max || bytes >= FETCH_BYTES {
                break;
            }
            let fetched = fetch_held(shared, &partition, &plan, max - count)?;
            count += fetched.records.len();
            bytes += fetched.bytes;
            if let Some(flow) = self.flows.get_mut(&partition) {
                flow.next = fetched.next;
                flow.fetched = fetched.records.into();
            }
        }
        Ok(())
    }
}
