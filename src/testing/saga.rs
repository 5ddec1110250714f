//! Given, when, then for sagas: events, outcomes and deadlines in, commands out.
//!
//! `correlate` and `react` are called as a worker calls them: an outcome only of a command that is under
//! way, a deadline only where one is set, and nothing after the end. Each input checks besides that the
//! event belongs to this instance, and that the reaction depends on nothing but state, input and context.
//! It panics, with the whole story, where a sentence is not true.
//!
//! ```ignore
//! GivenSaga::<Transfer>::of("000001/t1")
//!     .event("000001", TransferDebited { .. })
//!     .then()
//!     .sends::<Account>(Step::Credit, "000002", CreditTransfer { .. })
//!     .outcome(Step::Credit, refused("account_deleted"))
//!     .then()
//!     .compensates::<Account>(Step::Rollback, "000001", RollbackTransferDebit { .. })
//!     .outcome(Step::Rollback, accepted())
//!     .then()
//!     .ends();
//! ```

use std::fmt::{self, Display};
use std::time::Duration;

use uuid::Uuid;

use super::given::{BEGINNING, assert_id};
use crate::aggregate::Aggregate;
use crate::clock::Timestamp;
use crate::command::Outcome;
use crate::event::Recorded;
use crate::position::{Offset, Partition, Sequence, Version};
use crate::projection::Source;
use crate::saga::{
    DeadlineChange, Delivery, Input, IssuedCommand, Reaction, Saga, SagaContext, SagaId, SourceEvent, StepKind,
};
use crate::schema::round_trips;

/// One instance of a saga, and what it has taken in.
#[derive(Debug)]
pub struct GivenSaga<S: Saga> {
    id: SagaId,
    state: S,
    time: Timestamp,
    events: i64,
    /// The commands whose outcomes are awaited.
    under_way: Vec<(S::Step, StepKind)>,
    deadline: Option<Timestamp>,
    ended: bool,
    told: Vec<String>,
    /// What the last input led to.
    last: Reaction<S>,
    reissued: bool,
}

impl<S: Saga> GivenSaga<S> {
    /// The instance of this id; nothing has happened yet.
    #[must_use]
    pub fn of(id: impl Display) -> Self {
        Self {
            id: SagaId::new(id),
            state: S::default(),
            time: BEGINNING,
            events: 0,
            under_way: Vec::new(),
            deadline: None,
            ended: false,
            told: Vec::new(),
            last: Reaction::none(),
            reissued: false,
        }
    }

    /// What follows happens at this time.
    ///
    /// # Panics
    /// If it is earlier than what happened before: times never run backwards.
    #[must_use]
    #[track_caller]
    pub fn at(mut self, time: Timestamp) -> Self {
        assert!(time >= self.time, "{time} is before {}: times never run backwards within a partition", self.time);
        self.time = time;
        self
    }

    /// An event happened to this instance of the saga's aggregate; of several, of the first.
    ///
    /// # Panics
    /// If it belongs to another saga instance, or the reaction is not as it must be.
    #[must_use]
    #[track_caller]
    pub fn event(self, aggregate_id: &str, event: impl Into<SourceEvent<S>>) -> Self {
        let first = S::Source::aggregates()[0];
        self.event_of(first, aggregate_id, event)
    }

    /// An event happened to this instance of an aggregate of the saga's sources.
    ///
    /// # Panics
    /// If it belongs to another saga instance, or the reaction is not as it must be.
    #[must_use]
    #[track_caller]
    pub fn event_of(mut self, aggregate: &str, aggregate_id: &str, event: impl Into<SourceEvent<S>>) -> Self {
        let sources = S::Source::aggregates();
        let known = sources.iter().find(|known| **known == aggregate);
        let aggregate = known.unwrap_or_else(|| panic!("{} takes events of {sources:?} in", S::NAME));
        self.events += 1;
        let event = Recorded {
            aggregate,
            aggregate_id: aggregate_id.to_owned(),
            id: Uuid::from_u128(u128::from(self.events.unsigned_abs())),
            version: Version(self.events),
            partition: Partition(0),
            sequence: Sequence(self.events),
            offset: Offset(self.events - 1),
            occurred_at: self.time,
            causation_id: Uuid::nil(),
            correlation_id: Uuid::nil(),
            data: event.into(),
        };
        let owner = S::correlate(&event);
        assert!(
            owner.as_ref() == Some(&self.id),
            "{}",
            self.story(&format!("{event:?} belonging to it, not {owner:?}"))
        );
        self.take(Input::Event(event))
    }

    /// This became of a command of the instance. The engine keeps what it answers itself: a compensation
    /// that is not accepted is issued anew, and a skipped step counts as refused.
    ///
    /// # Panics
    /// If no such command is under way, or the reaction is not as it must be.
    #[must_use]
    #[track_caller]
    pub fn outcome(mut self, of: S::Step, outcome: Outcome) -> Self {
        let awaited = self.under_way.iter().position(|(step, _)| *step == of);
        let awaited = awaited.unwrap_or_else(|| panic!("{}", self.story(&format!("a command of {of:?} under way"))));
        match Delivery::of(self.under_way[awaited].1, outcome.clone()) {
            Delivery::Input(outcome) => {
                let issued = self.under_way.remove(awaited);
                let input = Input::Outcome { of, outcome };
                let mut after = self.take(input);
                if after.last.retries_after().is_some() {
                    after.under_way.push(issued);
                }
                after
            }
            Delivery::Reissue => {
                self.told.push(format!("{of:?}: {outcome:?}, and the engine issues it anew"));
                (self.last, self.reissued) = (Reaction::none(), true);
                self
            }
        }
    }

    /// The deadline is over; the time is at least that.
    ///
    /// # Panics
    /// If none is set, or the reaction is not as it must be.
    #[must_use]
    #[track_caller]
    pub fn deadline(mut self) -> Self {
        let over = self.deadline.take().unwrap_or_else(|| panic!("{}", self.story(&"a deadline")));
        self.time = self.time.max(over);
        self.take(Input::Deadline)
    }

    /// What the last input led to.
    #[must_use]
    pub const fn then(self) -> ThenSaga<S> {
        ThenSaga(self)
    }

    /// The state is read back as it was written, as bytes and as JSON.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn survives_the_log(&self)
    where
        S: PartialEq,
    {
        round_trips(&self.state).unwrap_or_else(|error| panic!("{}: {error}", S::NAME));
    }

    #[track_caller]
    fn take(mut self, input: Input<S>) -> Self {
        self.told.push(format!("{input:?}"));
        self.reissued = false;
        if self.ended {
            // A worker gives nothing to an instance that has ended.
            self.last = Reaction::none();
            return self;
        }
        let context = SagaContext { id: self.id.as_str(), time: self.time };
        let mut again = self.state.clone();
        let repeated = again.react(input.clone(), &context);
        let is_outcome = matches!(input, Input::Outcome { .. });
        let reaction = self.state.react(input, &context);
        let (first, second) = (format!("{reaction:?} {:?}", self.state), format!("{repeated:?} {again:?}"));
        assert_eq!(first, second, "an input is taken in differently the second time: react is not pure");
        let retries = reaction.retries_after().is_some();
        assert!(is_outcome || !retries, "{}", self.story(&"a retry in reaction to an outcome only"));
        self.under_way.extend(reaction.commands().iter().map(|issued| (issued.step.clone(), issued.kind)));
        match reaction.deadline_change() {
            Some(DeadlineChange::At(time)) => self.deadline = Some(time),
            Some(DeadlineChange::Cleared) => self.deadline = None,
            None => {}
        }
        self.ended = reaction.ends();
        self.last = reaction;
        self
    }

    fn story(&self, expected: &dyn Display) -> String {
        let Self { id, told, last, state, time, .. } = self;
        let name = S::NAME;
        format!(
            "{name} {id} did not do as expected\n  given    {told:#?}\n  at       {time}\n  expected {expected}\n  \
             but      {last:#?}\n  state    {state:#?}"
        )
    }
}

/// What a saga's last input led to.
pub struct ThenSaga<S: Saga>(GivenSaga<S>);

#[expect(clippy::return_self_not_must_use, reason = "a story ends wherever enough is said")]
impl<S: Saga> ThenSaga<S> {
    /// This command is issued as a step forward.
    ///
    /// # Panics
    /// If it is not, or if the id is none of `A`'s.
    #[track_caller]
    pub fn sends<A: Aggregate>(self, step: S::Step, id: &str, command: impl Into<A::Command>) -> Self
    where
        A::Command: PartialEq,
    {
        self.issues::<A>(&step, StepKind::Forward, id, &command.into())
    }

    /// This command is issued to take back what was done.
    ///
    /// # Panics
    /// If it is not, or if the id is none of `A`'s.
    #[track_caller]
    pub fn compensates<A: Aggregate>(self, step: S::Step, id: &str, command: impl Into<A::Command>) -> Self
    where
        A::Command: PartialEq,
    {
        self.issues::<A>(&step, StepKind::Compensation, id, &command.into())
    }

    #[track_caller]
    fn issues<A: Aggregate>(self, step: &S::Step, kind: StepKind, id: &str, command: &A::Command) -> Self
    where
        A::Command: PartialEq,
    {
        assert_id::<A>(id);
        let is_it = |issued: &IssuedCommand<S::Step>| {
            let addressed = issued.command.aggregate == A::NAME && issued.command.id == id;
            issued.step == *step && issued.kind == kind && addressed && issued.command.command::<A>() == Some(command)
        };
        let found = self.0.last.commands().iter().any(is_it);
        self.holds(found, &format_args!("{kind:?} {step:?}: {command:?} to {} {id}", A::NAME))
    }

    /// No command is issued.
    ///
    /// # Panics
    /// If one is.
    #[track_caller]
    pub fn sends_nothing(self) -> Self {
        let nothing = self.0.last.commands().is_empty();
        self.holds(nothing, &"no command")
    }

    /// This many commands are issued.
    ///
    /// # Panics
    /// If there are more or fewer.
    #[track_caller]
    pub fn sends_in_all(self, count: usize) -> Self {
        let is_so = self.0.last.commands().len() == count;
        self.holds(is_so, &format_args!("{count} commands"))
    }

    /// The command is issued anew after this while, since the saga says so.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn retries_after(self, wait: Duration) -> Self {
        let is_so = self.0.last.retries_after() == Some(wait);
        self.holds(is_so, &format_args!("a retry after {wait:?}"))
    }

    /// The saga did not hear of the outcome: the engine issues the command anew by itself.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn is_reissued(self) -> Self {
        let is_so = self.0.reissued;
        self.holds(is_so, &"a command issued anew by the engine")
    }

    /// A deadline is set for this moment.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn deadline_is(self, at: Timestamp) -> Self {
        let is_so = self.0.deadline == Some(at);
        self.holds(is_so, &format_args!("a deadline at {at}"))
    }

    /// No deadline is set.
    ///
    /// # Panics
    /// If one is.
    #[track_caller]
    pub fn has_no_deadline(self) -> Self {
        let is_so = self.0.deadline.is_none();
        self.holds(is_so, &"no deadline")
    }

    /// The instance has ended.
    ///
    /// # Panics
    /// If it has not.
    #[track_caller]
    pub fn ends(self) -> Self {
        let is_so = self.0.ended;
        self.holds(is_so, &"the end")
    }

    /// The instance has not ended.
    ///
    /// # Panics
    /// If it has.
    #[track_caller]
    pub fn goes_on(self) -> Self {
        let is_so = !self.0.ended;
        self.holds(is_so, &"no end")
    }

    /// The state is so.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn state(self, is_so: impl FnOnce(&S) -> bool) -> Self {
        let is_so = is_so(&self.0.state);
        self.holds(is_so, &"another state")
    }

    /// See [`GivenSaga::at`].
    ///
    /// # Panics
    /// As that does.
    #[track_caller]
    pub fn at(self, time: Timestamp) -> GivenSaga<S> {
        self.0.at(time)
    }

    /// See [`GivenSaga::event`].
    ///
    /// # Panics
    /// As that does.
    #[track_caller]
    pub fn event(self, aggregate_id: &str, event: impl Into<SourceEvent<S>>) -> GivenSaga<S> {
        self.0.event(aggregate_id, event)
    }

    /// See [`GivenSaga::outcome`].
    ///
    /// # Panics
    /// As that does.
    #[track_caller]
    pub fn outcome(self, of: S::Step, outcome: Outcome) -> GivenSaga<S> {
        self.0.outcome(of, outcome)
    }

    /// See [`GivenSaga::deadline`].
    ///
    /// # Panics
    /// As that does.
    #[track_caller]
    pub fn deadline(self) -> GivenSaga<S> {
        self.0.deadline()
    }

    /// The instance afterwards.
    #[must_use]
    pub fn into_given(self) -> GivenSaga<S> {
        self.0
    }

    #[track_caller]
    fn holds(self, is_so: bool, expected: &dyn Display) -> Self {
        assert!(is_so, "{}", self.0.story(expected));
        self
    }
}

impl<S: Saga> fmt::Debug for ThenSaga<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
