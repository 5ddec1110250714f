//! How a worker is, for readiness and for people.

use crate::position::{Offset, Sequence};
use crate::projection::SourcePartition;

/// What a partition is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It reads from the database where to go on.
    Starting,
    /// Its events are folded.
    Running,
    /// An event cannot be read yet.
    Waiting(String),
    /// It is not folded any further, because skipping would make the view wrong.
    Stopped(String),
}

/// How far a partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The partition.
    pub source: SourcePartition,
    /// What it is doing.
    pub flow: Flow,
    /// The next offset to read, as stored with the rows.
    pub next_offset: Offset,
    /// The sequence of the last event folded, as stored with the rows.
    pub sequence: Sequence,
    /// How many offsets are still to be read; `None` before that was asked.
    pub lag: Option<i64>,
    /// Whether it is on its way back to where it was before a reset.
    pub replaying: bool,
}

/// How a worker is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerStatus {
    /// The partitions it owns, sorted.
    pub partitions: Vec<PartitionStatus>,
    /// Whether it was ever given partitions, or told that there are none for it.
    pub assigned: bool,
    /// Why the database does not take what was folded.
    pub database: Option<String>,
    /// Why the log does not give anything.
    pub log: Option<String>,
    /// How many aggregates of the view are parked.
    pub parked: u64,
    /// Whether the view was reset to something else than its first event.
    pub partial: bool,
}

impl WorkerStatus {
    /// What keeps it from being ready, as text for people; empty if nothing does.
    #[must_use]
    pub fn waits_for(&self) -> Vec<String> {
        let mut reasons: Vec<String> = Vec::new();
        if !self.assigned {
            reasons.push("to be given partitions".to_owned());
        }
        reasons.extend(self.log.clone());
        reasons.extend(self.database.clone());
        for partition in &self.partitions {
            let source = partition.source;
            match &partition.flow {
                Flow::Starting => reasons.push(format!("the stored position of {source}")),
                Flow::Waiting(reason) | Flow::Stopped(reason) => reasons.push(reason.clone()),
                Flow::Running if partition.replaying => reasons.push(format!("the replay of {source}")),
                Flow::Running => {}
            }
        }
        reasons
    }

    /// Whether it folds all it owns.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.waits_for().is_empty()
    }
}
