//! What follows from a command that an aggregate accepts.

use std::any::Any;
use std::fmt;

use serde::Serialize;

use super::Aggregate;

/// What follows from an accepted command: events, commands handed to other aggregates, reply data.
/// All of it is written in one transaction, or none.
#[derive(Debug)]
#[must_use = "a decision does nothing until it is returned"]
pub struct Decision<E> {
    events: Vec<E>,
    hand_offs: Vec<HandOff>,
    reply: Option<Result<String, String>>,
}

/// A command handed to another aggregate in the same transaction.
pub struct HandOff {
    /// The type of the aggregate that is to judge it.
    pub aggregate: &'static str,
    /// The instance's id.
    pub id: String,
    command: Box<dyn Any + Send>,
    show: fn(&dyn Any) -> String,
}

impl HandOff {
    /// The command, if it is one of aggregate `A`.
    #[must_use]
    pub fn command<A: Aggregate>(&self) -> Option<&A::Command> {
        self.command.downcast_ref()
    }
}

impl HandOff {
    pub(crate) fn to<A: Aggregate>(id: impl fmt::Display, command: impl Into<A::Command>) -> Self {
        let command: A::Command = command.into();
        let show = |command: &dyn Any| format!("{:?}", command.downcast_ref::<A::Command>());
        Self { aggregate: A::NAME, id: id.to_string(), command: Box::new(command), show }
    }

    pub(crate) fn payload(&self) -> &(dyn Any + Send) {
        &*self.command
    }
}

impl fmt::Debug for HandOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.aggregate, self.id, (self.show)(&*self.command))
    }
}

impl<E> Decision<E> {
    /// Accepts without an event: all is already as asked.
    pub const fn none() -> Self {
        Self { events: Vec::new(), hand_offs: Vec::new(), reply: None }
    }

    /// Accepts with one event.
    pub fn event(event: impl Into<E>) -> Self {
        Self::none().and(event)
    }

    /// One more event.
    pub fn and(mut self, event: impl Into<E>) -> Self {
        self.events.push(event.into());
        self
    }

    /// Hands a command to another aggregate, in the same transaction. Its id is derived from this
    /// command's, so a repeat of this command repeats nothing there.
    pub fn hand_off<A: Aggregate>(mut self, id: impl fmt::Display, command: impl Into<A::Command>) -> Self {
        self.hand_offs.push(HandOff::to::<A>(id, command));
        self
    }

    /// Data for whoever waits for the outcome, as JSON.
    pub fn reply(mut self, data: &impl Serialize) -> Self {
        self.reply = Some(serde_json::to_string(data).map_err(|error| error.to_string()));
        self
    }

    /// The events, in order.
    #[must_use]
    pub fn events(&self) -> &[E] {
        &self.events
    }

    /// The commands handed on, in order.
    #[must_use]
    pub fn hand_offs(&self) -> &[HandOff] {
        &self.hand_offs
    }

    /// The reply data as JSON text; `Err` says why it could not be written as JSON.
    #[must_use]
    pub fn reply_data(&self) -> Option<Result<&str, &str>> {
        self.reply.as_ref().map(|reply| reply.as_deref().map_err(String::as_str))
    }

    pub(crate) fn into_parts(self) -> (Vec<E>, Vec<HandOff>, Option<Result<String, String>>) {
        (self.events, self.hand_offs, self.reply)
    }
}
