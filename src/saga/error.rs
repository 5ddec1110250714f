//! Why a partition of a saga's does not go on.

use crate::lane::StopReason;
use crate::log::{LogError, StallError, TopicPartition};
use crate::position::{Offset, Sequence};

/// Why one partition stopped. The others go on; this one would lose an input or a state if it did.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartitionError {
    /// The log failed, or an open transaction is in the way.
    #[error(transparent)]
    Stalled(#[from] StallError),
    /// A record that is in the log cannot be read.
    #[error(
        "{partition}: {what} at offset {offset} cannot be read ({reason}); this release does not know it: start a \
         release that does"
    )]
    Unreadable { partition: TopicPartition, what: &'static str, offset: Offset, reason: String },
    /// An instance's state has another meaning.
    #[error(
        "{partition}: instance {id:?} is of STATE {found}, this release's is {known}: let a release of STATE {found} \
         end what it began"
    )]
    OtherState { partition: TopicPartition, id: String, found: i32, known: i32 },
    /// A partition's events do not follow on.
    #[error(
        "{partition}: the event at offset {offset} has sequence {found}, after {last}: two writers were at work, or an \
         event is lost; run `verify`"
    )]
    SequenceGap { partition: TopicPartition, offset: Offset, last: Sequence, found: Sequence },
    /// An instance has taken an input in that is still to be read.
    #[error(
        "{partition}: an instance has taken in the input at offset {input}, and the group stands at {committed}: a \
         transaction was torn, or the group was reset; nothing is taken in twice; run `verify`"
    )]
    Torn { partition: TopicPartition, input: Offset, committed: Offset },
    /// Inputs were deleted before they were taken in.
    #[error(
        "{partition}: inputs from offset {committed} to {low} were deleted before they were taken in; set the offset of \
         the group to {low} to accept that they are lost"
    )]
    LostInputs { partition: TopicPartition, committed: Offset, low: Offset },
    /// User code panicked.
    #[error(
        "{partition}: instance {id:?} panicked over {input}: {message}; nothing of it was written; repair the saga's \
         code and start again"
    )]
    Panicked { partition: TopicPartition, id: String, input: String, message: String },
    /// What follows from an input cannot be written.
    #[error("{partition}: what follows from {input} for instance {id:?} cannot be written: {reason}")]
    Unwritable { partition: TopicPartition, id: String, input: String, reason: String },
}

impl From<LogError> for PartitionError {
    fn from(error: LogError) -> Self {
        Self::Stalled(StallError::Log(error))
    }
}

impl StopReason for PartitionError {
    fn is_temporary(&self) -> bool {
        matches!(self, Self::Stalled(StallError::Log(error)) if error.is_temporary())
    }
}
