//! Purses that send money to each other, and the saga that delivers it or takes it back.

use std::fmt;
use std::time::Duration;

use headwater::command::Outcome;
use headwater::saga::{Input, Reaction, SagaContext, SagaId};
use headwater::schema::{Message, MessageSchema};
use headwater::{Aggregate, Context, Decision, EventContext, Recorded, Refusal, Saga};
use serde::{Deserialize, Serialize};

/// A command or an event, with its schema.
macro_rules! messages {
    ($($group:ident { $($name:ident { $($field:ident: $type:ty as $avro:literal),* })* })*) => {$(
        $(
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            pub struct $name { $(pub $field: $type),* }

            impl From<$name> for $group {
                fn from(message: $name) -> Self {
                    Self::$name(message)
                }
            }
        )*

        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum $group { $($name($name)),* }

        impl Message for $group {
            const SCHEMAS: &'static [MessageSchema] = &[$(MessageSchema::new(
                stringify!($name),
                concat!(
                    r#"{"type": "record", "name": ""#, stringify!($name), r#"", "fields": ["#,
                    messages!(@fields $({ $field $avro })*), "]}"
                ),
            )),*];
        }
    )*};
    (@fields { $first:ident $avro:literal } $({ $field:ident $type:literal })*) => {
        concat!(
            r#"{"name": ""#, stringify!($first), r#"", "type": ""#, $avro, r#""}"#,
            $(r#", {"name": ""#, stringify!($field), r#"", "type": ""#, $type, r#""}"#),*
        )
    };
    (@fields) => { "" };
}

messages! {
    Command {
        Fill { amount: i64 as "long" }
        Send { number: i64 as "long", to: String as "string", amount: i64 as "long", patience: i64 as "long" }
        Approve { number: i64 as "long" }
        Receive { amount: i64 as "long" }
        TakeBack { amount: i64 as "long" }
        Lock {}
        Unlock {}
    }
    Event {
        Filled { amount: i64 as "long" }
        Sent { number: i64 as "long", to: String as "string", amount: i64 as "long", patience: i64 as "long" }
        Approved { number: i64 as "long" }
        Received { amount: i64 as "long" }
        TakenBack { amount: i64 as "long" }
        Locked {}
        Unlocked {}
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Purse {
    pub balance: i64,
    /// A locked purse takes nothing.
    pub locked: bool,
}

impl Message for Purse {
    const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new(
        "Purse",
        r#"{"type": "record", "name": "Purse", "fields": [
            {"name": "balance", "type": "long"}, {"name": "locked", "type": "boolean"}]}"#,
    )];
}

#[derive(Debug)]
pub struct IsLocked;

impl fmt::Display for IsLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the purse is locked")
    }
}

impl std::error::Error for IsLocked {}

impl Refusal for IsLocked {
    const CODES: &'static [&'static str] = &["locked"];

    fn code(&self) -> &'static str {
        "locked"
    }
}

impl Aggregate for Purse {
    const NAME: &'static str = "purse";
    type Id = String;
    type Command = Command;
    type Event = Event;
    type Refusal = IsLocked;

    fn decide(&self, command: Command, _: &Context<'_>) -> Result<Decision<Event>, IsLocked> {
        Ok(Decision::event(match command {
            Command::Receive(_) | Command::TakeBack(_) if self.locked => return Err(IsLocked),
            Command::Fill(Fill { amount }) => Event::Filled(Filled { amount }),
            Command::Send(Send { number, to, amount, patience }) => Event::Sent(Sent { number, to, amount, patience }),
            Command::Approve(Approve { number }) => Event::Approved(Approved { number }),
            Command::Receive(Receive { amount }) => Event::Received(Received { amount }),
            Command::TakeBack(TakeBack { amount }) => Event::TakenBack(TakenBack { amount }),
            Command::Lock(Lock {}) => Event::Locked(Locked {}),
            Command::Unlock(Unlock {}) => Event::Unlocked(Unlocked {}),
        }))
    }

    fn evolve(&mut self, event: &Event, _: &EventContext<'_>) {
        match event {
            Event::Filled(Filled { amount })
            | Event::Received(Received { amount })
            | Event::TakenBack(TakenBack { amount }) => self.balance += amount,
            Event::Sent(Sent { amount, .. }) => self.balance -= amount,
            Event::Approved(_) => {}
            Event::Locked(_) => self.locked = true,
            Event::Unlocked(_) => self.locked = false,
        }
    }
}

/// Money under way between two purses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub from: String,
    pub to: String,
    pub amount: i64,
    /// How often the receiver's command was not acted on.
    pub failures: i64,
}

impl Message for Delivery {
    const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new(
        "Delivery",
        r#"{"type": "record", "name": "Delivery", "fields": [
            {"name": "from", "type": "string"}, {"name": "to", "type": "string"},
            {"name": "amount", "type": "long"}, {"name": "failures", "type": "long"}]}"#,
    )];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    Receive,
    TakeBack,
}

/// What cannot be delivered goes back; what is not approved in time too.
pub const RETRY: Duration = Duration::from_millis(200);

impl Saga for Delivery {
    const NAME: &'static str = "delivery";
    type Source = Purse;
    type Step = Step;

    fn correlate(event: &Recorded<Event>) -> Option<SagaId> {
        match &event.data {
            Event::Sent(Sent { number, .. }) | Event::Approved(Approved { number }) => {
                Some(SagaId::of(&event.aggregate_id, number))
            }
            _ => None,
        }
    }

    fn react(&mut self, input: Input<Self>, at: &SagaContext<'_>) -> Reaction<Self> {
        match input {
            Input::Event(event) => self.event(event, at),
            Input::Outcome { of: Step::Receive, outcome } => match outcome {
                Outcome::Accepted(_) => Reaction::none().end(),
                Outcome::Refused(_) => self.take_back(),
                Outcome::Failed(_) => {
                    self.failures += 1;
                    Reaction::none().retry(RETRY)
                }
            },
            Input::Outcome { of: Step::TakeBack, .. } => Reaction::none().end(),
            Input::Deadline => self.take_back(),
        }
    }
}

impl Delivery {
    fn event(&mut self, event: Recorded<Event>, at: &SagaContext<'_>) -> Reaction<Self> {
        match event.data {
            Event::Sent(Sent { to, amount, patience, .. }) => {
                assert!(to != "nowhere", "there is no such place");
                *self = Self { from: event.aggregate_id, to, amount, failures: 0 };
                match u64::try_from(patience) {
                    Ok(patience @ 1..) => Reaction::none().deadline(at.time.plus(Duration::from_millis(patience))),
                    _ => self.deliver(),
                }
            }
            Event::Approved(_) if !self.to.is_empty() => self.deliver().no_deadline(),
            _ => Reaction::none(),
        }
    }

    fn deliver(&self) -> Reaction<Self> {
        Reaction::none().send::<Purse>(Step::Receive, &self.to, Receive { amount: self.amount })
    }

    fn take_back(&self) -> Reaction<Self> {
        let back = TakeBack { amount: self.amount };
        Reaction::none().compensate::<Purse>(Step::TakeBack, &self.from, back)
    }
}
