//! A log to try, with names that nobody else uses and the few steps that every test takes.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headwater::clock::{self, Clock};
use headwater::log::embedded::{EmbeddedLog, Settings};
use headwater::log::kafka::{KafkaLog, KafkaSettings};
use headwater::log::{
    CommittedOffset, Fence, Group, Isolation, Log, LogError, Member, Outgoing, Polled, RangeReader, Record, Retention,
    TimeKind, Topic, TopicPartition, TopicSpec, Writer,
};
use headwater::position::{Offset, Partition};

/// Far beyond what anything takes; only a hanging test gets there.
pub const PATIENCE: Duration = Duration::from_mins(1);
const MOMENT: Duration = Duration::from_millis(50);

pub struct World {
    pub log: Arc<dyn Log>,
    names: Mutex<u32>,
    unique: String,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    pub fn in_memory() -> Self {
        Self::new(Arc::new(EmbeddedLog::in_memory(Clock::system()).unwrap()), None)
    }

    pub fn on_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
        Self::new(Arc::new(log), Some(folder))
    }

    /// On the cluster that `HEADWATER_TEST_KAFKA` names; `None` where there is none and none is required.
    pub fn on_kafka() -> Option<Self> {
        let Ok(bootstrap_servers) = std::env::var("HEADWATER_TEST_KAFKA") else {
            let is_required = std::env::var_os("HEADWATER_TEST_REQUIRE").is_some();
            assert!(!is_required, "HEADWATER_TEST_REQUIRE is set, but HEADWATER_TEST_KAFKA is not");
            return None;
        };
        let log = KafkaLog::connect(KafkaSettings { bootstrap_servers, ..KafkaSettings::default() }).unwrap();
        Some(Self::new(Arc::new(log), None))
    }

    /// Over a log that other tests use too.
    pub fn new(log: Arc<dyn Log>, folder: Option<tempfile::TempDir>) -> Self {
        Self { log, names: Mutex::new(0), unique: clock::new_id().simple().to_string(), _folder: folder }
    }

    /// A name that nobody else uses.
    pub fn name(&self, kind: &str) -> String {
        let mut count = self.names.lock().unwrap();
        *count += 1;
        format!("test-{kind}-{}-{count}", self.unique)
    }

    /// Creates a topic.
    pub fn topic(&self, partitions: i32) -> Topic {
        let topic = Topic::from(self.name("topic"));
        let spec =
            TopicSpec { topic: topic.clone(), partitions, retention: Retention::Forever, time: TimeKind::Append };
        self.log.create(&[spec]).unwrap();
        topic
    }

    /// Creates a topic with one partition.
    pub fn partition(&self) -> TopicPartition {
        self.topic(1).partition(Partition(0))
    }

    pub fn writer(&self) -> Box<dyn Writer> {
        self.log.writer(&self.name("writer")).unwrap()
    }

    /// Sends one record outside of transactions and waits for its offset.
    pub fn send(&self, record: Outgoing) -> Result<Offset, LogError> {
        let (tell, told) = mpsc::channel();
        let sender = self.log.sender()?;
        sender.send(record, Box::new(move |offset| tell.send(offset).unwrap()))?;
        sender.flush(PATIENCE)?;
        told.recv_timeout(PATIENCE).expect("every record is delivered or given up")
    }

    /// Everything committed of a partition, up to its present end.
    pub fn read(&self, partition: &TopicPartition) -> Vec<Record> {
        let low = self.log.bounds(std::slice::from_ref(partition), Isolation::Committed).unwrap()[0].low;
        let mut range = RangeReader::to_present_end(&*self.log, partition.clone(), low, PATIENCE).unwrap();
        let mut reader = self.log.reader().unwrap();
        let mut records = Vec::new();
        while let Some(step) = range.step(&*self.log, &mut *reader).unwrap() {
            records.extend(step);
        }
        records
    }

    /// The values of everything committed in a partition.
    pub fn values(&self, partition: &TopicPartition) -> Vec<String> {
        self.read(partition).iter().map(value).collect()
    }

    pub fn end(&self, partition: &TopicPartition, isolation: Isolation) -> Offset {
        self.log.bounds(std::slice::from_ref(partition), isolation).unwrap()[0].end
    }

    /// Waits until a partition has grown as far: a record is written some time after it was sent, and a
    /// marker some time after its transaction has ended.
    pub fn await_end(&self, partition: &TopicPartition, isolation: Isolation, end: i64) {
        let deadline = clock::instant() + PATIENCE;
        while self.end(partition, isolation) < Offset(end) {
            assert!(clock::instant() < deadline, "{partition} never reaches {end}");
        }
    }

    /// One transaction of `count` records that are all written, then aborted, and its marker; `from` is
    /// the end before it.
    pub fn write_and_abort(&self, writer: &mut dyn Writer, to: &TopicPartition, from: i64, count: usize) {
        self.await_end(to, Isolation::Committed, from);
        begin(writer, &numbered(to, count));
        let written = from + i64::try_from(count).unwrap();
        self.await_end(to, Isolation::Uncommitted, written);
        writer.abort().unwrap();
        self.await_end(to, Isolation::Committed, written + 1);
    }

    pub fn join(&self, group: &str, topic: &Topic) -> Player {
        self.join_as(group, topic, None)
    }

    pub fn join_as(&self, group: &str, topic: &Topic, instance: Option<&str>) -> Player {
        let group =
            Group { name: group.to_owned(), instance: instance.map(ToOwned::to_owned), topics: vec![topic.clone()] };
        Player { member: self.log.join(&group).unwrap(), owned: BTreeSet::new(), records: Vec::new() }
    }

    /// A lone member that owns all partitions of a topic, not yet resumed.
    pub fn settled(&self, group: &str, topic: &Topic, partitions: usize) -> Player {
        let mut player = self.join(group, topic);
        settle(&mut [&mut player], |players| players[0].owned.len() == partitions);
        player
    }
}

/// One transaction of records, committed.
pub fn commit(writer: &mut dyn Writer, records: &[Outgoing]) {
    begin(writer, records);
    writer.commit().unwrap();
}

/// Begins a transaction and sends records.
pub fn begin(writer: &mut dyn Writer, records: &[Outgoing]) {
    writer.begin().unwrap();
    writer.send(records).unwrap();
}

/// A member that does as it is told, and notes what it has.
pub struct Player {
    pub member: Box<dyn Member>,
    pub owned: BTreeSet<TopicPartition>,
    pub records: Vec<Record>,
}

impl Player {
    /// Polls once; releases at once what it is asked for.
    pub fn step(&mut self) {
        match self.member.poll(MOMENT, 1000).unwrap() {
            Polled::Records(records) => self.records.extend(records),
            Polled::Assigned(partitions) => self.owned.extend(partitions),
            Polled::Revoked(partitions) | Polled::Lost(partitions) => {
                self.member.release(&partitions).unwrap();
                for partition in partitions {
                    assert!(self.owned.remove(&partition), "{partition} was not owned");
                }
            }
        }
    }

    /// Polls until it has as many records.
    pub fn gather(&mut self, count: usize) {
        let deadline = clock::instant() + PATIENCE;
        while self.records.len() < count {
            assert!(clock::instant() < deadline, "only {} of {count} records came", self.records.len());
            self.step();
        }
    }

    pub fn resume(&mut self, partition: &TopicPartition, from: i64) {
        self.member.resume(&[(partition.clone(), Offset(from))]).unwrap();
    }

    pub fn fence(&mut self) -> Fence {
        self.member.fence().unwrap()
    }
}

/// Polls the members in turn until `done`; at no time do two own the same partition.
pub fn settle(players: &mut [&mut Player], done: impl Fn(&[&mut Player]) -> bool) {
    settle_within(PATIENCE, players, done);
}

/// [`settle`], with less patience.
pub fn settle_within(patience: Duration, players: &mut [&mut Player], done: impl Fn(&[&mut Player]) -> bool) {
    let deadline = clock::instant() + patience;
    while !done(players) {
        assert!(clock::instant() < deadline, "the group does not settle: {:?}", shares(players));
        for at in 0..players.len() {
            players[at].step();
            let owned: usize = players.iter().map(|it| it.owned.len()).sum();
            let distinct: BTreeSet<_> = players.iter().flat_map(|it| &it.owned).collect();
            assert_eq!(distinct.len(), owned, "two members own the same partition: {:?}", shares(players));
        }
    }
}

fn shares<'a>(players: &'a [&mut Player]) -> Vec<&'a BTreeSet<TopicPartition>> {
    players.iter().map(|it| &it.owned).collect()
}

/// A record for a partition.
pub fn record(to: &TopicPartition, value: &str) -> Outgoing {
    Outgoing {
        topic: to.topic.clone(),
        partition: to.partition,
        key: Some("key".into()),
        value: Some(value.to_owned().into()),
        traceparent: None,
    }
}

/// `count` records for a partition, with values from 0.
pub fn numbered(to: &TopicPartition, count: usize) -> Vec<Outgoing> {
    (0..count).map(|it| record(to, &it.to_string())).collect()
}

pub fn value(record: &Record) -> String {
    let value = record.value.clone().expect("a value");
    String::from_utf8(value.to_vec()).expect("text")
}

pub fn at(offset: i64) -> CommittedOffset {
    CommittedOffset { offset: Offset(offset), metadata: String::new() }
}
