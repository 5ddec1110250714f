//! How much of a list is asked for at once.

use serde::Deserialize;

use super::Hint;

/// How many entries of a list are asked for: `LEAST` to `MOST`, and 100 if nothing is said. Read from a number.
///
/// A query that reads [one more](Self::and_one_more) row than it was asked for, and [cuts](Self::cut) it off,
/// knows whether there is a next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct Limit<const LEAST: i64 = 1, const MOST: i64 = 1000>(i64);

/// A number that is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit {entries}: ask for {least} to {most} at once")]
pub struct LimitError {
    entries: i64,
    least: i64,
    most: i64,
}

impl<const LEAST: i64, const MOST: i64> Limit<LEAST, MOST> {
    /// What is said of a field `limit` in the description of the API.
    pub const HINT: Hint = Hint::of("limit").between(LEAST, MOST).says("How many at most; 100 if nothing is said.");

    /// As few as may be asked for.
    #[must_use]
    pub const fn least() -> Self {
        Self(LEAST)
    }

    /// So many; the least or the most that may be asked for, if that is beyond.
    #[must_use]
    pub fn up_to(entries: usize) -> Self {
        Self(i64::try_from(entries).unwrap_or(MOST).clamp(LEAST, MOST))
    }

    /// How many rows to read.
    #[must_use]
    pub const fn rows(self) -> i64 {
        self.0
    }

    /// How many rows to read: one more than asked for tells whether there are more.
    #[must_use]
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

impl<const LEAST: i64, const MOST: i64> Default for Limit<LEAST, MOST> {
    fn default() -> Self {
        Self::up_to(100)
    }
}

impl<const LEAST: i64, const MOST: i64> TryFrom<i64> for Limit<LEAST, MOST> {
    type Error = LimitError;

    fn try_from(entries: i64) -> Result<Self, LimitError> {
        if (LEAST..=MOST).contains(&entries) {
            Ok(Self(entries))
        } else {
            Err(LimitError { entries, least: LEAST, most: MOST })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_asked_for_in_pages_of_so_many() {
        assert!(<Limit>::try_from(1).is_ok() && <Limit>::try_from(1000).is_ok() && Limit::<0, 5>::try_from(0).is_ok());
        for entries in [0, -1, 1001, i64::MAX] {
            let error = <Limit>::try_from(entries).expect_err("no limit").to_string();
            assert!(error.contains("limit") && error.contains("1 to 1000"), "{error}");
        }
        assert_eq!((<Limit>::default().rows(), Limit::<0, 5>::default().rows()), (100, 5));
        assert_eq!((<Limit>::up_to(0).rows(), <Limit>::up_to(usize::MAX).rows()), (1, 1000));
    }

    #[test]
    fn one_more_row_tells_that_there_are_more() {
        let limit = <Limit>::up_to(2);
        let mut rows = vec![1, 2, 3];
        assert_eq!(limit.and_one_more(), 3);
        assert!(limit.cut(&mut rows));
        assert_eq!(rows, [1, 2]);
        assert!(!limit.cut(&mut rows));
    }
}
