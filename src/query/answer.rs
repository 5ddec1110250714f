//! An answer, with what is to be known of the views it comes from.

use std::hash::Hash;

use xxhash_rust::xxh3::Xxh3Default;

use crate::position::Position;
use crate::projection::Progress;

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
    /// When it was true.
    pub moment: ViewMoment,
}

/// A moment of some views: two are equal only if nothing changed in the views between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewMoment(u128);

impl ViewMoment {
    /// Of how far the views were: their rows change only together with that.
    pub(super) fn of(progress: &[Progress]) -> Self {
        let mut hasher = Xxh3Default::new();
        progress.hash(&mut hasher);
        Self(hasher.digest128())
    }
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
