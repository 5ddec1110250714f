//! Events without their types: as JSON, and folded to states.

use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::aggregate::{Aggregate, Codecs};
use crate::clock::Timestamp;
use crate::event::EventHead;
use crate::log::{LogError, Record, StallError, TopicPartition};
use crate::position::{Offset, Position, Version};
use crate::schema::json::Secrets;
use crate::schema::{Data, DecodeError, SchemaError};

/// An event as the faces show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventRow {
    /// The aggregate's type name.
    pub aggregate: &'static str,
    /// The aggregate's id.
    pub id: String,
    /// Its number within its aggregate.
    pub version: Version,
    /// Where it stands.
    pub position: Position,
    /// Its offset within its partition.
    pub offset: Offset,
    /// Its type name.
    pub event: &'static str,
    /// The time of the command that led to it.
    #[serde(serialize_with = "as_text")]
    pub occurred_at: Timestamp,
    /// Its own id.
    pub event_id: Uuid,
    /// The command that led to it.
    pub command_id: Uuid,
    /// Common to everything that follows from one wish.
    pub correlation_id: Uuid,
    /// Its fields.
    pub data: Value,
}

/// Times are RFC 3339 text in JSON.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// The same of a time that there may be.
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn as_text_if_any<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_string()).serialize(serializer)
}

/// Why the events of a partition cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The log.
    #[error(transparent)]
    Stalled(#[from] StallError),
    /// A record is no event of this release.
    #[error("{partition}: offset {offset}: {reason}")]
    Unreadable {
        /// Where.
        partition: TopicPartition,
        /// The record.
        offset: Offset,
        /// Why.
        reason: DecodeError,
    },
    /// An aggregate's events do not follow on.
    #[error("{partition}: offset {offset}: aggregate {id:?} has version {found} after {last}; run `verify`")]
    Gap {
        /// Where.
        partition: TopicPartition,
        /// The record.
        offset: Offset,
        /// The aggregate.
        id: String,
        /// The version before.
        last: Version,
        /// The version found.
        found: Version,
    },
    /// A message does not fit its own schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl From<LogError> for EventsError {
    fn from(error: LogError) -> Self {
        Self::Stalled(StallError::Log(error))
    }
}

impl EventsError {
    /// Whether trying again may help.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Stalled(StallError::Log(error)) => error.is_temporary(),
            Self::Stalled(StallError::HangingTransaction { .. }) => true,
            Self::Unreadable { reason, .. } => reason.is_temporary(),
            _ => false,
        }
    }

    /// A record that cannot be read.
    pub(super) fn unreadable(record: &Record, reason: DecodeError) -> Self {
        Self::Unreadable { partition: place(record), offset: record.offset, reason }
    }
}

/// The partition of a record.
pub(super) fn place(record: &Record) -> TopicPartition {
    record.topic.partition(record.partition)
}

/// The state of one instance, folded from its events.
pub trait Fold: Send {
    /// Folds one more event of this instance.
    fn apply(&mut self, record: &Record) -> Result<(), EventsError>;
    /// The version reached.
    fn version(&self) -> Version;
    /// The state as JSON.
    fn state(&self, secrets: Secrets) -> Result<Value, SchemaError>;
}

/// An event as it was read.
pub(super) struct Read<'r, E> {
    pub id: &'r str,
    pub head: EventHead,
    pub event: E,
}

/// The event in a record.
pub(super) fn read_event<'r, A: Aggregate>(
    codecs: &Codecs<A>,
    record: &'r Record,
) -> Result<Read<'r, A::Event>, EventsError> {
    let undecodable = |reason: &str| EventsError::unreadable(record, DecodeError::Undecodable(reason.to_owned()));
    let key = record.key.as_deref().ok_or_else(|| undecodable("the record has no key"))?;
    let id = std::str::from_utf8(key).map_err(|_| undecodable("the record's key is no text"))?;
    let value = record.value.as_deref().ok_or_else(|| undecodable("the record has no value"))?;
    let decoded = codecs.events.decode(value).map_err(|reason| EventsError::unreadable(record, reason))?;
    match decoded.data {
        Data::User(event) => Ok(Read { id, head: decoded.head, event }),
        Data::Engine(never) => match never {},
    }
}
