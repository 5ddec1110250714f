//! What the partitions of a worker are doing, for readiness and for people.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::position::{Offset, Partition};

/// What one partition is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionState {
    /// It is being restored; the text says how far.
    Restoring(String),
    /// Its records are processed.
    Running {
        /// The next of them.
        next_offset: Offset,
    },
    /// Its next record cannot be read yet; the text says why.
    Waiting(String),
    /// It has stopped, since going on would corrupt it; the text says why and what to do.
    Stopped(String),
}

/// Where lanes post what their partitions are doing.
#[derive(Clone, Debug, Default)]
pub(super) struct PartitionStates(Arc<Mutex<BTreeMap<Partition, PartitionState>>>);

impl PartitionStates {
    pub fn set(&self, partition: Partition, state: PartitionState) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, state);
    }

    pub fn remove(&self, partition: Partition) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }

    pub fn read(&self) -> BTreeMap<Partition, PartitionState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
