//! A card with a PIN that nobody should see by accident.

use std::convert::Infallible;

use headwater::aggregate::{Aggregate, Context, Decision, EventContext};
use headwater::schema::{Message, MessageSchema};
use serde::{Deserialize, Serialize};

/// A PIN whose judging panics, so that its command is parked.
pub const UNLUCKY: &str = "swordfish";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    pub holder: String,
    pub pin: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issue {
    pub holder: String,
    pub pin: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issued {
    pub holder: String,
    pub pin: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    Issue(Issue),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Issued(Issued),
}

macro_rules! schema {
    ($type:ty: $name:literal) => {
        impl Message for $type {
            const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new(
                $name,
                concat!(
                    r#"{"type": "record", "name": ""#,
                    $name,
                    r#"", "fields": [{"name": "holder", "type": "string"},
                        {"name": "pin", "type": "string", "secret": true}]}"#
                ),
            )];
        }
    };
}
schema!(Card: "Card");
schema!(Command: "Issue");
schema!(Event: "Issued");

impl Aggregate for Card {
    const NAME: &'static str = "card";
    type Id = String;
    type Command = Command;
    type Event = Event;
    type Refusal = Infallible;

    fn decide(
        &self,
        Command::Issue(Issue { holder, pin }): Command,
        _: &Context<'_>,
    ) -> Result<Decision<Event>, Infallible> {
        assert!(pin != UNLUCKY, "unlucky");
        Ok(Decision::event(Event::Issued(Issued { holder, pin })))
    }

    fn evolve(&mut self, Event::Issued(Issued { holder, pin }): &Event, _: &EventContext<'_>) {
        *self = Self { holder: holder.clone(), pin: pin.clone() };
    }
}
