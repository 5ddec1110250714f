//! Where a view can be set to: `earliest`, `latest`, a position, a time, or a duration ago.

use std::str::FromStr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::position::Position;

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
}

/// A text that is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no target; write earliest, latest, a position as account/3:1042, a time as 2026-01-31T12:00:00Z or how long ago \
     as 2h 30m"
)]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ago = || {
            let duration: jiff::SignedDuration = text.parse().ok()?;
            Duration::try_from(duration).ok().map(Self::Ago)
        };
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
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
        assert_eq!("2h 30m".parse(), Ok(Target::Ago(Duration::from_mins(150))));
        for text in ["", "yesterday", "account/x:1", "-2h"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
