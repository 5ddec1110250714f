//! Recognising a command that was judged before.
//!
//! A repeated id gets its first outcome again and changes nothing. What makes it safe whatever the
//! sizes is `forgotten`, the highest append time of any outcome no longer held: a command that is not
//! remembered is judged only if it was issued after it, with a minute to spare for its sender's clock.
//! So forgetting early can only refuse a command (`too_old`), never judge one twice.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use uuid::Uuid;

use super::{Failure, OutcomeEntry, PayloadHash};
use crate::clock::Timestamp;
use crate::position::{Offset, Version};

/// What a sender's clock may differ from the log's.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// One for all, so that a command is hashed once and then looked for in several places.
static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

/// What names a command: an id counts for one aggregate.
#[derive(Clone, Copy, Debug)]
pub struct CommandKey<'a> {
    command_id: Uuid,
    aggregate_id: &'a str,
    hash: u64,
}

impl<'a> CommandKey<'a> {
    /// The name of a command to an aggregate.
    #[must_use]
    pub fn new(aggregate_id: &'a str, command_id: Uuid) -> Self {
        Self { command_id, aggregate_id, hash: HASHER.hash_one((command_id, aggregate_id)) }
    }

    fn names(&self, entry: &OutcomeEntry) -> bool {
        self.command_id == entry.command_id && *self.aggregate_id == *entry.aggregate_id
    }
}

/// Finds outcomes by their commands, where they are held in an order that numbers them.
///
/// It holds neither keys nor outcomes, only numbers; each call is told how to get at an outcome.
#[derive(Debug, Default)]
pub struct CommandIndex(HashTable<Slot>);

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u64,
    number: usize,
}

impl CommandIndex {
    /// The number of a command's outcome.
    pub fn find<'e>(&self, key: &CommandKey<'_>, held: impl Fn(usize) -> &'e OutcomeEntry) -> Option<usize> {
        let is_it = |slot: &Slot| slot.hash == key.hash && key.names(held(slot.number));
        self.0.find(key.hash, is_it).map(|slot| slot.number)
    }

    /// Enters an outcome by its number; a later one of the same command takes its place.
    pub fn insert<'e>(&mut self, key: &CommandKey<'_>, number: usize, held: impl Fn(usize) -> &'e OutcomeEntry) {
        let is_it = |slot: &Slot| slot.hash == key.hash && key.names(held(slot.number));
        match self.0.find_mut(key.hash, is_it) {
            Some(slot) => slot.number = number,
            None => {
                self.0.insert_unique(key.hash, Slot { hash: key.hash, number }, |slot| slot.hash);
            }
        }
    }

    fn remove(&mut self, key: &CommandKey<'_>, number: usize) {
        if let Ok(slot) = self.0.find_entry(key.hash, |slot| slot.number == number) {
            slot.remove();
        }
    }
}

/// The hash of a command's payload: its type and datum, and the version it expects.
#[must_use]
pub fn payload_hash(type_and_datum: &[u8], expected: Option<Version>) -> PayloadHash {
    let seed = expected.map_or(0, |version| version.0.cast_unsigned().wrapping_add(1));
    PayloadHash(xxhash_rust::xxh3::xxh3_128_with_seed(type_and_datum, seed))
}

/// The outcomes of one partition that are still remembered.
#[derive(Debug)]
pub struct Deduplication {
    /// In the order of the commands, hence of their append times (but for a broker's clock running back).
    outcomes: VecDeque<Held>,
    index: CommandIndex,
    /// How many were forgotten: the number of the first one held.
    first: usize,
    forgotten: Timestamp,
    remember: Duration,
    limit: usize,
}

#[derive(Debug)]
struct Held {
    entry: OutcomeEntry,
    /// The outcomes record, or one before it.
    record: Offset,
}

impl Deduplication {
    /// Remembers outcomes for `remember`, and at most `limit` of them.
    #[must_use]
    pub fn new(remember: Duration, limit: usize) -> Self {
        let (outcomes, index) = (VecDeque::new(), CommandIndex::default());
        Self { outcomes, index, first: 0, forgotten: Timestamp::MIN, remember, limit }
    }

    /// The first outcome of a command, if it is remembered.
    #[must_use]
    pub fn get(&self, key: &CommandKey<'_>) -> Option<&OutcomeEntry> {
        let held = |number: usize| &self.outcomes[number - self.first].entry;
        self.index.find(key, held).map(held)
    }

    /// Whether a command that is not remembered may be judged, by when it was issued and appended.
    pub fn admits(&self, issued_at: Timestamp, appended_at: Timestamp) -> Result<(), (Failure, String)> {
        if issued_at.minus(CLOCK_TOLERANCE) <= self.forgotten {
            let message = format!(
                "issued at {issued_at}, but outcomes are remembered only after {}; it may have been judged already: \
                 look at the aggregate, then send it anew under a new id",
                self.forgotten.plus(CLOCK_TOLERANCE)
            );
            return Err((Failure::TooOld, message));
        }
        if issued_at > appended_at.plus(CLOCK_TOLERANCE) {
            let message = format!(
                "issued at {issued_at}, more than a minute after it reached the log at {appended_at}; set the sender's clock"
            );
            return Err((Failure::ClockSkew, message));
        }
        Ok(())
    }

    /// Remembers a committed outcome; one about a copy is passed over. `record` is the offset of its
    /// outcomes record, or of one before it.
    pub fn remember(&mut self, entry: OutcomeEntry, record: Offset) {
        if entry.about_copy {
            return;
        }
        self.outcomes.push_back(Held { entry, record });
        let (first, outcomes) = (self.first, &self.outcomes);
        let number = first + outcomes.len() - 1;
        let held = |number: usize| &outcomes[number - first].entry;
        self.index.insert(&held(number).key(), number, held);
    }

    /// Forgets what is older than the time to remember, seen from `now`, and what is over the limit.
    pub fn forget(&mut self, now: Timestamp) {
        let oldest = now.minus(self.remember);
        while let Some(Held { entry, .. }) = self.outcomes.front() {
            if entry.appended_at >= oldest && self.outcomes.len() <= self.limit {
                break;
            }
            self.forgotten = self.forgotten.max(entry.appended_at);
            self.index.remove(&entry.key(), self.first);
            self.outcomes.pop_front();
            self.first += 1;
        }
    }

    /// The highest append time of any outcome that is no longer held.
    #[must_use]
    pub const fn forgotten(&self) -> Timestamp {
        self.forgotten
    }

    /// Admits nothing issued up to `time`; never goes back.
    pub fn raise_forgotten(&mut self, time: Timestamp) {
        self.forgotten = self.forgotten.max(time);
    }

    /// The append time of the oldest outcome held.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        self.outcomes.front().map(|held| held.entry.appended_at)
    }

    /// From where the outcomes topic must be read to remember all of this again; `end` if nothing is.
    #[must_use]
    pub fn first_record(&self, end: Offset) -> Offset {
        self.outcomes.front().map_or(end, |held| held.record)
    }

    /// How many outcomes are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Accepted, Outcome};
    use crate::position::{Partition, Sequence};

    const SECOND: i64 = 1_000_000;

    fn entry(number: u128, appended_at: i64) -> OutcomeEntry {
        let outcome = Outcome::Accepted(Accepted {
            version: Version(1),
            partition: Partition(0),
            sequence: Sequence(1),
            data: None,
        });
        OutcomeEntry {
            aggregate_id: "000001".into(),
            command_id: Uuid::from_u128(number),
            appended_at: Timestamp(appended_at * SECOND),
            offset: Offset(0),
            schema_id: 7,
            payload_hash: PayloadHash(number),
            about_copy: false,
            outcome,
        }
    }

    fn key(number: u128) -> CommandKey<'static> {
        CommandKey::new("000001", Uuid::from_u128(number))
    }

    fn memory() -> Deduplication {
        Deduplication::new(Duration::from_mins(10), 1000)
    }

    #[test]
    fn an_outcome_is_remembered_for_its_aggregate_alone() {
        let mut memory = memory();
        memory.remember(entry(1, 0), Offset(5));
        assert!(memory.get(&key(1)).is_some());
        let other = CommandKey::new("000002", Uuid::from_u128(1));
        assert!(memory.get(&other).is_none());
        assert_eq!(memory.first_record(Offset(9)), Offset(5));
    }

    #[test]
    fn an_answer_about_a_copy_never_enters_the_memory() {
        let mut memory = memory();
        memory.remember(OutcomeEntry { about_copy: true, ..entry(1, 0) }, Offset(0));
        assert!(memory.is_empty());
    }

    #[test]
    fn what_is_forgotten_is_never_judged_again() {
        let mut memory = memory();
        memory.remember(entry(1, 1000), Offset(0));
        memory.forget(Timestamp(1601 * SECOND));
        assert!(memory.get(&key(1)).is_none());
        let verdict = |issued: i64| memory.admits(Timestamp(issued * SECOND), Timestamp(1601 * SECOND));
        assert_eq!(verdict(1000).expect_err("too old").0, Failure::TooOld);
        assert_eq!(verdict(1060).expect_err("not strictly later").0, Failure::TooOld);
        assert!(verdict(1061).is_ok());
    }

    #[test]
    fn the_limit_forgets_the_oldest_and_says_so() {
        let mut memory = Deduplication::new(Duration::from_mins(10), 2);
        for number in 1..=3_u32 {
            memory.remember(entry(number.into(), 100 + i64::from(number)), Offset(number.into()));
        }
        memory.forget(Timestamp(103 * SECOND));
        assert_eq!(memory.len(), 2);
        assert_eq!(memory.forgotten(), Timestamp(101 * SECOND));
    }

    #[test]
    fn a_command_is_found_whatever_was_forgotten_before_it() {
        let mut memory = Deduplication::new(Duration::from_mins(10), 100);
        for number in 1..=1000_u32 {
            memory.remember(entry(number.into(), 0), Offset(0));
            memory.forget(Timestamp(0));
        }
        let remembered: Vec<_> = (1..=1000).filter(|number| memory.get(&key(*number)).is_some()).collect();
        assert_eq!(remembered, (901..=1000).collect::<Vec<_>>());
        assert!(memory.get(&key(950)).is_some_and(|entry| entry.payload_hash == PayloadHash(950)));
    }

    #[test]
    fn a_command_remembered_twice_is_forgotten_with_the_later() {
        let mut memory = Deduplication::new(Duration::from_mins(10), 2);
        for number in [1, 1, 2] {
            memory.remember(entry(number, 0), Offset(0));
            memory.forget(Timestamp(0));
        }
        assert!(memory.get(&key(1)).is_some());
        memory.remember(entry(3, 0), Offset(0));
        memory.forget(Timestamp(0));
        assert!(memory.get(&key(1)).is_none());
    }

    #[test]
    fn a_command_from_the_future_is_not_judged() {
        let memory = memory();
        let appended = Timestamp(1000 * SECOND);
        assert!(memory.admits(Timestamp(1060 * SECOND), appended).is_ok());
        assert_eq!(memory.admits(Timestamp(1061 * SECOND), appended).expect_err("future").0, Failure::ClockSkew);
    }

    #[test]
    fn a_conflict_is_another_payload_under_the_same_schema() {
        let first = entry(1, 0);
        assert!(first.conflicts_with(7, PayloadHash(2)));
        assert!(!first.conflicts_with(7, PayloadHash(1)));
        assert!(!first.conflicts_with(8, PayloadHash(2)));
    }

    #[test]
    fn the_expected_version_is_part_of_the_payload() {
        assert_ne!(payload_hash(b"x", None), payload_hash(b"x", Some(Version(0))));
        assert_ne!(payload_hash(b"x", Some(Version(1))), payload_hash(b"x", Some(Version(2))));
    }
}
