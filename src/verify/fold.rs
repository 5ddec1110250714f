//! The full fold of one partition: every event from the first, with its versions, sequences and times.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hashbrown::HashMap;

use super::records::EventRecord;
use super::report::{Findings, Place, Rule};
use crate::aggregate::{Aggregate, EventContext};
use crate::clock::Timestamp;
use crate::log::TopicPartition;
use crate::position::{Offset, Sequence, Version};
use crate::topology::partition_of;

/// One aggregate as folded.
#[derive(Clone, Debug)]
pub(super) struct Folded<A> {
    /// None if it cannot be known: its first events are gone, or folding one of them panicked.
    pub state: Option<A>,
    pub version: Version,
    /// The sequence of its last event.
    pub sequence: Sequence,
}

/// Folds the events of one partition.
pub(super) struct Fold<A> {
    place: TopicPartition,
    partitions: i32,
    /// Whether the log still holds the first event.
    whole: bool,
    instances: HashMap<Box<str>, Folded<A>>,
    sequence: Sequence,
    time: Timestamp,
    events: u64,
}

impl<A: Aggregate> Fold<A> {
    pub fn new(place: TopicPartition, partitions: i32, low: Offset, findings: &mut Findings) -> Self {
        let whole = low == Offset::ZERO;
        if !whole {
            let what = format!("events before offset {low} were deleted; they were to be kept for ever");
            findings.add(Rule::Sequences, Place::partition(&place), what);
        }
        let (sequence, time) = (Sequence::NONE, Timestamp::MIN);
        Self { place, partitions, whole, instances: HashMap::new(), sequence, time, events: 0 }
    }

    /// The sequence of the last event.
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// How many events were folded.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// An aggregate as of the last event.
    pub fn get(&self, id: &str) -> Option<&Folded<A>> {
        self.instances.get(id)
    }

    /// Every aggregate.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Folded<A>)> {
        self.instances.iter().map(|(id, folded)| (&**id, folded))
    }

    /// How many aggregates have an event.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// The version of an aggregate, 0 before its first event.
    pub fn version(&self, id: &str) -> Version {
        self.instances.get(id).map_or(Version::NONE, |folded| folded.version)
    }

    /// Folds one more event; goes on from what it finds, so that one fault is reported once.
    pub fn event(&mut self, offset: Offset, record: &EventRecord<A::Event>, findings: &mut Findings) {
        self.check_place(offset, record, findings);
        self.check_sequence(offset, record, findings);
        let (id, head) = (record.aggregate_id.as_str(), &record.head);
        let place = || Place::record(&self.place, offset, Some(id));
        self.events += 1;
        if !self.instances.contains_key(id) {
            let state = (self.whole || head.version == Version(1)).then(A::default);
            // Where the first events are gone, the first that is left says where its aggregate stood.
            let version = if self.whole { Version::NONE } else { Version(head.version.0 - 1) };
            self.instances.insert(id.into(), Folded { state, version, sequence: Sequence::NONE });
        }
        let folded = self.instances.get_mut(id).expect("it was just inserted if it was missing");
        if head.version != folded.version.next() {
            let found = if head.version <= folded.version { "again" } else { "" };
            let what = format!("version {} {found} after version {}", head.version, folded.version);
            findings.add(Rule::Versions, place(), what.replace("  ", " "));
        }
        folded.version = head.version;
        folded.sequence = head.sequence;
        let Some(state) = &mut folded.state else { return };
        let at =
            EventContext { id, version: head.version, occurred_at: head.occurred_at, causation_id: head.causation_id };
        if catch_unwind(AssertUnwindSafe(|| state.evolve(&record.event, &at))).is_err() {
            folded.state = None;
            findings.add(Rule::Records, place(), "folding it panics: correct `evolve`, which must be total");
        }
    }

    fn check_place(&self, offset: Offset, record: &EventRecord<A::Event>, findings: &mut Findings) {
        let id = record.aggregate_id.as_str();
        let partition = partition_of(id.as_bytes(), self.partitions);
        if partition != self.place.partition {
            let what = format!("it belongs into partition {partition} (murmur2 of its key)");
            findings.add(Rule::Records, Place::record(&self.place, offset, Some(id)), what);
        }
    }

    fn check_sequence(&mut self, offset: Offset, record: &EventRecord<A::Event>, findings: &mut Findings) {
        let head = &record.head;
        let place = || Place::record(&self.place, offset, Some(&record.aggregate_id));
        let is_first_left = !self.whole && self.events == 0;
        if head.sequence != self.sequence.next() && !is_first_left {
            let what =
                if head.sequence <= self.sequence { "was there before: two writers" } else { "an event is lost" };
            let what = format!("sequence {} after {}: {what}", head.sequence, self.sequence);
            findings.add(Rule::Sequences, place(), what);
        }
        if head.occurred_at < self.time {
            let what = format!("it occurred at {}, before the event before it ({})", head.occurred_at, self.time);
            findings.add(Rule::Sequences, place(), what);
        }
        self.sequence = head.sequence;
        self.time = head.occurred_at;
    }
}
