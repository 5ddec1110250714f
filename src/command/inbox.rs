//! A saga's inbox: what comes in for one instance, from wherever it comes.
//!
//! The router puts events there, the processor of an aggregate what became of a saga's commands, and a
//! person a wake. One record shape serves every saga: an event travels in the bytes that it has on its own
//! topic, so an inbox depends on no application's schemas.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Outcome;
use crate::clock::Timestamp;
use crate::position::{Offset, Partition, Sequence, Version};
use crate::schema::Record;

/// A record of an inbox topic; its key is the saga instance's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxInput {
    /// The event's, or the command's whose outcome it is; of a wake its own.
    pub id: Uuid,
    /// When it happened: the command's time.
    pub occurred_at: Timestamp,
    /// Common to everything that follows from one wish.
    pub correlation_id: Uuid,
    /// What is taken in.
    pub data: InboxData,
}

/// What an instance takes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InboxData {
    /// An event that belongs to the instance.
    EventInput(EventInput),
    /// What became of a command of the instance.
    OutcomeInput(OutcomeInput),
    /// What waits for its time is done now.
    Wake(Wake),
}

/// See [`InboxData::EventInput`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInput {
    /// The type of the aggregate that it happened to.
    pub aggregate: String,
    /// The aggregate's id.
    pub aggregate_id: String,
    /// The event's number within its aggregate.
    pub version: Version,
    /// The partition of events it stands in.
    pub partition: Partition,
    /// Its number within its partition.
    pub sequence: Sequence,
    /// Its offset within its partition.
    pub offset: Offset,
    /// The event's record as it stands on its topic.
    pub record: Bytes,
}

/// See [`InboxData::OutcomeInput`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeInput {
    /// The type of the aggregate that judged it.
    pub aggregate: String,
    /// The aggregate's id.
    pub aggregate_id: String,
    /// The command's id.
    pub command_id: Uuid,
    /// What became of it.
    pub outcome: Outcome,
}

/// See [`InboxData::Wake`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {}

impl Record for InboxInput {
    const NAME: &'static str = "InboxInput";
    const AVSC: &'static str = include_str!("../../schemas/headwater/InboxInput.avsc");
}
