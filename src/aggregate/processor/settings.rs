//! What can be set about command processors.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lane::LaneSettings;

/// How command processors work: sizes in records or bytes, times in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessorSettings {
    /// Lanes of each worker process for each aggregate and saga; 0 takes one for every two cores, at most 4.
    pub lanes: usize,
    /// The most commands judged in one transaction.
    pub batch_commands: usize,
    /// The most bytes written in one transaction.
    pub batch_bytes: usize,
    /// Transactional writers that a lane uses in turn.
    pub writers: usize,
    /// For how long outcomes are remembered; at least 300 seconds.
    pub remember_seconds: u64,
    /// The most outcomes remembered in each partition.
    pub remember_limit: usize,
    /// A checkpoint after this many events of a partition …
    pub checkpoint_events: u64,
    /// … or after this many seconds with any.
    pub checkpoint_seconds: u64,
    /// Whether a worker keeps the state of its partitions on its own disk too, in its state folder: a restart
    /// then reads only what is new, and not all aggregates need be in memory.
    pub store: bool,
    /// How many seconds after its commit something is written there, at the latest; a crash before that only has
    /// the next start read it from the log.
    pub store_seconds: u64,
    /// The most aggregates of each partition held in memory while there is a store.
    pub cache_aggregates: usize,
    /// The largest record that is written, in bytes; not above the log's own limit.
    pub record_bytes: usize,
    /// How long a restore may stand still before it fails.
    pub stall_seconds: u64,
    /// How often a command is judged whose judgement panics, before its aggregate is parked.
    pub attempts: u32,
    /// The most bytes of parked commands that a partition holds; it stops when there are more.
    pub parked_bytes: usize,
    /// After how long a schema id that the registry does not know makes a dead letter.
    pub unknown_schema_seconds: u64,
    /// Commands that take longer from being appended to being committed are logged; zero logs none. The
    /// setting is `telemetry.slow_command`.
    #[serde(skip)]
    pub slow_command: Duration,
}

impl Default for ProcessorSettings {
    fn default() -> Self {
        Self {
            lanes: 0,
            batch_commands: 5_000,
            batch_bytes: 8 * 1024 * 1024,
            writers: 2,
            remember_seconds: 600,
            remember_limit: 2_000_000,
            checkpoint_events: 200_000,
            checkpoint_seconds: 300,
            store: false,
            store_seconds: 5,
            cache_aggregates: 100_000,
            record_bytes: 1_000_000,
            stall_seconds: 180,
            attempts: 3,
            parked_bytes: 16 * 1024 * 1024,
            unknown_schema_seconds: 600,
            slow_command: Duration::ZERO,
        }
    }
}

impl ProcessorSettings {
    const LEAST_REMEMBER_SECONDS: u64 = 300;
    const MOST_LANES: usize = 4;

    /// For how long outcomes are remembered.
    #[must_use]
    pub fn remember(&self) -> Duration {
        Duration::from_secs(self.remember_seconds.max(Self::LEAST_REMEMBER_SECONDS))
    }

    /// How many lanes to start.
    #[must_use]
    pub fn lane_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if self.lanes == 0 { (cores() / 2).clamp(1, Self::MOST_LANES) } else { self.lanes }
    }

    /// What of it is for lanes.
    pub(crate) fn lanes(&self) -> LaneSettings {
        LaneSettings {
            lanes: self.lane_count(),
            batch_records: self.batch_commands,
            batch_bytes: self.batch_bytes,
            writers: self.writers,
            stall: Duration::from_secs(self.stall_seconds),
            attempts: self.attempts,
            unknown_schema: Duration::from_secs(self.unknown_schema_seconds),
        }
    }
}
