//! Snapshots and checkpoints: what lets a restore begin near the end of the events.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::position::{Offset, Partition, Sequence, Version};
use crate::schema::{Head, Message, MessageSchema};

/// The envelope of a snapshot, all but its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Snapshot")]
pub struct SnapshotHead {
    /// The aggregate's version in this state; of a checkpoint 0.
    pub version: Version,
    /// The partition it stands in.
    pub partition: Partition,
    /// The sequence of the aggregate's last event; of a checkpoint that of the partition's last.
    pub sequence: Sequence,
    /// The aggregate's `STATE` when it was taken; of a checkpoint too.
    pub state: i32,
}

impl Head for SnapshotHead {
    const NAME: &'static str = "Snapshot";
    const AVSC: &'static str = include_str!("../../schemas/headwater/Snapshot.avsc");
}

/// The engine's own branch of a snapshots topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotControl {
    /// See [`Checkpoint`].
    Checkpoint(Checkpoint),
}

/// A promise: every aggregate of this partition is covered by its snapshot up to `events_offset`.
///
/// It holds only states folded from committed events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The next event to read: one past the last that an already committed transaction delivered.
    pub events_offset: Offset,
    /// The sequence of the last event before it.
    pub sequence: Sequence,
    /// The time of the partition's last command before it.
    pub partition_time: Timestamp,
    /// The next command to read.
    pub commands_offset: Offset,
    /// The first outcomes record still remembered.
    pub outcomes_offset: Offset,
    /// The first parked record still waiting.
    pub parked_offset: Offset,
    /// The highest append time of an outcome no longer remembered.
    pub forgotten: Timestamp,
    /// The aggregates that are parked.
    pub parked: Vec<String>,
}

impl Checkpoint {
    /// The key of a checkpoint on its snapshots topic; no aggregate id begins with NUL.
    pub const KEY: &'static [u8] = b"\0checkpoint";
}

impl Message for SnapshotControl {
    const SCHEMAS: &'static [MessageSchema] =
        &[MessageSchema::new("Checkpoint", include_str!("../../schemas/headwater/Checkpoint.avsc")).internal()];
}
