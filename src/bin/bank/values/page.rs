//! How much of a list is asked for at once.

use headwater::query::Hint;
use serde::Deserialize;

/// How many entries of a list are asked for: 1 to 1000, and 100 if nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct Limit(i64);

/// A number that is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit {0}: ask for 1 to {most} entries at once", most = Limit::MOST)]
pub struct LimitError(i64);

impl Limit {
    const MOST: i64 = 1000;
    /// What is said of it in the description of the API.
    pub const HINT: Hint = Hint::of("limit").between(1, Self::MOST).says("How many at most; 100 if nothing is said.");

    /// How many rows to read.
    pub const fn rows(self) -> i64 {
        self.0
    }

    /// How many rows to read: one more than asked for tells whether there are more.
    pub const fn and_one_more(self) -> i64 {
        self.0 + 1
    }

    /// Cuts the one more off, and says whether it was there.
    pub fn cut<T>(self, rows: &mut Vec<T>) -> bool {
        let asked = usize::try_from(self.0).unwrap_or(usize::MAX);
        let more = rows.len() > asked;
        rows.truncate(asked);
        more
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<i64> for Limit {
    type Error = LimitError;

    fn try_from(entries: i64) -> Result<Self, Self::Error> {
        if (1..=Self::MOST).contains(&entries) { Ok(Self(entries)) } else { Err(LimitError(entries)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_asked_for_in_pages_of_one_to_a_thousand() {
        for entries in [1, 1000] {
            assert!(Limit::try_from(entries).is_ok());
        }
        for entries in [0, -1, 1001, i64::MAX] {
            let error = Limit::try_from(entries).expect_err("no limit").to_string();
            assert!(error.contains("limit") && error.contains("1 to 1000"), "{error}");
        }
    }

    #[test]
    fn one_more_row_tells_that_there_are_more() {
        let limit = Limit::try_from(2).expect("a limit");
        let mut rows = vec![1, 2, 3];
        assert!(limit.cut(&mut rows));
        assert_eq!(rows, [1, 2]);
        assert!(!limit.cut(&mut rows));
    }
}
