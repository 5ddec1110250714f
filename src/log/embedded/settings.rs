//! The embedded log's settings, each with the default that Kafka or the engine's Kafka settings have.

use std::time::Duration;

/// How an embedded log behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether each commit waits for the disk. Without it a commit survives the death of the process,
    /// and with it the loss of power too.
    pub sync: bool,
    /// How long a transaction may stay open before the log aborts it and fences its writer.
    pub transaction_timeout: Duration,
    /// How long a member may go without polling, or sit on revoked partitions, before it is evicted.
    pub session_timeout: Duration,
    /// How long asking for a group's offsets waits for the transactions that change them.
    pub offsets_wait: Duration,
    /// The largest record taken, in bytes of key, value and headers.
    pub max_record_bytes: usize,
    /// How long a tombstone stays readable on a compacted topic.
    pub tombstone_retention: Duration,
    /// How much of the storage is cached in memory, in bytes.
    pub cache_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync: false,
            transaction_timeout: Duration::from_secs(10),
            session_timeout: Duration::from_mins(1),
            offsets_wait: Duration::from_secs(30),
            max_record_bytes: 1024 * 1024,
            tombstone_retention: Duration::from_hours(24),
            cache_bytes: 32 * 1024 * 1024,
        }
    }
}
