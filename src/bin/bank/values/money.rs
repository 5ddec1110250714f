//! Money: what an account holds, and amounts of it that move.
//!
//! Both are whole numbers of minor units, never floats. People and JSON see two decimal places.

use std::fmt;
use std::ops::{Add, Neg, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A sum of money, also a negative one, in minor units: -1234 is -12.34.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(i64);

/// An amount that moves: more than nothing and at most a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Amount(i64);

/// A text that is no sum of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no sum of money; write it with two decimal places, for example 12.34")]
pub struct MoneyError(String);

/// A sum that is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("amount {0}: an amount is more than 0.00 and at most {max}", max = Money(Amount::MAX_MINOR))]
pub struct AmountError(Money);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// That many minor units.
    pub const fn from_minor(units: i64) -> Self {
        Self(units)
    }

    /// How many minor units it is.
    pub const fn minor(self) -> i64 {
        self.0
    }
}

impl Amount {
    const MAX_MINOR: i64 = 100_000_000;

    /// The amount as a sum of money.
    pub const fn money(self) -> Money {
        Money(self.0)
    }
}

impl TryFrom<Money> for Amount {
    type Error = AmountError;

    fn try_from(money: Money) -> Result<Self, Self::Error> {
        if (1..=Self::MAX_MINOR).contains(&money.0) { Ok(Self(money.0)) } else { Err(AmountError(money)) }
    }
}

impl TryFrom<i64> for Amount {
    type Error = AmountError;

    fn try_from(units: i64) -> Result<Self, Self::Error> {
        Money(units).try_into()
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

const NO_OVERFLOW: &str = "more than 90 thousand million amounts of the largest size are not in one account";

impl From<Money> for headwater::projection::Value {
    fn from(money: Money) -> Self {
        Self::Integer(money.0)
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect(NO_OVERFLOW))
    }
}

impl Sub for Money {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).expect(NO_OVERFLOW))
    }
}

impl Add<Amount> for Money {
    type Output = Self;

    fn add(self, amount: Amount) -> Self {
        self + amount.money()
    }
}

impl Sub<Amount> for Money {
    type Output = Self;

    fn sub(self, amount: Amount) -> Self {
        self - amount.money()
    }
}

impl Neg for Money {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.checked_neg().expect(NO_OVERFLOW))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", units / 100, units % 100)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.money().fmt(f)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
            let (whole, cents) = digits.split_once('.')?;
            let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            (all_digits(whole) && all_digits(cents) && cents.len() == 2).then_some(())?;
            let units = whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(cents.parse().ok()?)?;
            Some(Self(if negative { -units } else { units }))
        };
        parse().ok_or_else(|| MoneyError(text.chars().take(50).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_more_than_nothing_and_at_most_a_million() {
        for units in [1, 100_000_000] {
            assert_eq!(Amount::try_from(units).map(i64::from), Ok(units));
        }
        for units in [0, -1, 100_000_001, i64::MIN, i64::MAX] {
            let error = Amount::try_from(units).expect_err("no amount").to_string();
            assert!(error.contains("amount") && error.contains("at most 1000000.00"), "{error}");
        }
    }

    #[test]
    fn an_amount_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<Amount>("1").is_ok());
        assert!(serde_json::from_str::<Amount>("0").is_err());
    }

    #[test]
    fn money_has_two_decimal_places_in_text() {
        for (units, text) in [(0, "0.00"), (5, "0.05"), (1234, "12.34"), (-10_000, "-100.00"), (-7, "-0.07")] {
            assert_eq!(Money(units).to_string(), text);
            assert_eq!(text.parse(), Ok(Money(units)));
        }
        assert_eq!(Money(i64::MIN).to_string(), "-92233720368547758.08");
    }

    #[test]
    fn a_text_that_is_no_money_is_refused_with_the_rule() {
        for text in ["", "1", "1.2", "1.234", ".50", "1,00", "+1.00", "1e3", "--1.00", "1.-1", "999999999999999999.00"]
        {
            let error = text.parse::<Money>().expect_err(text).to_string();
            assert!(error.contains("two decimal places"), "{error}");
        }
    }
}
