//! A batch: what is decided but not committed, one share for each partition it touches.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::processor::Processor;
use super::share::{Epoch, Share};
use crate::clock::Timestamp;
use crate::position::Partition;

/// What is decided together and will be committed together.
pub(super) struct Batch<P: Processor> {
    pub shares: BTreeMap<Partition, Share<P::Changes>>,
    /// Records of the input taken in.
    pub inputs: usize,
    /// When the first of them was taken in, and when all was handed over.
    pub begun: Option<(Timestamp, Instant)>,
    pub handed_over: Option<(Timestamp, Instant)>,
    /// Whether it carries something that was due. It is asked once: what it carries is one slice, and is
    /// dropped as one.
    pub carries_due: bool,
    /// What deciding took.
    pub deciding: Duration,
}

impl<P: Processor> Batch<P> {
    pub const fn new() -> Self {
        Self {
            shares: BTreeMap::new(),
            inputs: 0,
            begun: None,
            handed_over: None,
            carries_due: false,
            deciding: Duration::ZERO,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// Whether there is something to write, and not only offsets to move on.
    pub fn writes(&self) -> bool {
        self.shares.values().any(|share| !share.records.is_empty())
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
