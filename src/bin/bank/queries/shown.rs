//! How numbers of the views are shown: a number in a row, a text in the answer's JSON.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_numbers_and_an_answer_shows_texts() {
        let money: Decimal = serde_json::from_str("-1234").expect("minor units");
        assert_eq!(serde_json::to_string(&money).expect("text"), "\"-12.34\"");
    }
}
