//! Why a partition of commands does not go on.

use crate::lane::StopReason;
use crate::log::{LogError, StallError, TopicPartition};
use crate::position::{Offset, Sequence, Version};
use crate::schema::SchemaError;
use crate::store::local::LocalStoreError;

/// Why one partition stopped. The others go on; this one would corrupt its state if it did.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartitionError {
    /// The log failed, or an open transaction is in the way.
    #[error(transparent)]
    Stalled(#[from] StallError),
    /// An event that is in the log cannot be read.
    #[error(
        "{partition}: the event at offset {offset} cannot be read ({reason}); this release does not know it: \
         start a release that does"
    )]
    UnknownEvent {
        /// The events partition.
        partition: TopicPartition,
        /// The event's offset.
        offset: Offset,
        /// What is wrong with it.
        reason: String,
    },
    /// An aggregate's events do not follow on.
    #[error(
        "{partition}: the event at offset {offset} has version {found} of aggregate {id:?}, after version {last}: \
         an event is lost or was written twice; run `verify`"
    )]
    VersionGap {
        /// The events partition.
        partition: TopicPartition,
        /// The event's offset.
        offset: Offset,
        /// The aggregate.
        id: String,
        /// The version before.
        last: Version,
        /// The version found.
        found: Version,
    },
    /// A partition's events do not follow on.
    #[error(
        "{partition}: the event at offset {offset} has sequence {found}, after {last}: two writers were at work, \
         or an event is lost; run `verify`"
    )]
    SequenceGap {
        /// The events partition.
        partition: TopicPartition,
        /// The event's offset.
        offset: Offset,
        /// The sequence before.
        last: Sequence,
        /// The sequence found.
        found: Sequence,
    },
    /// An event whose command has no outcome.
    #[error(
        "{partition}: aggregate {id:?} has an event of command {command_id} which has no outcome: a transaction was \
         torn; the command will not be judged again; run `verify`"
    )]
    Torn {
        /// The outcomes partition.
        partition: TopicPartition,
        /// The aggregate.
        id: String,
        /// The command.
        command_id: uuid::Uuid,
    },
    /// Events and outcomes disagree about how many events there are.
    #[error(
        "{partition}: the outcomes end at sequence {outcomes}, the events at {events}: a transaction was torn; run `verify`"
    )]
    Disagreement {
        /// The outcomes partition.
        partition: TopicPartition,
        /// The sequence after the last outcomes record.
        outcomes: Sequence,
        /// The sequence of the last event.
        events: Sequence,
    },
    /// Commands were deleted before they were judged.
    #[error(
        "{partition}: commands from offset {committed} to {low} were deleted before they were judged; \
         `topics skip {aggregate}/{} --to {low}` accepts that they are lost",
        partition.partition
    )]
    LostCommands {
        /// The aggregate's name.
        aggregate: &'static str,
        /// The commands partition.
        partition: TopicPartition,
        /// The next to be judged.
        committed: Offset,
        /// The first that is left.
        low: Offset,
    },
    /// User code panicked.
    #[error("{partition}: judging command {command_id} of aggregate {id:?} at offset {offset} panicked: {message}")]
    Panicked {
        /// The commands partition.
        partition: TopicPartition,
        /// The command's offset.
        offset: Offset,
        /// The aggregate.
        id: String,
        /// The command.
        command_id: uuid::Uuid,
        /// The panic's message.
        message: String,
    },
    /// Too much is parked already.
    #[error(
        "{partition}: the command of aggregate {id:?} at offset {offset} is to be parked ({reason}), and {size} are \
         parked in this partition already, which is the most: repair the aggregate's code and start again, or raise \
         processor.parked_bytes; `parked ls` shows them"
    )]
    ParkedFull {
        /// The commands partition.
        partition: TopicPartition,
        /// The command's offset.
        offset: Offset,
        /// The aggregate.
        id: String,
        /// Why it is to be parked.
        reason: String,
        /// What is parked.
        size: String,
    },
    /// A parked command has an outcome.
    #[error(
        "{partition}: command {command_id} of aggregate {id:?} has an outcome and is still parked: a transaction was \
         torn; it will not be judged again; run `verify`"
    )]
    TornParked {
        /// The parked partition.
        partition: TopicPartition,
        /// The aggregate.
        id: String,
        /// The command.
        command_id: uuid::Uuid,
    },
    /// The local store failed.
    #[error("{0}; the partition is restored from the log, all in memory")]
    Store(#[from] LocalStoreError),
    /// A record that the engine makes does not fit its schema.
    #[error("{partition}: offset {offset}: {source}")]
    Encoding {
        /// The commands partition.
        partition: TopicPartition,
        /// The command's offset.
        offset: Offset,
        /// What does not fit.
        source: SchemaError,
    },
}

impl PartitionError {
    /// Whether what was read does not fit together, and not that it could not be read.
    pub fn is_about_content(&self) -> bool {
        !matches!(self, Self::Stalled(_) | Self::Store(_))
    }
}

impl From<LogError> for PartitionError {
    fn from(error: LogError) -> Self {
        Self::Stalled(StallError::Log(error))
    }
}

impl StopReason for PartitionError {
    fn is_temporary(&self) -> bool {
        match self {
            Self::Stalled(StallError::Log(error)) => error.is_temporary(),
            Self::Store(_) => true,
            _ => false,
        }
    }

    /// A panic, or a value that does not fit its schema: the aggregate's code is at fault.
    fn is_poison(&self) -> bool {
        matches!(self, Self::Panicked { .. } | Self::Encoding { source: SchemaError::Unwritable { .. }, .. })
    }
}
