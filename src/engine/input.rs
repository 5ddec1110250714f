//! What comes from outside, by name: commands, and what can be wrong with them.

use serde_json::Value;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::position::Version;

/// A command as a client gives it, before anything of it is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandInput {
    /// The aggregate's type name.
    pub aggregate: String,
    /// The aggregate's id.
    pub id: String,
    /// The command's type name.
    pub command: String,
    /// Its fields.
    pub data: Value,
    /// The command's id; one is made if there is none.
    pub command_id: Option<Uuid>,
    /// When it was issued, if its id does not say so.
    pub issued_at: Option<Timestamp>,
    /// Judge it only if the aggregate stands at this version.
    pub expect: Option<Version>,
    /// Whether commands that only the engine sends are let through.
    pub internal: bool,
}

/// Input that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{rule}", place(pointer))]
pub struct BadInput {
    /// Where, as a JSON pointer; empty for the whole.
    pub pointer: String,
    /// The rule that it breaks.
    pub rule: String,
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!("{pointer}: ") }
}

impl BadInput {
    /// A rule that is broken at a place.
    pub fn at(pointer: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), rule: rule.into() }
    }
}

/// `; did you mean "X"?`, or nothing if no name is near.
#[must_use]
pub fn suggest<'a>(asked: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(name, asked), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    nearest.map(|(_, name)| format!("; did you mean {name:?}?")).unwrap_or_default()
}
