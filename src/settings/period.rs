//! Stretches of time as people write them: `500ms`, `5s`, `10m`, `2h`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A stretch of time in settings and on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// Units, the largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A text that is no stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no stretch of time; write a number and a unit (ms, s, m, h, d), for example 5s")]
pub struct PeriodError(String);

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PeriodError(text.to_owned());
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().map_err(|_| error())?;
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        let millis = number.checked_mul(*millis).ok_or_else(error)?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (unit, size) =
            UNITS.iter().find(|(_, size)| millis.is_multiple_of(u128::from(*size))).copied().unwrap_or(("ms", 1));
        if millis == 0 { f.write_str("0s") } else { write!(f, "{}{unit}", millis / u128::from(size)) }
    }
}

impl Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_reads_back_what_it_writes() {
        for (text, millis) in [("500ms", 500), ("5s", 5000), ("90s", 90_000), ("2h", 7_200_000), ("7d", 604_800_000)] {
            let period: Period = text.parse().expect(text);
            assert_eq!((period.0.as_millis(), period.to_string().as_str()), (millis, text));
        }
        assert_eq!("60s".parse::<Period>().expect("a period").to_string(), "1m");
    }

    #[test]
    fn what_is_no_period_is_refused_with_the_rule() {
        for text in ["", "5", "s", "5 s", "-5s", "5y", "99999999999999999999d", "999999999999999999d"] {
            let error = text.parse::<Period>().expect_err(text).to_string();
            assert!(error.contains("number and a unit"), "{error}");
        }
    }
}
