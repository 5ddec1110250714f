//! The name of a transaction, given by whoever begins it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::text;

/// The name of a transaction: 1 to 50 characters, whatever bytes they take. It counts only beside the
/// account that began the transaction: two customers may use the same one.
///
/// Shared and not copied: an account remembers a thousand of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct TransactionId(Arc<str>);

/// A text that is no transaction id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction_id: {0}; a transaction id has 1 to 50")]
pub struct TransactionIdError(text::Fault);

impl TransactionId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for TransactionId {
    type Error = TransactionIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.as_str().try_into()
    }
}

impl TryFrom<&str> for TransactionId {
    type Error = TransactionIdError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text::check(text, 1..=50).map_err(TransactionIdError)?;
        Ok(Self(text.into()))
    }
}

impl Serialize for TransactionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<&TransactionId> for headwater::projection::Value {
    fn from(id: &TransactionId) -> Self {
        id.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_id_has_one_to_fifty_characters() {
        let longest = "ü".repeat(50);
        for text in ["1", "rent of May", "山", &longest] {
            assert_eq!(TransactionId::try_from(text).expect(text).as_str(), text);
        }
        for text in ["", &"x".repeat(51), "two\nlines", "\0"] {
            let error = TransactionId::try_from(text).expect_err(text).to_string();
            assert!(error.contains("transaction_id") && error.contains("1 to 50"), "{error}");
        }
    }

    #[test]
    fn a_transaction_id_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<TransactionId>("\"\"").is_err());
        let read: TransactionId = serde_json::from_str("\"t1\"").expect("a transaction id");
        assert_eq!(serde_json::to_string(&read).expect("text"), "\"t1\"");
    }
}
