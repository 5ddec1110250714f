//! What a reaction may know besides state and input.

use std::fmt;

use crate::clock::Timestamp;

/// Names one instance of a saga.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SagaId(String);

impl SagaId {
    /// The instance of this name.
    pub fn new(id: impl fmt::Display) -> Self {
        Self(id.to_string())
    }

    /// The instance named by two texts with a `/` between: an aggregate's id and something that counts only
    /// beside it. Where both may hold a `/`, two pairs may name one instance.
    pub fn of(first: impl fmt::Display, second: impl fmt::Display) -> Self {
        Self(format!("{first}/{second}"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What surrounds an input while it is taken in.
#[derive(Clone, Copy, Debug)]
pub struct SagaContext<'a> {
    /// The instance's name.
    pub id: &'a str,
    /// The input's time, given by the log; never running backwards within a partition. For a deadline
    /// that deadline, or the time of what was taken in before it if that is later.
    pub time: Timestamp,
}
