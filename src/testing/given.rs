//! Given, when, then: an aggregate's rules as sentences.
//!
//! Nothing is faked: `decide` and `evolve` are called as a worker calls them, with versions and times
//! that a log could have given. Beyond what a test asks for, each `when` checks what must hold for every
//! aggregate: that the decision depends on nothing but state, command and context; that a refusal's code
//! is among its codes; that the reply is JSON. It panics, with the whole story, where a sentence is not
//! true.
//!
//! ```
//! # use std::convert::Infallible;
//! # use headwater::{Aggregate, Context, Decision, EventContext, testing::Given};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Debug, Default, Serialize, Deserialize)]
//! # struct Door { open: bool }
//! # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
//! # enum DoorCommand { Open }
//! # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
//! # enum DoorEvent { Opened }
//! # macro_rules! bare { ($($name:ident),*) => { $(impl headwater::schema::Message for $name {
//! #     const SCHEMAS: &'static [headwater::schema::MessageSchema] = &[];
//! # })* } }
//! # bare!(Door, DoorCommand, DoorEvent);
//! # impl Aggregate for Door {
//! #     const NAME: &'static str = "door";
//! #     type Id = String;
//! #     type Command = DoorCommand;
//! #     type Event = DoorEvent;
//! #     type Refusal = Infallible;
//! #     fn decide(&self, _: DoorCommand, _: &Context<'_>) -> Result<Decision<DoorEvent>, Infallible> {
//! #         Ok(if self.open { Decision::none() } else { Decision::event(DoorEvent::Opened) })
//! #     }
//! #     fn evolve(&mut self, _: &DoorEvent, _: &EventContext<'_>) { self.open = true; }
//! # }
//! Given::<Door>::nothing().when(DoorCommand::Open).then_events([DoorEvent::Opened]);
//! Given::<Door>::events([DoorEvent::Opened]).when(DoorCommand::Open).then_no_events();
//! ```

use uuid::Uuid;

use super::then::Then;
use crate::aggregate::{Aggregate, Context, EventContext, Refusal};
use crate::clock::Timestamp;
use crate::position::Version;
use crate::schema::round_trips;

/// 2026-01-01T00:00:00Z: the time of everything that is given no other.
pub const BEGINNING: Timestamp = Timestamp(1_767_225_600_000_000);

/// One instance of an aggregate, and what has happened to it.
#[derive(Clone, Debug)]
pub struct Given<A: Aggregate> {
    pub(super) id: String,
    pub(super) state: A,
    pub(super) history: Vec<A::Event>,
    commands: u128,
    pub(super) time: Timestamp,
}

impl<A: Aggregate> Given<A> {
    /// Nothing has happened yet.
    #[must_use]
    pub fn nothing() -> Self {
        Self { id: "1".to_owned(), state: A::default(), history: Vec::new(), commands: 0, time: BEGINNING }
    }

    /// This has happened, in this order.
    #[must_use]
    pub fn events<E: Into<A::Event>>(events: impl IntoIterator<Item = E>) -> Self {
        Self::nothing().and_events(events)
    }

    /// This has happened as well, at the present time.
    #[must_use]
    pub fn and_events<E: Into<A::Event>>(mut self, events: impl IntoIterator<Item = E>) -> Self {
        self.commands += 1;
        let causation_id = Uuid::from_u128(self.commands);
        for event in events {
            self.fold(event.into(), causation_id);
        }
        self
    }

    /// The instance has this id.
    ///
    /// # Panics
    /// If it is no id of this aggregate.
    #[must_use]
    #[track_caller]
    pub fn id(mut self, id: &str) -> Self {
        assert_id::<A>(id);
        id.clone_into(&mut self.id);
        self
    }

    /// What follows happens at this time.
    #[must_use]
    pub const fn at(mut self, time: Timestamp) -> Self {
        self.time = time;
        self
    }

    /// The aggregate judges a command.
    ///
    /// # Panics
    /// If it does not always judge it in the same way, or if code or reply are not as they must be.
    #[track_caller]
    pub fn when(mut self, command: impl Into<A::Command>) -> Then<A> {
        let command: A::Command = command.into();
        self.commands += 1;
        let command_id = Uuid::from_u128(self.commands);
        let context = Context { id: &self.id, next_version: self.version().next(), command_id, time: self.time };
        let judgement = self.state.decide(command.clone(), &context);
        let again = self.state.decide(command.clone(), &context);
        let (first, again) = (format!("{judgement:?}"), format!("{again:?}"));
        assert_eq!(first, again, "a command is judged differently the second time: decide is not pure");
        let given = self.history.len();
        match &judgement {
            Ok(decision) => {
                if let Some(Err(reason)) = decision.reply_data() {
                    panic!("the reply is no JSON: {reason}");
                }
                decision.events().iter().for_each(|event| self.fold(event.clone(), command_id));
            }
            Err(refusal) => {
                let (code, codes) = (refusal.code(), A::Refusal::CODES);
                assert!(codes.contains(&code), "code {code:?} is not among the refusal's CODES {codes:?}");
            }
        }
        Then::new(self, given, format!("{command:?}"), judgement)
    }

    /// All that has happened, and the state, is read back as it was written, as bytes and as JSON.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn survives_the_log(&self)
    where
        A: PartialEq,
        A::Event: PartialEq,
    {
        for event in &self.history {
            round_trips(event).unwrap_or_else(|error| panic!("{}: {error}", A::NAME));
        }
        round_trips(&self.state).unwrap_or_else(|error| panic!("{}: {error}", A::NAME));
    }

    /// The state now.
    #[must_use]
    pub const fn state(&self) -> &A {
        &self.state
    }

    /// The version now.
    #[must_use]
    pub fn version(&self) -> Version {
        Version(i64::try_from(self.history.len()).unwrap_or(i64::MAX))
    }

    /// Everything that has happened.
    #[must_use]
    pub fn history(&self) -> &[A::Event] {
        &self.history
    }

    fn fold(&mut self, event: A::Event, causation_id: Uuid) {
        let (version, occurred_at) = (self.version().next(), self.time);
        self.state.evolve(&event, &EventContext { id: &self.id, version, occurred_at, causation_id });
        self.history.push(event);
    }
}

#[track_caller]
pub(super) fn assert_id<A: Aggregate>(id: &str) {
    if let Err(error) = id.parse::<A::Id>() {
        panic!("{id:?} is no id of {}: {error}", A::NAME);
    }
}
