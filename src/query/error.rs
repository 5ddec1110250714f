//! Why a query was not answered.

use std::time::Duration;

use crate::position::{Position, Sequence};
use crate::projection::{ShapeError, ViewError};

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A parameter cannot be.
    #[error("{field}: {reason}")]
    Invalid {
        /// The parameter.
        field: &'static str,
        /// The rule it breaks.
        reason: String,
    },
    /// A position of an aggregate or a partition that the query's views do not fold.
    #[error("the position {position} is foreign to this query: {reason}")]
    Foreign {
        /// The position.
        position: Position,
        /// What the views fold.
        reason: String,
    },
    /// A view did not reach a position in time. Try again.
    #[error("view {view} has not reached {wanted} within {waited:?}; it is at {reached}; try again")]
    NotYet {
        /// The view.
        view: &'static str,
        /// What was asked for.
        wanted: Position,
        /// How far the view is in that partition.
        reached: Sequence,
        /// How long was waited.
        waited: Duration,
    },
    /// A view was reset and is on its way back to where it was. Try again.
    #[error("view {view} is replaying: {at} of the {to} events it has to fold again; try again later")]
    Replaying {
        /// The view.
        view: &'static str,
        /// How many events of the partitions that replay are folded again.
        at: i64,
        /// How many there were before the reset.
        to: i64,
    },
    /// It took too long.
    #[error("query {query} took longer than {limit:?}; ask for less")]
    TooLong {
        /// The query.
        query: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// It gives more rows than may be held in memory.
    #[error("a statement gives more than {limit} rows; add a LIMIT, and ask for the next page")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A row does not fit the Rust type it is read into: a mistake in the query.
    #[error("a row cannot be read: {0}")]
    Row(String),
    /// The tables are not as tables must be: a mistake in the projection.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The database did not answer, or refused the SQL.
    #[error(transparent)]
    View(#[from] ViewError),
}

impl QueryError {
    /// A parameter that cannot be, with the rule it breaks.
    #[must_use]
    pub fn invalid(field: &'static str, reason: impl ToString) -> Self {
        Self::Invalid { field, reason: reason.to_string() }
    }

    /// Whether the same question may be answered later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::NotYet { .. } | Self::Replaying { .. } => true,
            Self::View(error) => error.is_temporary(),
            _ => false,
        }
    }

    /// Whether the question itself is at fault.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        matches!(self, Self::Invalid { .. } | Self::Foreign { .. })
    }
}
