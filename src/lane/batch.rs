//! A batch: what is decided but not committed, one share for each partition it touches.
//!
//! Decisions are made against an overlay: this batch's share, then that of the batch that commits at
//! the moment, then the committed state. If a batch does not commit, it is dropped and nothing needs to
//! be undone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::processor::Processor;
use crate::clock::Timestamp;
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

/// What is decided together and will be committed together.
pub(super) struct Batch<P: Processor> {
    pub shares: BTreeMap<Partition, Share<P::Changes>>,
    /// Records of the input taken in.
    pub inputs: usize,
    /// When the first of them was taken in, and when all was handed over.
    pub begun: Option<Timestamp>,
    pub handed_over: Option<(Timestamp, Instant)>,
    /// What deciding took.
    pub deciding: Duration,
}

impl<P: Processor> Batch<P> {
    pub const fn new() -> Self {
        Self { shares: BTreeMap::new(), inputs: 0, begun: None, handed_over: None, deciding: Duration::ZERO }
    }

    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.shares.values().map(|share| share.bytes).sum()
    }

    /// This batch's share of a partition, begun if there is none.
    pub fn share(
        &mut self,
        processor: &P,
        (partition, epoch): (Partition, Epoch),
        state: &P::State,
        committing: Option<&Share<P::Changes>>,
    ) -> &mut Share<P::Changes> {
        self.shares.entry(partition).or_insert_with(|| Share {
            partition,
            epoch,
            inputs: 0,
            next_offset: committing.map_or_else(|| P::next_offset(state), |share| share.next_offset),
            changes: processor.begin(state, committing),
            records: Vec::new(),
            bytes: 0,
        })
    }
}

/// What a decision is made against.
pub(crate) struct Overlay<'a, P: Processor> {
    /// The committed state.
    pub state: &'a P::State,
    /// The share that commits at the moment.
    pub committing: Option<&'a Share<P::Changes>>,
    /// The share being decided.
    pub share: &'a mut Share<P::Changes>,
}
