//! Aggregates: consistency boundaries that judge commands and fold events.

mod codecs;
mod context;
mod decision;
pub mod processor;
mod refusal;

use std::fmt::Display;
use std::str::FromStr;

pub use codecs::{Codecs, HandOffTarget, HandOffTargets};
pub use context::{Context, EventContext};
pub use decision::{Decision, HandOff};
pub use refusal::Refusal;

use crate::schema::Message;

/// How long commands and outcomes of an aggregate are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttemptsRetention {
    /// As long as the setting `topology.command_retention` says.
    #[default]
    Setting,
    /// For ever.
    Forever,
}

/// A consistency boundary: one instance judges its commands one after the other, and only its events
/// change it.
///
/// The value is the state of one instance; its `Default` is the state before the first event.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    note = "implement `headwater::Aggregate` for the state, with its `Command`, `Event` and `Refusal`"
)]
pub trait Aggregate: Message + Default {
    /// The type's name, in topics, paths and positions: lower case letters, digits and `_`.
    const NAME: &'static str;
    /// Raise it when `evolve` or the state changes its meaning: snapshots of another number are never
    /// used, the events are folded instead.
    const STATE: i32 = 1;
    /// How long its commands and outcomes are kept, and with them what
    /// a view of its attempts tells of.
    const ATTEMPTS_RETENTION: AttemptsRetention = AttemptsRetention::Setting;
    /// The id of an instance. A text that does not parse is bad input, before anything else.
    type Id: FromStr<Err: Display> + Display;
    /// What may be asked of it.
    type Command: Message;
    /// What can happen to it.
    type Event: Message;
    /// How it says no. [`Infallible`](std::convert::Infallible) if it never does.
    type Refusal: Refusal;
    /// The regular expression that ids match, for the description of the API. What binds is
    /// [`Id`](Self::Id).
    const ID_PATTERN: Option<&'static str> = None;

    /// Judges a command against the present state. Pure: no clock, no I/O, no randomness.
    ///
    /// # Errors
    /// The aggregate's "no": a business answer, which changes nothing.
    fn decide(&self, command: Self::Command, at: &Context<'_>) -> Result<Decision<Self::Event>, Self::Refusal>;

    /// Folds one fact into the state. Total: a fact cannot be refused.
    fn evolve(&mut self, event: &Self::Event, at: &EventContext<'_>);
}
