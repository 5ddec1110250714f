//! Time and randomness: the only place that asks the machine for either; and how threads wait.
//!
//! Everything else is given its times as values, so that a replay and the crash schedules see what the
//! first run saw. In a simulation both come from its seed, and threads wait for their turn.

mod mutation;
mod seeded;
mod tasks;
mod threads;
pub(crate) mod turns;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

#[cfg(feature = "mutations")]
pub use mutation::Mutation;
pub(crate) use mutation::is_planted;
pub use seeded::Seeded;
pub use tasks::sleep;
pub(crate) use tasks::{finish, start, within};
pub(crate) use threads::{Thread, elapsed, pause, receive, ring, spawn, wait};
use turns::Seat;

/// A moment, in microseconds since 1970-01-01T00:00:00Z; Avro's `timestamp-micros`. RFC 3339 in text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Before every moment.
    pub const MIN: Self = Self(i64::MIN);

    /// A moment given in milliseconds since 1970, as Kafka counts.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Milliseconds since 1970, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment, later by `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// This moment, earlier by `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} µs", self.0),
        }
    }
}

/// A text that is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time; write it as RFC 3339, for example 2026-01-31T12:00:00Z")]
pub struct TimestampError(String);

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse().map_err(|_| TimestampError(text.to_owned()))?;
        Ok(Self(time.as_microsecond()))
    }
}

/// A moment in JSON: written as RFC 3339, for people; read from that, or from microseconds since 1970, as rows
/// of views have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Timestamp);

impl FromStr for Moment {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Moment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as RFC 3339")
            }

            fn visit_i64<E: de::Error>(self, micros: i64) -> Result<Moment, E> {
                Ok(Moment(Timestamp(micros)))
            }

            fn visit_u64<E: de::Error>(self, micros: u64) -> Result<Moment, E> {
                i64::try_from(micros).map_err(E::custom).and_then(|micros| self.visit_i64(micros))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Where the present time comes from.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    /// Set by a test or a crash schedule.
    Manual(Arc<AtomicI64>),
    /// The machine's clock, put forward by so many microseconds.
    Ahead(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is [set](Self::set).
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// The machine's clock, as long as it is not [put forward](Self::pass).
    #[must_use]
    pub fn adjustable() -> Self {
        Self(Source::Ahead(Arc::default()))
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System | Source::Ahead(_) => machine_s().plus(self.ahead()),
            Source::Manual(now) => Timestamp(now.load(Ordering::SeqCst)),
        }
    }

    fn ahead(&self) -> Duration {
        match &self.0 {
            Source::Ahead(by) => Duration::from_micros(by.load(Ordering::SeqCst).unsigned_abs()),
            Source::System | Source::Manual(_) => Duration::ZERO,
        }
    }

    /// Puts an adjustable or a manual clock forward; does nothing to the machine's.
    pub fn pass(&self, duration: Duration) {
        if let Source::Manual(by) | Source::Ahead(by) = &self.0 {
            by.fetch_add(micros(duration), Ordering::SeqCst);
        }
    }

    /// Sets a manual clock, forward or back; does nothing to the machine's.
    pub fn set(&self, to: Timestamp) {
        if let Source::Manual(now) = &self.0 {
            now.store(to.0, Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
fn machine_s() -> Timestamp {
    if let Some(seat) = Seat::mine() {
        return SIMULATED.plus(seat.now());
    }
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(micros(since_1970))
}

/// When a simulation begins.
const SIMULATED: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A reading of the machine's monotonic clock, for deadlines and for measuring.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
pub fn instant() -> std::time::Instant {
    Seat::mine().map_or_else(std::time::Instant::now, |seat| seat.instant())
}

/// A new time-ordered id (UUID version 7): its first 48 bits say when it was made.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that asks for randomness")]
pub fn new_id() -> Uuid {
    Seat::mine().map_or_else(Uuid::now_v7, |seat| {
        let millis = u64::try_from(machine_s().as_millis()).unwrap_or(0);
        let mut noise = [0; 10];
        noise[..8].copy_from_slice(&seat.draw().to_le_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &noise).into_uuid()
    })
}

/// The moment that a version-7 id carries; `None` for every other id.
#[must_use]
pub fn time_of_id(id: Uuid) -> Option<Timestamp> {
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    let seconds = i64::try_from(seconds).ok()?;
    Some(Timestamp(seconds.checked_mul(1_000_000)? + i64::from(nanos / 1000)))
}

/// A random number, for choosing among equals.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that asks for randomness")]
pub fn random() -> u64 {
    Seat::mine().map_or_else(rand::random, |seat| seat.draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_number_in_a_row_and_a_text_in_an_answer() {
        let moment: Moment = serde_json::from_str("1767225600000000").expect("microseconds");
        let shown = serde_json::to_string(&moment).expect("text");
        assert_eq!(shown, "\"2026-01-01T00:00:00Z\"");
        assert_eq!(serde_json::from_str::<Moment>(&shown).expect("RFC 3339"), moment);
        serde_json::from_str::<Moment>("\"yesterday\"").expect_err("no time");
    }

    #[test]
    fn an_id_says_when_it_was_made() {
        let before = Clock::system().now();
        let made = time_of_id(new_id()).expect("version 7");
        assert!(made.plus(Duration::from_millis(1)) >= before);
        assert_eq!(time_of_id(Uuid::nil()), None);
    }

    #[test]
    fn an_adjustable_clock_goes_with_the_machine_s_from_wherever_it_is_put() {
        let (machine, clock) = (Clock::system(), Clock::adjustable());
        assert!(clock.now() >= machine.now().minus(Duration::from_mins(1)) && clock.now() <= machine.now());
        clock.clone().pass(Duration::from_hours(1));
        assert!(clock.now().since(machine.now()) > Duration::from_mins(59));
    }

    #[test]
    fn a_time_reads_back_what_it_writes() {
        let time: Timestamp = "2026-01-31T12:00:00.000001Z".parse().expect("a time");
        assert_eq!(time.to_string().parse(), Ok(time));
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
