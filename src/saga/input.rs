//! What a saga takes in.

use super::{Saga, SourceEvent};
use crate::command::Outcome;
use crate::event::Recorded;

/// What a saga takes in.
#[derive(Clone, Debug)]
pub enum Input<S: Saga> {
    /// An event that [`correlate`](Saga::correlate) gave to this instance.
    Event(Recorded<SourceEvent<S>>),
    /// What became of a command of this instance. A refused one must be answered, mostly by
    /// compensating; a failed one was not acted on, and may be [issued anew](super::Reaction::retry).
    Outcome {
        /// The step that the command was issued as.
        of: S::Step,
        /// What became of it.
        outcome: Outcome,
    },
    /// The deadline is over.
    Deadline,
}
