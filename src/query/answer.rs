//! An answer, with what is to be known of the views it comes from.

use crate::position::Position;

/// What a query found, and in what state the views were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The answer; `None` if there is no such thing.
    pub answer: Option<T>,
    /// The positions up to which the views had folded, sorted. Of an aggregate that several views fold,
    /// the lowest.
    pub positions: Vec<Position>,
    /// What may be missing in it.
    pub flags: ViewFlags,
}

/// What may be missing in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewFlags {
    /// How many aggregates are parked: what the views say of them stands still.
    pub parked: u64,
    /// Whether a view was reset to something else than its first event.
    pub partial: bool,
}

impl ViewFlags {
    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.parked == 0 && !self.partial
    }
}
