//! What one batch does in one partition, and how a decision sees what was decided before it.
//!
//! If a batch does not commit, its shares are dropped and nothing needs to be undone.

use bytes::Bytes;

use crate::log::{Outgoing, TopicPartition};
use crate::position::{Offset, Partition};

/// Counts the assignments of a lane, so that what was decided under an earlier one is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Epoch(pub u64);

/// What one batch does in one partition.
#[derive(Debug)]
pub(crate) struct Share<C> {
    /// The partition.
    pub partition: Partition,
    pub(super) epoch: Epoch,
    /// How many records of the input it takes in.
    pub inputs: usize,
    /// The next record of the input after it.
    pub next_offset: Offset,
    /// What it does besides writing records.
    pub changes: C,
    pub(super) records: Vec<Outgoing>,
    /// Bytes of the records added so far.
    pub(super) bytes: usize,
}

impl<C> Share<C> {
    /// Adds a record to be written.
    pub fn write(&mut self, to: TopicPartition, key: Option<Bytes>, value: Bytes, traceparent: Option<Bytes>) {
        self.bytes += value.len() + key.as_ref().map_or(0, Bytes::len);
        let TopicPartition { topic, partition } = to;
        self.records.push(Outgoing { topic, partition, key, value: Some(value), traceparent });
    }

    /// Adds a tombstone to be written.
    pub fn delete(&mut self, to: TopicPartition, key: Bytes) {
        self.bytes += key.len();
        let TopicPartition { topic, partition } = to;
        self.records.push(Outgoing { topic, partition, key: Some(key), value: None, traceparent: None });
    }

    /// Bytes of the records added so far.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a decision is made against: the share being decided, then the one that commits at the moment, then the
/// committed state.
pub(crate) struct Overlay<'a, S, C> {
    /// The committed state.
    pub state: &'a S,
    /// The share that commits at the moment.
    pub committing: Option<&'a Share<C>>,
    /// The share being decided.
    pub share: &'a mut Share<C>,
}
