//! One owned partition: its aggregates, what it remembers, and where it stands. Changed only by what
//! is committed.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::observe::ParkedGauge;
use super::saved::Saved;
use crate::aggregate::Aggregate;
use crate::clock::Timestamp;
use crate::command::{Deduplication, ParkedQueues, ParkedSize};
use crate::event::Checkpoint;
use crate::position::{Offset, Partition, Sequence, Version};

/// One aggregate instance as of its last event.
#[derive(Clone, Debug)]
pub(super) struct Instance<A> {
    pub state: A,
    pub version: Version,
    /// The sequence of its last event.
    pub sequence: Sequence,
    /// At most how large its snapshot may be by now: what it was when last measured, and the bytes of
    /// the events since. Saves encoding the state at each command only to learn that it is small.
    pub size_bytes: usize,
    /// Whether it was asked for since the memory last made room.
    pub was_used: bool,
}

impl<A: Default> Default for Instance<A> {
    fn default() -> Self {
        let (version, sequence) = (Version::NONE, Sequence::NONE);
        Self { state: A::default(), version, sequence, size_bytes: 0, was_used: true }
    }
}

/// A checkpoint that is being written.
#[derive(Debug)]
pub(super) struct Checkpointing {
    pub promise: Checkpoint,
    pub remaining: Vec<Arc<str>>,
    /// The write to the local store from which on changes are not covered.
    pub covered: u64,
}

/// The committed state of one owned partition.
#[derive(Debug)]
pub(super) struct Owned<A> {
    pub partition: Partition,
    /// Those in memory; more may lie in the local store.
    pub instances: HashMap<Arc<str>, Instance<A>>,
    pub memory: Deduplication,
    /// Its part of the local store, if there is one.
    pub saved: Option<Saved>,
    /// The commands of parked aggregates.
    pub parked: ParkedQueues,
    pub parked_size: ParkedSize,
    parked_gauge: ParkedGauge,
    /// Aggregates whose events cannot be folded, with the reason: they are parked by their next command.
    pub unfoldable: HashMap<Arc<str>, Arc<str>>,
    /// The sequence of the partition's last event.
    pub sequence: Sequence,
    /// The partition's time: the highest of its commands' times.
    pub time: Timestamp,
    /// The next command to judge.
    pub commands_offset: Offset,
    /// One past the last event.
    pub events_offset: Offset,
    /// One past the last outcomes record.
    pub outcomes_offset: Offset,
    /// One past the last record about a parked command.
    pub parked_offset: Offset,
    /// Aggregates changed since the last checkpoint began.
    pub changed: HashSet<Arc<str>>,
    /// The checkpoint that is being written.
    pub checkpointing: Option<Checkpointing>,
    pub events_since_checkpoint: u64,
    /// Whether anything was judged since the last checkpoint.
    pub is_dirty: bool,
    /// When the last checkpoint was written, or the partition restored.
    pub checkpoint_at: Timestamp,
}

impl<A: Aggregate> Owned<A> {
    pub fn new(partition: Partition, memory: Deduplication) -> Self {
        Self {
            partition,
            instances: HashMap::new(),
            memory,
            saved: None,
            parked: ParkedQueues::default(),
            parked_size: ParkedSize::default(),
            parked_gauge: ParkedGauge::of(A::NAME),
            unfoldable: HashMap::new(),
            sequence: Sequence::NONE,
            time: Timestamp::MIN,
            commands_offset: Offset::ZERO,
            events_offset: Offset::ZERO,
            outcomes_offset: Offset::ZERO,
            parked_offset: Offset::ZERO,
            changed: HashSet::new(),
            checkpointing: None,
            events_since_checkpoint: 0,
            is_dirty: false,
            checkpoint_at: Timestamp::MIN,
        }
    }

    /// So much is parked now.
    pub fn set_parked_size(&mut self, size: ParkedSize) {
        self.parked_size = size;
        self.parked_gauge.show(size);
    }

    /// Why an aggregate's events cannot be folded.
    pub fn unfoldable(&self, id: &str) -> Option<&str> {
        if self.unfoldable.is_empty() { None } else { self.unfoldable.get(id).map(AsRef::as_ref) }
    }

    pub fn instance(&self, id: &str) -> Option<&Instance<A>> {
        self.instances.get(id)
    }
}
