//! What follows from an input.

use std::fmt;
use std::time::Duration;

use super::Saga;
use crate::aggregate::{Aggregate, HandOff};
use crate::clock::Timestamp;

/// What follows from an input: commands, a deadline, the end. All of it is written in one transaction
/// with the new state, or none.
#[must_use = "a reaction does nothing until it is returned"]
pub struct Reaction<S: Saga> {
    commands: Vec<IssuedCommand<S::Step>>,
    retry: Option<Duration>,
    deadline: Option<DeadlineChange>,
    ends: bool,
}

/// A command that a saga issues.
#[derive(Debug)]
pub struct IssuedCommand<T> {
    /// What its outcome will be known by.
    pub step: T,
    /// Whether it goes forward or back.
    pub kind: StepKind,
    /// The command, and whom it is for.
    pub command: HandOff,
}

/// Whether a step goes forward or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// Its refusal is an input, and so is its being skipped by hand.
    Forward,
    /// It takes back what was done. The saga may not go on without it: the engine issues it anew until
    /// it is accepted, and only then is its outcome an input.
    Compensation,
}

/// What becomes of an instance's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineChange {
    /// It is this moment.
    At(Timestamp),
    /// There is none any more.
    Cleared,
}

impl<S: Saga> Reaction<S> {
    /// Nothing follows.
    pub const fn none() -> Self {
        Self { commands: Vec::new(), retry: None, deadline: None, ends: false }
    }

    /// Issues a command as a step forward. Its id is derived from the instance and the number of the command, so
    /// that a step may be sent again, and each time is another command.
    pub fn send<A: Aggregate>(self, step: S::Step, id: impl fmt::Display, command: impl Into<A::Command>) -> Self {
        self.issue::<A>(step, StepKind::Forward, id, command)
    }

    /// Issues a command that takes back what was done; it is issued anew until it is accepted.
    pub fn compensate<A: Aggregate>(
        self,
        step: S::Step,
        id: impl fmt::Display,
        command: impl Into<A::Command>,
    ) -> Self {
        self.issue::<A>(step, StepKind::Compensation, id, command)
    }

    fn issue<A: Aggregate>(
        mut self,
        step: S::Step,
        kind: StepKind,
        id: impl fmt::Display,
        command: impl Into<A::Command>,
    ) -> Self {
        self.commands.push(IssuedCommand { step, kind, command: HandOff::to::<A>(id, command) });
        self
    }

    /// Issues the command whose outcome this is the reaction to anew, after a while.
    pub const fn retry(mut self, after: Duration) -> Self {
        self.retry = Some(after);
        self
    }

    /// Sets the deadline, in place of the one there was.
    pub const fn deadline(mut self, at: Timestamp) -> Self {
        self.deadline = Some(DeadlineChange::At(at));
        self
    }

    /// Takes the deadline away.
    pub const fn no_deadline(mut self) -> Self {
        self.deadline = Some(DeadlineChange::Cleared);
        self
    }

    /// The instance ends: whatever comes in later does nothing, for as long as `saga.ended_seconds` says; after
    /// that an event may begin it anew.
    pub const fn end(mut self) -> Self {
        self.ends = true;
        self
    }

    /// The commands, in order.
    #[must_use]
    pub fn commands(&self) -> &[IssuedCommand<S::Step>] {
        &self.commands
    }

    /// After how long the step is issued anew.
    #[must_use]
    pub const fn retries_after(&self) -> Option<Duration> {
        self.retry
    }

    /// What becomes of the deadline; `None` leaves it.
    #[must_use]
    pub const fn deadline_change(&self) -> Option<DeadlineChange> {
        self.deadline
    }

    /// Whether the instance ends.
    #[must_use]
    pub const fn ends(&self) -> bool {
        self.ends
    }
}

/// A reaction taken apart.
pub(crate) struct Parts<T> {
    pub commands: Vec<IssuedCommand<T>>,
    pub retry: Option<Duration>,
    pub deadline: Option<DeadlineChange>,
    pub ends: bool,
}

impl<S: Saga> Reaction<S> {
    pub(crate) fn into_parts(self) -> Parts<S::Step> {
        let Self { commands, retry, deadline, ends } = self;
        Parts { commands, retry, deadline, ends }
    }
}

impl<S: Saga> fmt::Debug for Reaction<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commands, retry, deadline, ends } = self;
        f.debug_struct("Reaction")
            .field("commands", commands)
            .field("retry", retry)
            .field("deadline", deadline)
            .field("ends", ends)
            .finish()
    }
}
