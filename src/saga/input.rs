//! What a saga takes in.

use super::{Saga, SourceEvent};
use crate::command::Outcome;
use crate::event::Recorded;

/// What a saga takes in.
#[derive(Clone, Debug)]
pub enum Input<S: Saga> {
    /// An event that [`correlate`](Saga::correlate) gave to this instance.
    Event(Recorded<SourceEvent<S>>),
    /// What became of a command of this instance.
    ///
    /// | outcome | what it means here |
    /// |---|---|
    /// | accepted | the step is done |
    /// | refused | the aggregate said no: mostly, compensate. A command that was skipped by hand comes as refused with the code `skipped` |
    /// | failed | it was not acted on, for it was too large, could not be understood or stood in the wrong partition. It may be [issued anew](super::Reaction::retry), which helps only once a new release has corrected it |
    ///
    /// A command that came too late to be told from a repeat (`too_old`, `clock_skew`, `conflict`) is issued
    /// anew by the engine, and so is a compensation until it is accepted: neither is an input.
    Outcome {
        /// The step that the command was issued as.
        of: S::Step,
        /// What became of it.
        outcome: Outcome,
    },
    /// The deadline is over.
    Deadline,
}
