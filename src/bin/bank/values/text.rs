//! What is asked of a text that people give: its length in characters, and nothing that cannot be shown.

use std::ops::RangeInclusive;

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is too short or too long.
    #[error("{0} characters")]
    Length(usize),
    /// It has a control character. Some databases cannot store them, and no statement shows them.
    #[error("a control character")]
    Control,
}

/// Holds a text to a number of characters, whatever bytes they take.
pub fn check(text: &str, characters: RangeInclusive<usize>) -> Result<(), Fault> {
    let count = text.chars().count();
    if !characters.contains(&count) {
        return Err(Fault::Length(count));
    }
    if text.chars().any(|character| character.is_ascii_control()) {
        return Err(Fault::Control);
    }
    Ok(())
}
