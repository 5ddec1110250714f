//! How numbers of the views are shown: a number in a row, a text in the answer's JSON.

use headwater::clock::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::values::Money;

/// A sum of money, shown as `12.34`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Decimal(pub Money);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A moment, shown as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_numbers_and_an_answer_shows_texts() {
        let money: Decimal = serde_json::from_str("-1234").expect("minor units");
        assert_eq!(serde_json::to_string(&money).expect("text"), "\"-12.34\"");
        let time: Moment = serde_json::from_str("1767225600000000").expect("microseconds");
        assert_eq!(serde_json::to_string(&time).expect("text"), "\"2026-01-01T00:00:00Z\"");
    }
}
