//! An embedded log with the events of shelves, written as a worker writes them.

use std::sync::Arc;

use headwater::clock::{self, Clock, Timestamp};
use headwater::event::EventHead;
use headwater::log::embedded::EmbeddedLog;
use headwater::log::kafka::{KafkaLog, KafkaSettings};
use headwater::log::{Log, Outgoing, Retention, TimeKind, TopicSpec, TransactionError, Writer};
use headwater::position::{Offset, Partition, Position, Sequence, Version};
use headwater::projection::worker::{WorkerParts, WorkerSettings};
use headwater::schema::{Codec, Data, InMemoryRegistry, Registry};
use headwater::topology::{Topology, partition_of};
use headwater::{Aggregate, Recorded};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

use crate::sample::{BookPlaced, Shelf, ShelfEvent, ShelfRemoved};

pub const PARTITIONS: i32 = 4;

pub struct Library {
    pub log: Arc<dyn Log>,
    pub registry: Arc<dyn Registry>,
    pub topology: Topology,
    pub clock: Clock,
    codec: Codec<EventHead, ShelfEvent>,
    writer: Box<dyn Writer>,
    versions: BTreeMap<String, i64>,
    sequences: BTreeMap<Partition, i64>,
    /// Every event that was committed, in order.
    pub events: Vec<Recorded<ShelfEvent>>,
}

fn writer_id(app: &str) -> String {
    format!("{app}.test")
}

impl Library {
    /// On an embedded log.
    pub fn new(app: &str) -> Self {
        let clock = Clock::manual(Timestamp(1_767_225_600_000_000));
        let log = EmbeddedLog::in_memory(clock.clone()).expect("an embedded log");
        Self::over(Arc::new(log), clock, app)
    }

    /// On Kafka, if `HEADWATER_TEST_KAFKA` names one.
    pub fn on_kafka() -> Option<Self> {
        let Ok(bootstrap_servers) = std::env::var("HEADWATER_TEST_KAFKA") else {
            assert!(std::env::var("HEADWATER_TEST_REQUIRE").is_err(), "HEADWATER_TEST_KAFKA names no Kafka");
            eprintln!("passed over: HEADWATER_TEST_KAFKA names no Kafka");
            return None;
        };
        let settings = KafkaSettings { bootstrap_servers, ..KafkaSettings::default() };
        let log = KafkaLog::connect(settings).expect("a cluster");
        Some(Self::over(Arc::new(log), Clock::system(), &format!("v{}", clock::new_id().simple())))
    }

    fn over(log: Arc<dyn Log>, clock: Clock, app: &str) -> Self {
        let topology = Topology {
            app: app.to_owned(),
            partitions: PARTITIONS,
            reply_partitions: 1,
            command_retention: Duration::from_hours(24),
            reply_retention: Duration::from_hours(1),
        };
        log.create(&topology.specs(&[Shelf::NAME], &[])).expect("topics");
        let registry: Arc<dyn Registry> = Arc::new(InMemoryRegistry::default());
        let topic = topology.aggregate(Shelf::NAME).events;
        let codec = Codec::new(registry.clone(), topic.as_str(), &format!("{app}.shelf")).expect("sound schemas");
        codec.register().expect("nothing was registered before");
        let writer = log.writer(&writer_id(app)).expect("a writer");
        let (versions, sequences, events) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { log, registry, topology, clock, codec, writer, versions, sequences, events }
    }

    pub fn parts(&self, instance: Option<&str>) -> WorkerParts {
        WorkerParts {
            log: self.log.clone(),
            registry: self.registry.clone(),
            topology: self.topology.clone(),
            clock: self.clock.clone(),
            instance: instance.map(str::to_owned),
        }
    }

    pub fn partition_of(&self, id: &str) -> Partition {
        partition_of(id.as_bytes(), self.topology.partitions)
    }

    /// Writes events in one transaction; an aborted one is as if it had not been.
    pub fn write(&mut self, events: Vec<(String, ShelfEvent)>, commit: bool) {
        let (versions, sequences) = (self.versions.clone(), self.sequences.clone());
        let mut written = Vec::new();
        self.writer.begin().expect("begins");
        for (id, data) in events {
            let partition = self.partition_of(&id);
            let version = next(&mut self.versions, id.clone());
            let sequence = next(&mut self.sequences, partition);
            let event = self.recorded(id, data, partition, version, sequence);
            let record = self.record(&event);
            self.writer.send(&[record]).expect("sends");
            written.push(event);
        }
        if commit {
            self.writer.commit().expect("commits");
            self.events.extend(written);
        } else {
            // Aborted so soon, it may be one that the brokers do not know of yet, and refuse to end: a writer that
            // cannot abort is replaced, as lanes do it.
            if let Err(error) = self.writer.abort() {
                assert!(matches!(error, TransactionError::Fatal(_)), "{error:?}");
                self.writer = self.log.writer(&writer_id(&self.topology.app)).expect("a writer");
            }
            (self.versions, self.sequences) = (versions, sequences);
        }
    }

    fn recorded(
        &self,
        aggregate_id: String,
        data: ShelfEvent,
        partition: Partition,
        version: i64,
        sequence: i64,
    ) -> Recorded<ShelfEvent> {
        Recorded {
            aggregate: Shelf::NAME,
            id: Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{aggregate_id} {version}").as_bytes()),
            aggregate_id,
            version: Version(version),
            partition,
            sequence: Sequence(sequence),
            offset: Offset(0),
            occurred_at: self.clock.now(),
            causation_id: Uuid::nil(),
            correlation_id: Uuid::nil(),
            data,
        }
    }

    fn record(&self, event: &Recorded<ShelfEvent>) -> Outgoing {
        let head = EventHead {
            id: event.id,
            version: event.version,
            sequence: event.sequence,
            occurred_at: event.occurred_at,
            causation_id: event.causation_id,
            correlation_id: event.correlation_id,
        };
        Outgoing {
            topic: self.topology.aggregate(Shelf::NAME).events,
            partition: event.partition,
            key: Some(event.aggregate_id.clone().into()),
            value: Some(self.codec.encode(&head, Data::User(&event.data)).expect("encodes")),
            traceparent: None,
        }
    }

    /// Writes a record that no worker would write.
    pub fn write_raw(&mut self, partition: Partition, key: &str, value: Vec<u8>) {
        let topic = self.topology.aggregate(Shelf::NAME).events;
        let (key, value) = (Some(key.to_owned().into()), Some(value.into()));
        self.writer.begin().expect("begins");
        self.writer.send(&[Outgoing { topic, partition, key, value, traceparent: None }]).expect("sends");
        self.writer.commit().expect("commits");
    }

    /// Writes an event whose number is not the next one.
    pub fn write_numbered(&mut self, id: &str, version: i64, sequence: i64) {
        let event = self.recorded(id.to_owned(), placed("x", 1, 1), self.partition_of(id), version, sequence);
        let record = self.record(&event);
        self.writer.begin().expect("begins");
        self.writer.send(&[record]).expect("sends");
        self.writer.commit().expect("commits");
    }

    /// Writes an event of another aggregate, the first one of its partition.
    pub fn write_first<A: Aggregate>(&mut self, id: &str, data: &A::Event) -> Position {
        let topic = self.topology.aggregate(A::NAME).events;
        let spec = TopicSpec {
            topic: topic.clone(),
            partitions: self.topology.partitions,
            retention: Retention::Forever,
            time: TimeKind::Create,
        };
        self.log.create(&[spec]).expect("a topic");
        let namespace = format!("{}.{}", self.topology.app, A::NAME);
        let codec: Codec<EventHead, A::Event> =
            Codec::new(self.registry.clone(), topic.as_str(), &namespace).expect("sound schemas");
        codec.register().expect("it fits");
        let partition = self.partition_of(id);
        let head = EventHead {
            id: Uuid::nil(),
            version: Version(1),
            sequence: Sequence(1),
            occurred_at: self.clock.now(),
            causation_id: Uuid::nil(),
            correlation_id: Uuid::nil(),
        };
        let value = Some(codec.encode(&head, Data::User(data)).expect("encodes"));
        self.writer.begin().expect("begins");
        let key = Some(id.to_owned().into());
        self.writer.send(&[Outgoing { topic, partition, key, value, traceparent: None }]).expect("sends");
        self.writer.commit().expect("commits");
        Position { aggregate: A::NAME.to_owned(), partition, sequence: Sequence(1) }
    }

    /// Places one book on each of these shelves, a transaction for each ten.
    pub fn fill(&mut self, shelves: impl IntoIterator<Item = usize>) {
        let shelves: Vec<usize> = shelves.into_iter().collect();
        for some in shelves.chunks(10) {
            let events = some.iter().map(|shelf| {
                let id = format!("s{shelf}");
                let books = self.versions.get(&id).copied().unwrap_or(0) + 1;
                (id, placed(&format!("book {books}"), 100 + books, books))
            });
            let events = events.collect();
            self.write(events, true);
            // What is aborted takes offsets and is never seen.
            self.write(vec![(format!("s{}", some[0]), placed("never", 1, 1))], false);
        }
    }

    /// The last position of each partition.
    pub fn positions(&self) -> Vec<Position> {
        let position = |(partition, sequence): (&Partition, &i64)| Position {
            aggregate: Shelf::NAME.to_owned(),
            partition: *partition,
            sequence: Sequence(*sequence),
        };
        self.sequences.iter().map(position).collect()
    }

    /// A shelf whose partition is another than that of `id`.
    pub fn elsewhere(&self, id: &str) -> String {
        let other =
            (0..100).map(|number| format!("e{number}")).find(|it| self.partition_of(it) != self.partition_of(id));
        other.expect("there are several partitions")
    }
}

fn next<K: Ord>(numbers: &mut BTreeMap<K, i64>, key: K) -> i64 {
    let number = numbers.entry(key).or_insert(0);
    *number += 1;
    *number
}

pub fn placed(title: &str, pages: i64, books: i64) -> ShelfEvent {
    ShelfEvent::BookPlaced(BookPlaced { title: title.to_owned(), pages, books })
}

pub fn removed() -> ShelfEvent {
    ShelfEvent::ShelfRemoved(ShelfRemoved { reason: None })
}

/// Small batches, short pauses.
pub fn hurried() -> WorkerSettings {
    WorkerSettings {
        poll_events: 7,
        batch_events: 20,
        reset_check: Duration::from_millis(20),
        retry: (Duration::from_millis(1), Duration::from_millis(5)),
        ..WorkerSettings::default()
    }
}
