//! The name on an account.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text;

/// The name on an account: 5 to 15 characters, whatever bytes they take.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name: {0}; a name has 5 to 15")]
pub struct NameError(text::Fault);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text::check(&text, 5..=15).map_err(NameError)?;
        Ok(Self(text))
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.to_owned().try_into()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_five_to_fifteen_characters() {
        for text in ["Emmet", "Fifteen letters"] {
            assert_eq!(Name::try_from(text).map(String::from).as_deref(), Ok(text));
        }
        for text in ["", "Four", "Sixteen letters!", "Emm\net", "Emmet\0"] {
            let error = Name::try_from(text).expect_err(text).to_string();
            assert!(error.contains("name") && error.contains("5 to 15"), "{error}");
        }
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert!(Name::try_from("Zoë Müller Çelik").is_err(), "16 characters");
        assert!(Name::try_from("Zoë Müller Çel").is_ok());
        assert!(Name::try_from("山田太郎").is_err(), "4 characters in 12 bytes");
        assert!(Name::try_from("山田太郎子").is_ok());
    }

    #[test]
    fn a_name_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<Name>("\"Lucy\"").is_err());
        assert!(serde_json::from_str::<Name>("\"Lucie\"").is_ok());
    }
}
