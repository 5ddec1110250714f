//! What the partitions of a worker are doing, for readiness and for people.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::log::RangeReader;
use crate::position::{Offset, Partition};

/// What one partition is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionState {
    /// It is being restored.
    Restoring(Progress),
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

/// How far a restore is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub doing: String,
    /// The offset it is at, and the one it is done at; none while it reads nothing.
    pub reading: Option<(Offset, Offset)>,
}

impl Progress {
    /// It reads a range.
    pub(crate) fn reading(what: &str, range: &RangeReader) -> Self {
        Self { doing: what.to_owned(), reading: Some((range.next_offset(), range.until())) }
    }
}

impl<T: Into<String>> From<T> for Progress {
    fn from(doing: T) -> Self {
        Self { doing: doing.into(), reading: None }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reading {
            Some((at, until)) => write!(f, "{}, {at} of {until}", self.doing),
            None => f.write_str(&self.doing),
        }
    }
}

/// The pulse of a lane: whether it is a member of its group, and when it last went round its loop.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    begun: Instant,
    /// Since it began, in milliseconds.
    last: AtomicU64,
    joined: AtomicBool,
}

impl Pulse {
    pub fn new() -> Self {
        let beats = Beats { begun: clock::instant(), last: AtomicU64::new(0), joined: AtomicBool::new(false) };
        Self(Arc::new(beats))
    }

    pub fn beat(&self) {
        let since = u64::try_from(clock::elapsed(self.0.begun).as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(since, Ordering::Relaxed);
    }

    pub fn join(&self) {
        self.0.joined.store(true, Ordering::Relaxed);
    }

    pub fn has_joined(&self) -> bool {
        self.0.joined.load(Ordering::Relaxed)
    }

    /// For how long it has not been round its loop.
    pub fn still_for(&self) -> Duration {
        clock::elapsed(self.0.begun).saturating_sub(Duration::from_millis(self.0.last.load(Ordering::Relaxed)))
    }
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
