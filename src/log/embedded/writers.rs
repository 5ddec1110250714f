//! The writers that a log knows: who may write under an id, and what each has open.

use std::collections::BTreeMap;
use std::time::Instant;

use super::chunk::Producer;
use crate::log::{CommittedOffset, TopicPartition};
use crate::position::Offset;

/// How often a writer id was opened; only the latest may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Epoch(pub(super) u64);

/// Who a writer says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) producer: Producer,
    pub(super) epoch: Epoch,
}

/// A writer id.
pub(super) struct WriterState {
    pub(super) id: String,
    pub(super) epoch: Epoch,
    pub(super) open: Option<Transaction>,
    /// Whether storage says that a transaction is open.
    pub(super) stored_open: bool,
}

/// A transaction that wrote something.
pub(super) struct Transaction {
    pub(super) since: Instant,
    pub(super) spans: BTreeMap<TopicPartition, Span>,
    pub(super) offsets: BTreeMap<(String, TopicPartition), CommittedOffset>,
}

/// From a transaction's first record in a partition to one past its last.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) first: Offset,
    pub(super) next: Offset,
}

impl Transaction {
    pub(super) const fn new(since: Instant) -> Self {
        Self { since, spans: BTreeMap::new(), offsets: BTreeMap::new() }
    }
}
