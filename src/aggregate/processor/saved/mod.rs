//! What of a partition lies in the local store.
//!
//! Committed states alone get there: what changed since the last time, in one write with the positions that
//! it covers. A restart begins from these positions and reads only what is new, and an aggregate that is not
//! in memory is read when a command for it comes. The store is taken only if it bears the stamp of this log,
//! aggregate and shape of the state, and stands where the log says the same; else it is cleared, and the
//! partition restored from the log.
//!
//! | key | value |
//! |---|---|
//! | `p` | the stamp and the [`Positions`]; missing while a first restore is under way |
//! | `a`, an aggregate's id | its state, as a record of the snapshots topic |
//! | `c`, a number | the ids of the aggregates that one write changed, until a checkpoint covers them |
//! | `o`, a number | the outcomes records that one write added, until all in them is forgotten |

mod frames;
mod loading;
mod writing;

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use super::partition::{Instance, Owned};
use crate::aggregate::Aggregate;
use crate::aggregate::codecs::Codecs;
use crate::clock::Timestamp;
use crate::log::{Log, LogError, TopicPartition};
use crate::position::{Offset, Partition, Sequence};
use crate::schema::{Data, SchemaError};
use crate::store::local::{LocalStore, LocalStoreError, PartitionStore};
pub(super) use loading::Unfit;

const POSITIONS: &[u8] = b"p";
const AGGREGATES: u8 = b'a';
const CHANGES: u8 = b'c';
const OUTCOMES: u8 = b'o';

/// What a store was made from. Another stamp is never guessed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    /// Of what is written here, and how.
    format: u32,
    cluster: String,
    commands: String,
    aggregate: String,
    /// The aggregate's `STATE`.
    state: i32,
    /// The schema of the state: its id in the registry, and the hash of its text.
    schema: (i32, u64),
}

impl Stamp {
    const FORMAT: u32 = 1;

    fn of<A: Aggregate>(log: &dyn Log, codecs: &Codecs<A>, commands: &TopicPartition) -> Result<Self, StampError> {
        let schema = xxhash_rust::xxh3::xxh3_64(codecs.snapshots.schema().as_bytes());
        Ok(Self {
            format: Self::FORMAT,
            cluster: log.cluster()?,
            commands: commands.to_string(),
            aggregate: A::NAME.to_owned(),
            state: A::STATE,
            schema: (codecs.snapshots.id()?.0, schema),
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum StampError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// Up to where the store knows the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Positions {
    sequence: Sequence,
    time: Timestamp,
    commands: Offset,
    events: Offset,
    outcomes: Offset,
    /// The first record of those that wait, which are not kept here.
    parked: Offset,
    forgotten: Timestamp,
    events_since_checkpoint: u64,
    last_outcomes: Option<OutcomesRecord>,
    /// The number of the next write.
    next: u64,
}

/// An outcomes record, to be known again: a log of another history has another one there, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutcomesRecord {
    pub offset: Offset,
    hash: u64,
}

impl OutcomesRecord {
    pub fn new(offset: Offset, value: &[u8]) -> Self {
        Self { offset, hash: xxhash_rust::xxh3::xxh3_64(value) }
    }
}

/// The outcomes that one write added.
#[derive(Clone, Copy, Debug)]
struct Kept {
    number: u64,
    /// The last of their records, or one before it.
    last: Offset,
}

/// A partition's part of the local store, and what is not in it yet.
#[derive(Debug)]
pub(super) struct Saved {
    store: PartitionStore,
    stamp: Stamp,
    /// Whether the store has positions: it can be begun from.
    has_positions: bool,
    /// Whether every aggregate is in memory, so that one that is not there does not exist.
    holds_all: bool,
    /// Aggregates that changed since the last write.
    changed: HashSet<Arc<str>>,
    /// Outcomes records since the last write, each with its offset or one before it.
    outcomes: Vec<(Offset, Bytes)>,
    outcomes_bytes: usize,
    last_outcomes: Option<OutcomesRecord>,
    kept: VecDeque<Kept>,
    next: u64,
    /// The changes of writes before this number are covered by a checkpoint; those before `uncovered` are
    /// removed.
    covered: u64,
    uncovered: u64,
    written_at: Timestamp,
    /// Up to where the commands are covered.
    written: Offset,
    has_failed: Cell<bool>,
}

impl Saved {
    /// A partition's part, whatever is in it.
    pub fn open<A: Aggregate>(
        local: &Arc<LocalStore>,
        log: &dyn Log,
        codecs: &Codecs<A>,
        partition: Partition,
    ) -> Result<Result<Self, LocalStoreError>, StampError> {
        let commands = codecs.topics.commands.partition(partition);
        let stamp = Stamp::of(log, codecs, &commands)?;
        Ok(local.partition(&stamp.commands).map(|store| Self {
            store,
            stamp,
            has_positions: false,
            holds_all: true,
            changed: HashSet::new(),
            outcomes: Vec::new(),
            outcomes_bytes: 0,
            last_outcomes: None,
            kept: VecDeque::new(),
            next: 0,
            covered: 0,
            uncovered: 0,
            written_at: Timestamp::MIN,
            written: Offset::ZERO,
            has_failed: Cell::new(false),
        }))
    }

    /// Forgets what the store has and what was to be written.
    pub fn clear(&mut self) -> Result<(), LocalStoreError> {
        self.store.clear()?;
        self.has_positions = false;
        self.holds_all = true;
        self.changed.clear();
        self.outcomes.clear();
        self.outcomes_bytes = 0;
        self.last_outcomes = None;
        self.kept.clear();
        (self.next, self.covered, self.uncovered) = (0, 0, 0);
        Ok(())
    }

    /// An aggregate changed.
    pub fn note_change(&mut self, id: &Arc<str>) {
        if !self.changed.contains(id) {
            self.changed.insert(id.clone());
        }
    }

    /// An outcomes record was written at `offset`, or behind it.
    pub fn note_outcomes(&mut self, offset: Offset, value: Bytes) {
        self.outcomes_bytes += value.len();
        self.outcomes.push((offset, value));
    }

    /// The last outcomes record, where it stands exactly.
    pub fn note_last_outcomes(&mut self, offset: Offset) {
        if let Some((_, value)) = self.outcomes.last() {
            self.last_outcomes = Some(OutcomesRecord::new(offset, value));
        }
    }

    pub const fn last_outcomes(&self) -> Option<OutcomesRecord> {
        self.last_outcomes
    }

    /// What changes from now on is not covered by the checkpoint that begins.
    pub const fn next_write(&self) -> u64 {
        self.next
    }

    /// A checkpoint covers what was changed by the writes before this one.
    pub fn note_covered(&mut self, before: u64) {
        self.covered = self.covered.max(before);
    }

    /// Whether it failed, and not all that it holds is in memory: the partition is to be restored.
    pub fn is_lost(&self) -> bool {
        self.has_failed.get() && !self.holds_all
    }

    /// Whether every aggregate is in memory.
    pub const fn holds_all(&self) -> bool {
        self.holds_all
    }

    /// It cannot be written: no partition of this process works with it any more.
    pub fn give_up(&self, error: &LocalStoreError) {
        self.has_failed.set(true);
        self.store.whole().give_up(error, false);
    }

    /// Something in it cannot be read.
    fn unreadable(&self, error: LocalStoreError) -> LocalStoreError {
        self.has_failed.set(true);
        self.store.whole().give_up(&error, true);
        error
    }

    fn key_of(id: &str) -> Vec<u8> {
        [&[AGGREGATES], id.as_bytes()].concat()
    }

    fn numbered(kind: u8, number: u64) -> Vec<u8> {
        [&[kind][..], &number.to_be_bytes()].concat()
    }

    /// An aggregate that is not in memory, as a record of the snapshots topic.
    pub fn snapshot(&self, id: &str) -> Result<Option<Bytes>, LocalStoreError> {
        if self.holds_all {
            return Ok(None);
        }
        self.store.get(&Self::key_of(id)).map_err(|error| self.unreadable(error))
    }

    /// The same of one that must be there, since it changed.
    pub fn changed_snapshot(&self, id: &str) -> Result<Bytes, LocalStoreError> {
        let missing = || self.unreadable(self.store.damaged(format!("{id:?} changed, and is nowhere")));
        self.snapshot(id)?.ok_or_else(missing)
    }

    /// An aggregate that is not in memory.
    pub fn instance<A: Aggregate>(&self, id: &str, codecs: &Codecs<A>) -> Result<Option<Instance<A>>, LocalStoreError> {
        let Some(value) = self.snapshot(id)? else { return Ok(None) };
        let wrong = |reason: String| self.unreadable(self.store.damaged(format!("the state of {id:?}: {reason}")));
        let decoded = codecs.snapshots.decode(&value).map_err(|error| wrong(error.to_string()))?;
        match decoded.data {
            Data::User(state) => Ok(Some(Instance {
                state,
                version: decoded.head.version,
                sequence: decoded.head.sequence,
                size_bytes: value.len(),
                was_used: true,
            })),
            Data::Engine(_) => Err(wrong("it is none".to_owned())),
        }
    }
}

impl<A: Aggregate> Owned<A> {
    /// An aggregate that is not in memory; `None` if there is none of this id.
    pub fn saved_instance(&self, id: &str, codecs: &Codecs<A>) -> Result<Option<Instance<A>>, LocalStoreError> {
        self.saved.as_ref().map_or(Ok(None), |saved| saved.instance(id, codecs))
    }

    /// Forgets all aggregates.
    pub fn clear_instances(&mut self) -> Result<(), LocalStoreError> {
        self.instances.clear();
        let Some(saved) = &mut self.saved else { return Ok(()) };
        saved.clear().inspect_err(|error| saved.give_up(error))
    }
}
