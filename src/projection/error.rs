//! What can go wrong with projections and their views.

use super::views::Generation;
use crate::log::{LogError, StallError, TopicPartition};
use crate::position::Offset;
use crate::schema::{DecodeError, SchemaError};

fn table_part(table: &str) -> String {
    if table.is_empty() { String::new() } else { format!(", table {table}") }
}

/// The tables of a view are not as tables must be. Found at start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("view {view}{}: {reason}", table_part(table))]
pub struct ShapeError {
    /// The view.
    pub view: &'static str,
    /// The table; empty if it is about the view.
    pub table: String,
    /// What is wrong, and with which column.
    pub reason: String,
}

/// A projection asked for a change that its tables do not allow: a mistake in its code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("projection {view}{}: {reason}; correct `project` or `tables`", table_part(table))]
pub struct ChangeError {
    /// The projection.
    pub view: &'static str,
    /// The table.
    pub table: String,
    /// What is wrong, and with which column.
    pub reason: String,
}

/// The database of the views did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// It is away or busy: try again.
    #[error("the database of the views is not reachable: {0}")]
    Unavailable(String),
    /// Its address is wrong.
    #[error("{0}")]
    Address(String),
    /// See [`ShapeError`].
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The stored tables are of another shape than the projection's.
    #[error(
        "view {view}: its tables have changed; run `rebuild {view}` to make them anew beside the present ones\n\
         stored:\n{stored}now:\n{now}"
    )]
    ShapeChanged {
        /// The view.
        view: String,
        /// The stored shape.
        stored: String,
        /// The projection's.
        now: String,
    },
    /// Nobody has made the view yet.
    #[error("view {view} does not exist yet; a worker with the role `projections` makes it")]
    Missing {
        /// The view.
        view: String,
    },
    /// Another process builds a generation of the view.
    #[error("view {view} is being rebuilt by another process; wait until it has ended")]
    Claimed {
        /// The view.
        view: String,
    },
    /// Another generation of the view became the live one.
    #[error("view {view}: generation {generation} is not the live one; begin again")]
    NotLive {
        /// The view.
        view: String,
        /// The generation that was meant.
        generation: Generation,
    },
    /// What is stored is not what this engine stores.
    #[error("view {view}: {reason}")]
    Corrupt {
        /// The view.
        view: String,
        /// What was found.
        reason: String,
    },
    /// The database refuses, and will do so again.
    #[error("the database of the views failed: {0}")]
    Failed(String),
}

impl ViewError {
    /// Whether the database is away or busy.
    pub(crate) const fn is_away(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Missing { .. } | Self::Claimed { .. } | Self::NotLive { .. })
    }
}

/// Why a partition is not folded any further. Skipping would make the view wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// A record has no key, or one that is no text.
    #[error(
        "{partition} offset {offset}: the record has no readable key, so it belongs to no aggregate; find out who wrote it"
    )]
    Key {
        /// Where.
        partition: TopicPartition,
        /// The record's offset.
        offset: Offset,
    },
    /// A record cannot be understood.
    #[error("{partition} offset {offset}: {reason}; deploy a release that knows this event, then restart")]
    Undecodable {
        /// Where.
        partition: TopicPartition,
        /// The record's offset.
        offset: Offset,
        /// Why.
        reason: DecodeError,
    },
    /// A sequence or version repeats or jumps: proof of a split brain or of a lost event.
    #[error(
        "{partition} offset {offset}, aggregate {aggregate_id}: {what} {found} follows {last}: an event was lost or \
         written twice; run `verify`"
    )]
    Gap {
        /// Where.
        partition: TopicPartition,
        /// The record's offset.
        offset: Offset,
        /// Whose event it is.
        aggregate_id: String,
        /// `sequence` or `version`.
        what: &'static str,
        /// The last one.
        last: i64,
        /// The one that came.
        found: i64,
    },
    /// Events that were not folded yet are no longer there.
    #[error(
        "{partition}: offset {offset} is next, and {low} to {end} are held: events were deleted or the topic was made \
         anew; restore the topic and restart, or `rebuild` the view"
    )]
    Lost {
        /// Where.
        partition: TopicPartition,
        /// The next offset to fold.
        offset: Offset,
        /// The first one held.
        low: Offset,
        /// One past the last.
        end: Offset,
    },
    /// More aggregates are parked than are kept track of.
    #[error(
        "{partition} offset {offset}: {parked} aggregates are parked already, so it is the projection that fails and not \
         its events; correct it, then `replay` the view to earliest"
    )]
    Parked {
        /// Where.
        partition: TopicPartition,
        /// The offset of the event that could not be folded.
        offset: Offset,
        /// How many are parked.
        parked: usize,
    },
}

/// Why a projection worker ended, or could not begin.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// See [`ViewError`].
    #[error(transparent)]
    View(#[from] ViewError),
    /// See [`LogError`].
    #[error(transparent)]
    Log(#[from] LogError),
    /// See [`SchemaError`].
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Its thread could not be started, or panicked.
    #[error("the projection worker's thread: {0}")]
    Thread(String),
}

/// Why a replay was not planned or not done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// See [`ViewError`].
    #[error(transparent)]
    View(#[from] ViewError),
    /// See [`LogError`].
    #[error(transparent)]
    Log(#[from] LogError),
    /// See [`StallError`].
    #[error(transparent)]
    Stall(#[from] StallError),
    /// See [`SchemaError`].
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The target is not a target of this view.
    #[error("{0}")]
    Target(String),
    /// Adds and rows written once would be lost or counted twice.
    #[error(
        "view {view}, table {table}: only `--to earliest` is possible, because this table cannot be folded onto itself"
    )]
    NotRepeatable {
        /// The view.
        view: &'static str,
        /// The table.
        table: &'static str,
    },
    /// An event on the way to the target cannot be read.
    #[error("{0}")]
    Unreadable(StopReason),
    /// The view was reset since the plan was made.
    #[error("view {view} was reset since this plan was made; make a new one")]
    Stale {
        /// The view.
        view: String,
    },
}

/// Why a view was not rebuilt. The live one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// See [`ViewError`].
    #[error(transparent)]
    View(#[from] ViewError),
    /// See [`LogError`].
    #[error(transparent)]
    Log(#[from] LogError),
    /// See [`StallError`].
    #[error(transparent)]
    Stall(#[from] StallError),
    /// See [`SchemaError`].
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// There is none to go on with.
    #[error("view {view} has no unfinished generation to go on with; leave `--resume` out")]
    NothingToResume {
        /// The view.
        view: &'static str,
    },
    /// The live generation has other tables, so there is nothing to compare.
    #[error("view {view}: its tables have changed, so the rows cannot be compared; leave `--compare` out")]
    Incomparable {
        /// The view.
        view: &'static str,
    },
    /// An event must not be passed over.
    #[error("{0}")]
    Stopped(StopReason),
    /// An event cannot be read yet.
    #[error("{0}; try again")]
    NotYet(String),
    /// Somebody else wrote to the generation under way, or the live one was set back meanwhile.
    #[error("view {view}: {what}; begin again")]
    Disturbed {
        /// The view.
        view: &'static str,
        /// What was found.
        what: String,
    },
    /// The live view moves on faster than the new one is built.
    #[error(
        "view {view}: the new generation did not catch up with the live one in {attempts} attempts; it stays as it is:          go on with `rebuild {view} --resume` when there is less load"
    )]
    Outrun {
        /// The view.
        view: &'static str,
        /// How often the exchange was tried.
        attempts: usize,
    },
    /// A thread panicked or was cancelled.
    #[error("a thread of the rebuild: {0}")]
    Thread(String),
}

impl RebuildError {
    /// Whether the same may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::View(error) => error.is_temporary(),
            Self::Log(error) | Self::Stall(StallError::Log(error)) => error.is_temporary(),
            Self::NotYet(_) | Self::Outrun { .. } | Self::Disturbed { .. } => true,
            _ => false,
        }
    }

    /// Whether the wish itself is at fault.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        matches!(self, Self::NothingToResume { .. } | Self::Incomparable { .. })
    }
}

/// Why a parked aggregate was not released.
#[derive(Debug, thiserror::Error)]
pub enum ParkedError {
    /// See [`ViewError`].
    #[error(transparent)]
    View(#[from] ViewError),
    /// See [`LogError`].
    #[error(transparent)]
    Log(#[from] LogError),
    /// See [`StallError`].
    #[error(transparent)]
    Stall(#[from] StallError),
    /// See [`SchemaError`].
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Its events are folded.
    #[error("view {view}: {aggregate} {id} is not parked")]
    NotParked {
        /// The view.
        view: &'static str,
        /// The aggregate's type.
        aggregate: String,
        /// Its id.
        id: String,
    },
    /// One of its events cannot be read at all.
    #[error("{0}")]
    Unreadable(StopReason),
    /// One of its events cannot be read yet.
    #[error("{0}; try again")]
    NotYet(String),
    /// Others changed what is parked, or the view, each time.
    #[error("view {view}: it was reset, rebuilt or released by others in {attempts} attempts; try again")]
    Disturbed {
        /// The view.
        view: &'static str,
        /// How often it was tried.
        attempts: usize,
    },
    /// A thread panicked or was cancelled.
    #[error("a thread of the release: {0}")]
    Thread(String),
}

impl ParkedError {
    /// Whether the same may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::View(error) => error.is_temporary(),
            Self::Log(error) | Self::Stall(StallError::Log(error)) => error.is_temporary(),
            Self::NotYet(_) | Self::Disturbed { .. } => true,
            _ => false,
        }
    }
}
