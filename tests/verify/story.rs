//! The log of one partition, written by hand, so that a test can plant any fault in it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater::aggregate::Codecs;
use headwater::clock::{Clock, Timestamp};
use headwater::command::{
    Accepted, CommandHead, Control, DeadLetter, DeadLetterCode, Failure, Outcome, OutcomeEntry, Outcomes,
    ParkedCommand, Refused, payload_hash,
};
use headwater::event::{Checkpoint, EventHead, SnapshotControl, SnapshotHead};
use headwater::log::embedded::EmbeddedLog;
use headwater::log::{CommittedOffset, Log, Outgoing, Record, Topic};
use headwater::position::{Offset, Partition, Sequence, Version};
use headwater::schema::{Data, InMemoryRegistry, Registry};
use headwater::topology::{Topology, partition_of};
use headwater::verify::{self, AggregateCounts, Findings, Report, Scope};
use uuid::Uuid;

use crate::tally::{Add, Added, Command, Event, Pass, Passed, Tally};

const PARTITIONS: i32 = 2;
pub const WEEK: Duration = Duration::from_hours(7 * 24);

pub fn noon() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().expect("a time")
}

/// The id number `number` that belongs into this partition.
pub fn id_in(partition: i32, number: usize) -> String {
    let belongs = |id: &String| partition_of(id.as_bytes(), PARTITIONS) == Partition(partition);
    (0..).map(|it| format!("t{it}")).filter(belongs).nth(number).expect("there are many")
}

pub fn a() -> String {
    id_in(0, 0)
}

pub fn b() -> String {
    id_in(0, 1)
}

/// A command as it is sent; none if its bytes make no sense.
#[derive(Clone)]
pub struct Sent {
    pub id: String,
    pub head: CommandHead,
    pub command: Option<Command>,
    /// What stands in the place of a command, if it is one of the engine's.
    pub control: Option<Control>,
}

/// A snapshot, or a checkpoint.
#[derive(Clone)]
pub struct Snapshot {
    pub key: Vec<u8>,
    pub head: SnapshotHead,
    pub data: Result<Tally, Checkpoint>,
}

/// Everything that stands in partition 0, in order: the offset of each record is its place here.
pub struct Story {
    pub commands: Vec<Sent>,
    pub events: Vec<(String, EventHead, Event)>,
    pub outcomes: Vec<Outcomes>,
    pub snapshots: Vec<Snapshot>,
    pub dead_letters: Vec<DeadLetter>,
    pub parked: Vec<(String, ParkedCommand)>,
    /// The next command to judge.
    pub committed: i64,
}

pub struct World {
    pub log: EmbeddedLog,
    pub clock: Clock,
    topology: Topology,
    codecs: Codecs<Tally>,
    registry: Arc<dyn Registry>,
}

impl World {
    pub fn new() -> Self {
        let topology = Topology {
            app: "test".to_owned(),
            partitions: PARTITIONS,
            reply_partitions: 1,
            command_retention: WEEK,
            reply_retention: WEEK,
        };
        let clock = Clock::manual(noon());
        let log = EmbeddedLog::in_memory(clock.clone()).expect("a log");
        log.create(&topology.specs(&["tally"], &[])).expect("topics");
        let registry: Arc<dyn Registry> = Arc::new(InMemoryRegistry::default());
        let codecs = Codecs::<Tally>::new(&registry, &topology).expect("codecs");
        codecs.register().expect("registered");
        Self { log, clock, topology, codecs, registry }
    }

    /// An outcome of the command at `offset`, as the engine would write it.
    pub fn entry(&self, offset: i64, sent: &Sent, outcome: Outcome) -> OutcomeEntry {
        let value = self.encode(sent);
        let decoded = self.codecs.commands.decode(&value).expect("a command");
        let about_copy = matches!(&outcome, Outcome::Failed(failed) if failed.code == Failure::Conflict);
        OutcomeEntry {
            aggregate_id: sent.id.as_str().into(),
            command_id: sent.head.id,
            appended_at: self.clock.now(),
            offset: Offset(offset),
            schema_id: decoded.schema_id.0,
            payload_hash: payload_hash(&value[decoded.payload], sent.head.expected_version),
            about_copy,
            outcome,
        }
    }

    pub fn encode(&self, sent: &Sent) -> Bytes {
        if let Some(control) = &sent.control {
            return self.codecs.commands.encode(&sent.head, Data::Engine(control)).expect("encodes");
        }
        let Some(command) = &sent.command else { return Bytes::from_static(b"nonsense") };
        self.codecs.commands.encode(&sent.head, Data::User(command)).expect("encodes")
    }

    /// Adds the story to the log, and sets the group's offset.
    pub fn write(&self, story: &Story) {
        let topics = &self.codecs.topics;
        let codecs = &self.codecs;
        for sent in &story.commands {
            self.send(&topics.commands, Some(sent.id.as_bytes()), self.encode(sent));
        }
        self.write_events(Partition(0), &story.events);
        for outcomes in &story.outcomes {
            self.send(&topics.outcomes, None, codecs.outcomes.encode(outcomes).expect("encodes"));
        }
        for Snapshot { key, head, data } in &story.snapshots {
            let control = data.as_ref().err().map(|checkpoint| SnapshotControl::Checkpoint(checkpoint.clone()));
            let data = match (data, &control) {
                (Ok(state), _) => Data::User(state),
                (Err(_), Some(control)) => Data::Engine(control),
                (Err(_), None) => unreachable!("a checkpoint is a control"),
            };
            self.send(&topics.snapshots, Some(key), codecs.snapshots.encode(head, data).expect("encodes"));
        }
        for letter in &story.dead_letters {
            let value = codecs.dead_letters.encode(letter).expect("encodes");
            self.send(&self.topology.dead_letters(), None, value);
        }
        for (id, parked) in &story.parked {
            self.send(&topics.parked, Some(id.as_bytes()), codecs.parked.encode(parked).expect("encodes"));
        }
        let place = topics.commands.partition(Partition(0));
        let committed = CommittedOffset { offset: Offset(story.committed), metadata: String::new() };
        let group = self.topology.command_group("tally");
        self.log.set_committed(&group, &[(place, committed)]).expect("committed");
    }

    /// Adds events alone to the log.
    pub fn write_events(&self, partition: Partition, events: &[(String, EventHead, Event)]) {
        for (id, head, event) in events {
            let value = self.codecs.events.encode(head, Data::User(event)).expect("encodes");
            self.send_to(partition, &self.codecs.topics.events, Some(id.as_bytes()), value);
        }
    }

    fn send(&self, topic: &Topic, key: Option<&[u8]>, value: Bytes) {
        self.send_to(Partition(0), topic, key, value);
    }

    fn send_to(&self, partition: Partition, topic: &Topic, key: Option<&[u8]>, value: Bytes) {
        let record = Outgoing {
            topic: topic.clone(),
            partition,
            key: key.map(Bytes::copy_from_slice),
            value: Some(value),
            traceparent: None,
        };
        let sender = self.log.sender().expect("a sender");
        sender.send(record, Box::new(|delivered| assert!(delivered.is_ok(), "{delivered:?}"))).expect("room");
        sender.flush(Duration::from_mins(1)).expect("flushed");
    }

    pub fn letter_about(&self, offset: i64) -> DeadLetter {
        let record = Record {
            topic: self.codecs.topics.commands.clone(),
            partition: Partition(0),
            offset: Offset(offset),
            timestamp: self.clock.now(),
            key: None,
            value: Some(Bytes::from_static(b"nonsense")),
            traceparent: None,
        };
        DeadLetter::about(&record, DeadLetterCode::Undecodable, "no command".to_owned(), self.clock.now())
    }

    pub fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.log.clone())
    }

    pub fn registry(&self) -> Arc<dyn Registry> {
        self.registry.clone()
    }

    pub fn scope(&self) -> Scope<'_> {
        Scope { log: &self.log, topology: &self.topology, stall: Duration::from_mins(1), progress: &|_| {} }
    }

    pub fn audit(&self) -> (Report, AggregateCounts) {
        let mut findings = Findings::default();
        let counts = verify::aggregate(&self.scope(), &self.codecs, &mut findings).expect("audited");
        (Report::new(findings, vec![counts.clone()], Vec::new(), Vec::new(), Vec::new()), counts)
    }
}

pub fn sent(number: u128, id: String, command: Command) -> Sent {
    let head = CommandHead {
        id: Uuid::from_u128(number),
        issued_at: noon(),
        expected_version: None,
        causation_id: None,
        correlation_id: Uuid::from_u128(number),
        reply_to: None,
    };
    Sent { id, head, command: Some(command), control: None }
}

pub fn add(amount: i64) -> Command {
    Command::Add(Add { amount })
}

pub fn event(version: i64, sequence: i64, cause: u128, id: String, event: Event) -> (String, EventHead, Event) {
    let head = EventHead {
        id: Uuid::from_u128(sequence.unsigned_abs().into()),
        version: Version(version),
        sequence: Sequence(sequence),
        occurred_at: noon(),
        causation_id: Uuid::from_u128(cause),
        correlation_id: Uuid::from_u128(cause),
    };
    (id, head, event)
}

pub fn added(amount: i64, total: i64) -> Event {
    Event::Added(Added { amount, total })
}

pub fn accepted(version: i64, sequence: i64) -> Outcome {
    let (version, sequence) = (Version(version), Sequence(sequence));
    Outcome::Accepted(Accepted { version, partition: Partition(0), sequence, data: None })
}

fn refused(version: i64) -> Outcome {
    let (code, message) = ("over_limit".to_owned(), "over".to_owned());
    Outcome::Refused(Refused { code, message, version: Version(version), data: None })
}

pub fn outcomes(first: i64, next: i64, sequence: i64, entries: Vec<OutcomeEntry>) -> Outcomes {
    Outcomes { first_offset: Offset(first), next_offset: Offset(next), sequence: Sequence(sequence), entries }
}

fn snapshot(id: String, version: i64, sequence: i64, total: i64) -> Snapshot {
    let (version, sequence) = (Version(version), Sequence(sequence));
    let head = SnapshotHead { version, partition: Partition(0), sequence, state: 1 };
    Snapshot { key: id.into_bytes(), head, data: Ok(Tally { total, passed: 0 }) }
}

/// Two tallies, every kind of answer, and a checkpoint in the middle. Nothing is wrong with it.
pub fn healthy(world: &World) -> Story {
    let commands = vec![
        sent(100, a(), add(5)),
        sent(101, b(), add(7)),
        sent(102, a(), add(200)),
        sent(103, a(), add(3)),
        sent(100, a(), add(5)),
        sent(100, a(), add(6)),
        Sent { command: None, ..sent(106, a(), add(0)) },
        sent(107, a(), add(0)),
        sent(108, a(), Command::Pass(Pass { amount: 4, to: b() })),
        sent(109, b(), add(1)),
        sent(110, a(), add(1)),
    ];
    let events = vec![
        event(1, 1, 100, a(), added(5, 5)),
        event(1, 2, 101, b(), added(7, 7)),
        event(2, 3, 103, a(), added(3, 8)),
        event(3, 4, 108, a(), added(4, 12)),
        event(4, 5, 108, a(), Event::Passed(Passed { amount: 4 })),
        event(2, 6, 109, b(), added(1, 8)),
    ];
    let entry = |offset: usize, outcome| world.entry(i64::try_from(offset).expect("few"), &commands[offset], outcome);
    let conflict = Outcome::failed(Failure::Conflict, "another payload");
    let outcomes = vec![
        outcomes(0, 3, 2, vec![entry(0, accepted(1, 1)), entry(1, accepted(1, 2)), entry(2, refused(1))]),
        outcomes(3, 6, 3, vec![entry(3, accepted(2, 3)), entry(5, conflict)]),
        outcomes(6, 10, 6, vec![entry(7, accepted(2, 3)), entry(8, accepted(4, 5)), entry(9, accepted(2, 6))]),
    ];
    let checkpoint = Checkpoint {
        events_offset: Offset(3),
        sequence: Sequence(3),
        partition_time: noon(),
        commands_offset: Offset(6),
        outcomes_offset: Offset(0),
        parked_offset: Offset::ZERO,
        forgotten: Timestamp::MIN,
        parked: Vec::new(),
    };
    let head = SnapshotHead { version: Version::NONE, partition: Partition(0), sequence: Sequence(3), state: 1 };
    let snapshots = vec![
        snapshot(a(), 2, 3, 8),
        snapshot(b(), 1, 2, 7),
        Snapshot { key: Checkpoint::KEY.to_vec(), head, data: Err(checkpoint) },
    ];
    let dead_letters = vec![world.letter_about(6)];
    Story { commands, events, outcomes, snapshots, dead_letters, parked: Vec::new(), committed: 10 }
}
