//! Where a view can be set to: every target of Kafka's own tool for resetting offsets, and a position.

use std::str::FromStr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::position::{Offset, Partition, Position};

/// Where a replay sets a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Before the first event: everything is folded anew.
    Earliest,
    /// After the last event.
    Latest,
    /// After the event at this position. Other partitions stay where they are.
    Position(Position),
    /// Before the first event of this time or later.
    Time(Timestamp),
    /// The same, this long ago.
    Ago(Duration),
    /// Where it is: changes nothing.
    Current,
    /// So many offsets on, or back if negative; at most to the ends of what is held.
    Shift(i64),
    /// These offsets, at most to the ends of what is held. Other partitions stay where they are.
    Offsets(Vec<OffsetTarget>),
}

/// An offset that is next to be read in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetTarget {
    /// The aggregate, or the topic.
    pub of: String,
    /// The partition.
    pub partition: Partition,
    /// The next offset to read.
    pub offset: Offset,
}

impl OffsetTarget {
    /// Reads a line as `kafka-consumer-groups --reset-offsets --from-file` does: topic, partition and
    /// offset, with commas between.
    ///
    /// # Errors
    /// If it is not of that form.
    pub fn from_csv(line: &str) -> Result<Self, TargetError> {
        let parse = || {
            let mut fields = line.split(',').map(str::trim);
            let (of, partition, offset) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let is_one = !of.is_empty() && fields.next().is_none();
            is_one.then(|| Self { of: of.to_owned(), partition: Partition(partition), offset: Offset(offset) })
        };
        parse().ok_or_else(|| TargetError(line.to_owned()))
    }
}

/// `account/3:1042`, where the last number is an offset.
impl FromStr for OffsetTarget {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let position: Position = text.parse().map_err(|_| TargetError(text.to_owned()))?;
        let Position { aggregate, partition, sequence } = position;
        Ok(Self { of: aggregate, partition, offset: Offset(sequence.0) })
    }
}

/// A text that is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no target; write earliest, latest, current, a position as account/3:1042, a time as 2026-01-31T12:00:00Z or \
     how long ago as 2h 30m or P1DT12H"
)]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ago = || {
            let span: jiff::Span = text.parse().ok()?;
            let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
            Duration::try_from(duration).ok().map(Self::Ago)
        };
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            "current" => Ok(Self::Current),
            _ => {
                let position = || text.parse().ok().map(Self::Position);
                let time = || text.parse().ok().map(Self::Time);
                position().or_else(time).or_else(ago).ok_or_else(|| TargetError(text.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_a_target_is_understood() {
        assert_eq!("earliest".parse(), Ok(Target::Earliest));
        assert_eq!("latest".parse(), Ok(Target::Latest));
        assert_eq!("account/3:7".parse(), Ok(Target::Position("account/3:7".parse().expect("a position"))));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Target::Time(Timestamp(1_000_000))));
        assert_eq!("current".parse(), Ok(Target::Current));
        assert_eq!("2h 30m".parse(), Ok(Target::Ago(Duration::from_mins(150))));
        assert_eq!("PT2H30M".parse(), Ok(Target::Ago(Duration::from_mins(150))));
        assert_eq!("P1D".parse(), Ok(Target::Ago(Duration::from_hours(24))));
        for text in ["", "yesterday", "account/x:1", "-2h"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn offsets_are_read_as_positions_are_and_as_lines_of_kafkas_own_files() {
        let of = |of: &str| OffsetTarget { of: of.to_owned(), partition: Partition(3), offset: Offset(120) };
        assert_eq!("account/3:120".parse(), Ok(of("account")));
        assert_eq!(OffsetTarget::from_csv("bank.account.events,3,120"), Ok(of("bank.account.events")));
        assert_eq!(OffsetTarget::from_csv("bank.account.events, 3, 120"), Ok(of("bank.account.events")));
        for line in ["", "bank.account.events,3", "bank.account.events,3,x", "a,3,120,1", ",3,120"] {
            assert!(OffsetTarget::from_csv(line).is_err(), "{line}");
        }
    }
}
