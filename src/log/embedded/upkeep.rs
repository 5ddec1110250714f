//! What maintenance knows of a partition, and how much is to be done.

use super::partition::Plan;
use crate::log::TopicPartition;
use crate::position::Offset;

/// How much is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// What is worth its cost.
    Due,
    /// Everything there is.
    All,
}

/// A partition as maintenance finds it.
pub(super) struct Upkeep {
    pub(super) name: TopicPartition,
    /// From the first offset held to the last stable offset.
    pub(super) plan: Plan,
    /// Up to where it was compacted before, and how many records that left.
    pub(super) cleaned: Offset,
    pub(super) kept: u64,
}
