//! Outcomes for stories: what an aggregate, or the engine, could have said to a command.

use serde::Serialize;

use crate::command::{Accepted, Failure, Outcome, Refused};
use crate::position::{Partition, Sequence, Version};

/// The aggregate did as asked.
#[must_use]
pub const fn accepted() -> Outcome {
    accept(None)
}

/// The aggregate did as asked, and replied this.
///
/// # Panics
/// If it is no JSON.
#[must_use]
pub fn accepted_with(reply: &impl Serialize) -> Outcome {
    accept(Some(serde_json::to_string(reply).expect("a reply is JSON")))
}

const fn accept(data: Option<String>) -> Outcome {
    Outcome::Accepted(Accepted { version: Version(1), partition: Partition(0), sequence: Sequence(1), data })
}

/// The aggregate said no, with this code.
#[must_use]
pub fn refused(code: &str) -> Outcome {
    let message = format!("refused: {code}");
    Outcome::Refused(Refused { code: code.to_owned(), message, version: Version(1), data: None })
}

/// The engine could not have it judged.
#[must_use]
pub fn failed(code: Failure) -> Outcome {
    Outcome::failed(code, format!("failed: {}", code.as_str()))
}
