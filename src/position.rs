//! Where a fact stands: partition, offset, version, sequence and position.
//!
//! Nothing numeric is bare in the engine: each of these counts something else, and mixing two of
//! them up compiles to nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A partition of a topic, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub i32);

/// An offset of a record within its partition, counted from 0 and sparse: transaction markers and
/// aborted records take offsets too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

/// Number of an event within its aggregate: 1, 2, 3 … without gap or repeat. 0 means "no event yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub i64);

/// Number of an event within its partition, given by the partition's one writer: 1, 2, 3 …
/// without gap or repeat. 0 means "no event yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub i64);

impl Offset {
    /// The first offset of a partition that nothing was ever deleted from.
    pub const ZERO: Self = Self(0);

    /// The offset to read after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Version {
    /// Before the first event.
    pub const NONE: Self = Self(0);

    /// The version of the event after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Sequence {
    /// Before the first event.
    pub const NONE: Self = Self(0);

    /// The sequence of the event after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

macro_rules! displays_its_number {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
displays_its_number!(Partition, Offset, Version, Sequence);

/// Where an event stands in its aggregate's log: `account/3:1042` is the event with sequence 1042 of
/// partition 3 of aggregate type `account`. Text in JSON, on the command line and in headers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The aggregate's type name.
    pub aggregate: String,
    /// The partition of the aggregate's topics.
    pub partition: Partition,
    /// The sequence within the partition.
    pub sequence: Sequence,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.aggregate, self.partition, self.sequence)
    }
}

/// A text that is no position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no position; write it as AGGREGATE/PARTITION:SEQUENCE, for example account/3:1042")]
pub struct PositionError(String);

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (aggregate, numbers) = text.split_once('/')?;
            let (partition, sequence) = numbers.split_once(':')?;
            let partition: i32 = partition.parse().ok().filter(|it| *it >= 0)?;
            let sequence: i64 = sequence.parse().ok().filter(|it| *it >= 0)?;
            (!aggregate.is_empty()).then(|| Self {
                aggregate: aggregate.to_owned(),
                partition: Partition(partition),
                sequence: Sequence(sequence),
            })
        };
        parse().ok_or_else(|| PositionError(text.to_owned()))
    }
}

impl Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_what_it_writes() {
        let position: Position = "account/3:1042".parse().expect("a position");
        assert_eq!(position.to_string(), "account/3:1042");
        assert_eq!(position.sequence, Sequence(1042));
    }

    #[test]
    fn what_is_no_position_is_refused_with_the_rule() {
        for text in ["", "account", "account/3", "/3:1", "account/x:1", "account/-1:1", "account/1:-1"] {
            let error = text.parse::<Position>().expect_err(text).to_string();
            assert!(error.contains("AGGREGATE/PARTITION:SEQUENCE"), "{error}");
        }
    }
}
