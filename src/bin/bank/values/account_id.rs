//! The number of an account: six digits.

use std::fmt;
use std::str::FromStr;

use headwater::query::Hint;
use serde::{Deserialize, Serialize};

/// The number of an account: six digits, as text everywhere, so that no reader drops its zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(u32);

/// A text that is no account id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("account_id {0:?}: an account id is six digits, for example 000123")]
pub struct AccountIdError(String);

impl AccountId {
    const DIGITS: usize = 6;
    /// What it looks like, for the description of the API.
    pub const PATTERN: &'static str = "^[0-9]{6}$";
    /// The first that is ever given out.
    pub const FIRST: Self = Self(1);
    /// The last that six digits can say.
    pub const LAST: Self = Self(999_999);

    /// What is said of it in the description of the API.
    pub const fn hint(field: &'static str) -> Hint {
        Hint::of(field).matches(Self::PATTERN).says("The account's number.")
    }

    /// The number after this one; `None` after the last.
    pub fn next(self) -> Option<Self> {
        (self < Self::LAST).then_some(Self(self.0 + 1))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

impl FromStr for AccountId {
    type Err = AccountIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let six_digits = text.len() == Self::DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| six_digits);
        number.map(Self).ok_or_else(|| AccountIdError(text.chars().take(50).collect()))
    }
}

impl TryFrom<String> for AccountId {
    type Error = AccountIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.to_string()
    }
}

impl From<AccountId> for headwater::projection::Value {
    fn from(id: AccountId) -> Self {
        Self::Text(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_is_six_digits() {
        for text in ["000000", "000123", "999999"] {
            assert_eq!(text.parse::<AccountId>().expect(text).to_string(), text);
        }
        for text in ["", "12345", "1234567", "+12345", "-12345", "12345a", " 12345", "１２３４５６", "١٢٣"] {
            let error = text.parse::<AccountId>().expect_err(text).to_string();
            assert!(error.contains("account_id") && error.contains("six digits"), "{error}");
        }
    }

    #[test]
    fn an_account_id_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<AccountId>("\"000001\"").is_ok());
        assert!(serde_json::from_str::<AccountId>("\"1\"").is_err());
        assert_eq!(serde_json::to_string(&AccountId::FIRST).expect("text"), "\"000001\"");
    }

    #[test]
    fn there_is_no_number_after_the_last() {
        assert_eq!(AccountId::FIRST.next().map(String::from).as_deref(), Some("000002"));
        assert_eq!(AccountId::LAST.next(), None);
    }
}
