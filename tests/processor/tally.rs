//! A small aggregate whose every answer a plain model can foretell.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use headwater::aggregate::{Aggregate, Context, Decision, EventContext, Refusal};
use headwater::schema::{Message, MessageSchema};
use serde::{Deserialize, Serialize};

/// An amount whose judging panics, until the tally is [mended](set_mended).
pub const UNLUCKY: i64 = -13;
/// An amount whose folding panics, until the tally is [mended](set_mended).
pub const UNFOLDABLE: i64 = -17;
/// No tally goes over it.
pub const LIMIT: i64 = 100;

static MENDED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// As if the code were corrected, or broken again, for the tally of this id alone; `*` is all.
pub fn set_mended(id: &str, mended: bool) {
    let mut ids = MENDED.lock().unwrap_or_else(PoisonError::into_inner);
    if mended {
        ids.insert(id.to_owned());
    } else {
        ids.remove(id);
    }
}

fn is_mended(id: &str) -> bool {
    let ids = MENDED.lock().unwrap_or_else(PoisonError::into_inner);
    ids.contains(id) || ids.contains("*")
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub total: i64,
    pub passed: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Add {
    pub amount: i64,
}

/// Adds here, and hands the same amount on to another tally.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    pub amount: i64,
    pub to: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    Add(Add),
    Pass(Pass),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Added {
    pub amount: i64,
    pub total: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    pub amount: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Added(Added),
    Passed(Passed),
}

macro_rules! schemas {
    ($type:ty: $($name:literal $fields:literal),+) => {
        impl Message for $type {
            const SCHEMAS: &'static [MessageSchema] = &[$(MessageSchema::new(
                $name,
                concat!(r#"{"type": "record", "name": ""#, $name, r#"", "fields": ["#, $fields, "]}"),
            )),+];
        }
    };
}
schemas!(Tally: "Tally" r#"{"name": "total", "type": "long"}, {"name": "passed", "type": "long"}"#);
schemas!(Command:
    "Add" r#"{"name": "amount", "type": "long"}"#,
    "Pass" r#"{"name": "amount", "type": "long"}, {"name": "to", "type": "string"}"#);
schemas!(Event:
    "Added" r#"{"name": "amount", "type": "long"}, {"name": "total", "type": "long"}"#,
    "Passed" r#"{"name": "amount", "type": "long"}"#);

#[derive(Debug)]
pub struct OverLimit(i64);

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is over {LIMIT}", self.0)
    }
}

impl std::error::Error for OverLimit {}

impl Refusal for OverLimit {
    const CODES: &'static [&'static str] = &["over_limit"];

    fn code(&self) -> &'static str {
        "over_limit"
    }
}

impl Aggregate for Tally {
    const NAME: &'static str = "tally";
    type Id = String;
    type Command = Command;
    type Event = Event;
    type Refusal = OverLimit;

    fn decide(&self, command: Command, at: &Context<'_>) -> Result<Decision<Event>, OverLimit> {
        assert!(!matches!(command, Command::Add(Add { amount: UNLUCKY })) || is_mended(at.id), "unlucky");
        let add = |amount: i64| {
            let total = self.total + amount;
            if total > LIMIT { Err(OverLimit(total)) } else { Ok(Event::Added(Added { amount, total })) }
        };
        match command {
            Command::Add(Add { amount: 0 }) => Ok(Decision::none().reply(&self.total)),
            Command::Add(Add { amount }) => Ok(Decision::event(add(amount)?)),
            Command::Pass(Pass { amount, to }) => Ok(Decision::event(add(amount)?)
                .and(Event::Passed(Passed { amount }))
                .hand_off::<Self>(to, Command::Add(Add { amount }))),
        }
    }

    fn evolve(&mut self, event: &Event, at: &EventContext<'_>) {
        match event {
            Event::Added(Added { total, amount }) => {
                self.total = *total;
                assert!(*amount != UNFOLDABLE || is_mended(at.id), "unfoldable");
            }
            Event::Passed(Passed { amount }) => self.passed += amount,
        }
    }
}
