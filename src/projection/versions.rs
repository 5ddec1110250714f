//! A set of versions, kept as ranges: what was seen of an aggregate, in whatever order.

use crate::position::Version;

/// The versions seen of one aggregate. As many ranges as there are gaps, not as there are versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions(Vec<(i64, i64)>);

impl Versions {
    /// Nothing seen.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Everything from 1 up to a version.
    #[must_use]
    pub fn up_to(version: Version) -> Self {
        let mut versions = Self::none();
        versions.insert_range(1, version.0);
        versions
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more version.
    pub fn insert(&mut self, version: Version) {
        self.insert_range(version.0, version.0);
    }

    /// All versions of another set.
    pub fn extend(&mut self, other: &Self) {
        for &(from, to) in &other.0 {
            self.insert_range(from, to);
        }
    }

    fn insert_range(&mut self, from: i64, to: i64) {
        if from > to {
            return;
        }
        // Events mostly come in order: then it is the last range that grows.
        let first = match self.0.last() {
            Some(last) if last.1 < from - 1 => self.0.len(),
            _ => self.0.partition_point(|range| range.1 < from - 1),
        };
        let last = first + self.0[first..].partition_point(|range| range.0 <= to + 1);
        let joined = match self.0.get(first..last) {
            Some([one, .., other]) => (from.min(one.0), to.max(other.1)),
            Some([one]) => (from.min(one.0), to.max(one.1)),
            _ => (from, to),
        };
        self.0.splice(first..last, [joined]);
    }

    /// The version up to which nothing is missing.
    #[must_use]
    pub fn complete_to(&self) -> Version {
        match self.0.first() {
            Some(&(1, to)) => Version(to),
            _ => Version::NONE,
        }
    }

    /// The highest version seen.
    #[must_use]
    pub fn highest(&self) -> Version {
        self.0.last().map_or(Version::NONE, |range| Version(range.1))
    }

    /// First and last, if there is no gap between them.
    #[must_use]
    pub fn as_range(&self) -> Option<(Version, Version)> {
        match self.0[..] {
            [(from, to)] => Some((Version(from), Version(to))),
            _ => None,
        }
    }

    /// What was seen beyond a first gap, as text: `5-7,9`.
    #[must_use]
    pub fn ahead(&self) -> String {
        let beyond = self.0.iter().skip(usize::from(self.complete_to() > Version::NONE));
        let ranges = beyond.map(|&(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
        ranges.collect::<Vec<_>>().join(",")
    }

    /// Reads back what [`complete_to`](Self::complete_to) and [`ahead`](Self::ahead) gave. `None` if the
    /// text is not of that form.
    #[must_use]
    pub fn parse(complete_to: Version, ahead: &str) -> Option<Self> {
        let mut versions = Self::up_to(complete_to);
        for range in ahead.split(',').filter(|range| !range.is_empty()) {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            versions.insert_range(from.parse().ok()?, to.parse().ok()?);
        }
        Some(versions)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_order_gives_the_same_set_and_its_text_reads_back(seen in proptest::collection::vec(1i64..30, 0..40)) {
            let mut versions = Versions::none();
            for version in &seen {
                versions.insert(Version(*version));
            }
            let complete = (1..=30).take_while(|version| seen.contains(version)).last().unwrap_or(0);
            prop_assert_eq!(versions.complete_to(), Version(complete));
            prop_assert_eq!(versions.highest(), Version(seen.iter().copied().max().unwrap_or(0)));
            let back = Versions::parse(versions.complete_to(), &versions.ahead());
            prop_assert_eq!(back.as_ref(), Some(&versions));
            let mut halves = Versions::none();
            let (left, right) = seen.split_at(seen.len() / 2);
            for half in [right, left] {
                let mut other = Versions::none();
                for version in half {
                    other.insert(Version(*version));
                }
                halves.extend(&other);
            }
            prop_assert_eq!(halves, versions);
        }
    }
}
