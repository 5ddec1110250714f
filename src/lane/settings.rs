//! What can be set about lanes.

use std::time::Duration;

/// How lanes work.
#[derive(Clone, Debug)]
pub(crate) struct LaneSettings {
    /// How many to start.
    pub lanes: usize,
    /// The most records taken into one transaction.
    pub batch_records: usize,
    /// The most bytes written in one transaction.
    pub batch_bytes: usize,
    /// Transactional writers that a lane uses in turn.
    pub writers: usize,
    /// How long a restore may stand still before it fails.
    pub stall: Duration,
    /// How often a record is tried whose processing fails by a fault of its own.
    pub attempts: u32,
    /// After how long a record is given up whose schema the registry does not know.
    pub unknown_schema: Duration,
}
