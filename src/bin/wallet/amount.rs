//! Sums of money: whole minor units, exact.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How much is moved: a whole number from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Amount(i64);

/// What is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to {most}", most = i64::MAX)]
pub struct AmountError;

impl Amount {
    /// In minor units.
    pub const fn units(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Amount {
    type Error = AmountError;

    fn try_from(units: i64) -> Result<Self, AmountError> {
        if units > 0 { Ok(Self(units)) } else { Err(AmountError) }
    }
}

impl TryFrom<&Value> for Amount {
    type Error = AmountError;

    /// A number that was written with a fraction or an exponent is none, whatever it comes to.
    fn try_from(value: &Value) -> Result<Self, AmountError> {
        value.as_i64().ok_or(AmountError)?.try_into()
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        text.parse::<i64>().map_err(|_| AmountError)?.try_into()
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_amount_is_a_whole_number_from_one_on() {
        for units in [1, 5, i64::MAX] {
            assert_eq!(Amount::try_from(&json!(units)).map(Amount::units), Ok(units));
        }
        for value in [json!(0), json!(-5), json!(5.0), json!(0.5), json!(1e308), json!("5"), json!(null), json!([5])] {
            assert_eq!(Amount::try_from(&value), Err(AmountError), "{value}");
        }
        assert_eq!(Amount::try_from(&json!(9_223_372_036_854_775_808_u64)), Err(AmountError));
    }
}
