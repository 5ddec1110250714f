//! A log with purses, their processor and the saga's, for each test anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater::aggregate::processor::{self, ProcessorParts, ProcessorSettings};
use headwater::aggregate::{Codecs, HandOffTargets};
use headwater::clock::{self, Clock};
use headwater::command::CommandHead;
use headwater::lane::{Lanes, PartitionState};
use headwater::log::embedded::EmbeddedLog;
use headwater::log::{Log, Outgoing, RangeReader, Record, Topic, TopicPartition};
use headwater::position::{Offset, Partition};
use headwater::saga::{self, SagaCodecs, SagaSettings, StateHead};
use headwater::schema::{Data, InMemoryRegistry, Registry};
use headwater::testing::faults::Faults;
use headwater::topology::{Topology, partition_of};
use headwater::verify::{self, Findings, SagaCounts, Scope, Violation};

use crate::purse::{Command, Delivery, Event, Purse};

const DEADLINE: Duration = Duration::from_mins(1);

/// See the module.
pub struct World {
    pub log: Arc<dyn Log>,
    pub topology: Topology,
    pub purses: Arc<Codecs<Purse>>,
    pub deliveries: Arc<SagaCodecs<Delivery>>,
    pub settings: SagaSettings,
    pub batch: usize,
}

/// What runs in one process.
pub struct Process {
    /// Kept running.
    _purses: Lanes,
    pub sagas: Vec<Lanes>,
}

impl Process {
    pub fn has_ended(&self) -> bool {
        self.sagas.iter().any(Lanes::has_ended)
    }
}

impl World {
    pub fn new() -> Self {
        Self::on(Arc::new(EmbeddedLog::in_memory(Clock::system()).expect("a log")), "test")
    }

    /// On a log that may hold others, under a name of its own.
    pub fn on(log: Arc<dyn Log>, app: &str) -> Self {
        let topology = Topology {
            app: app.to_owned(),
            partitions: 3,
            reply_partitions: 1,
            command_retention: Duration::from_hours(1),
            reply_retention: Duration::from_hours(1),
        };
        log.create(&topology.specs(&["purse"], &["delivery"])).expect("topics");
        let registry: Arc<dyn Registry> = Arc::new(InMemoryRegistry::default());
        let purses = Codecs::<Purse>::new(&registry, &topology).expect("codecs");
        purses.register().expect("registered");
        let deliveries = SagaCodecs::<Delivery>::new(&registry, &topology).expect("codecs");
        deliveries.register().expect("registered");
        let (purses, deliveries) = (Arc::new(purses), Arc::new(deliveries));
        Self { log, topology, purses, deliveries, settings: SagaSettings::default(), batch: 5 }
    }

    /// The purses' processor runs without faults, the saga's router and processor with them.
    pub fn start(&self, faults: &Faults) -> Option<Process> {
        let mut targets = HandOffTargets::new(self.topology.partitions);
        targets.add(self.purses.clone());
        targets.add_inbox(self.deliveries.topics.inbox.clone(), self.deliveries.inbox.clone());
        let parts = |log: Arc<dyn Log>| ProcessorParts {
            log,
            topology: self.topology.clone(),
            targets: targets.clone(),
            clock: Clock::system(),
            settings: ProcessorSettings { lanes: 1, batch_commands: self.batch, ..ProcessorSettings::default() },
            store: None,
            instance: "one".to_owned(),
        };
        let purses = processor::start(&self.purses, &parts(self.log.clone())).expect("it starts");
        let with_faults = faults.before(self.log.clone());
        let sagas = saga::start(&self.deliveries, &parts(with_faults), &self.settings).ok()?;
        Some(Process { _purses: purses, sagas })
    }

    pub fn send(&self, id: &str, command: impl Into<Command>) -> CommandHead {
        let command: Command = command.into();
        let command_id = clock::new_id();
        let head = CommandHead {
            id: command_id,
            issued_at: clock::time_of_id(command_id).expect("version 7"),
            expected_version: None,
            causation_id: None,
            correlation_id: command_id,
            reply_to: None,
        };
        let value = self.purses.commands.encode(&head, Data::User(&command)).expect("encodes");
        self.write(&self.purses.topics.commands, id, Some(value));
        head
    }

    pub fn write(&self, topic: &Topic, key: &str, value: Option<bytes::Bytes>) {
        let partition = partition_of(key.as_bytes(), self.topology.partitions);
        let key = Some(key.to_owned().into_bytes().into());
        let sender = self.log.sender().expect("a sender");
        let record = Outgoing { topic: topic.clone(), partition, key, value, traceparent: None };
        sender.send(record, Box::new(|delivered| assert!(delivered.is_ok(), "{delivered:?}"))).expect("room");
        sender.flush(Duration::from_mins(1)).expect("flushed");
    }

    pub fn partitions(&self, topic: &Topic) -> Vec<TopicPartition> {
        (0..self.topology.partitions).map(|number| topic.partition(Partition(number))).collect()
    }

    /// Every record of a topic, partition by partition.
    pub fn read(&self, topic: &Topic) -> Vec<Record> {
        self.partitions(topic).into_iter().flat_map(|partition| self.read_one(partition)).collect()
    }

    fn read_one(&self, partition: TopicPartition) -> Vec<Record> {
        let mut reader = self.log.reader().expect("a reader");
        let stall = Duration::from_mins(1);
        let mut range = RangeReader::to_present_end(&*self.log, partition, Offset::ZERO, stall).expect("its bounds");
        let mut records = Vec::new();
        while let Some(more) = range.step(&*self.log, &mut *reader).expect("readable") {
            records.extend(more);
        }
        records
    }

    /// What the instances say of themselves now, by their ids.
    pub fn instances(&self) -> BTreeMap<String, StateHead> {
        let mut instances = BTreeMap::new();
        for record in self.read(&self.deliveries.topics.state) {
            let id = String::from_utf8(record.key.expect("a key").to_vec()).expect("text");
            if id.starts_with('\0') {
                continue;
            }
            match record.value {
                Some(value) => instances.insert(id, self.deliveries.state.decode_head(&value).expect("a head")),
                None => instances.remove(&id),
            };
        }
        instances
    }

    /// The purses' events, in the order of each.
    pub fn events(&self) -> Vec<(String, Event)> {
        let records = self.read(&self.purses.topics.events).into_iter();
        let event = |record: Record| {
            let id = String::from_utf8(record.key.expect("a key").to_vec()).expect("text");
            match self.purses.events.decode(&record.value.expect("a value")).expect("an event").data {
                Data::User(event) => (id, event),
                Data::Engine(never) => match never {},
            }
        };
        records.map(event).collect()
    }

    /// The commands that the saga has issued, with whom they are for.
    pub fn issued(&self) -> Vec<(String, CommandHead, Command)> {
        let records = self.read(&self.purses.topics.commands).into_iter();
        let command = |record: Record| {
            let id = String::from_utf8(record.key.expect("a key").to_vec()).expect("text");
            let decoded = self.purses.commands.decode(&record.value.expect("a value")).expect("a command");
            match decoded.data {
                Data::User(command) => (id, decoded.head, command),
                Data::Engine(control) => panic!("{control:?}"),
            }
        };
        records.map(command).filter(|(_, head, _)| head.reply_to.is_some()).collect()
    }

    /// Whether this many instances have begun and all have ended.
    pub fn is_done(&self, count: usize) -> bool {
        let instances = self.instances();
        instances.len() == count && instances.values().all(|head| head.ended_at.is_some())
    }

    /// Runs with these faults until the process stops by them, or all instances have ended.
    pub fn run(&self, faults: &Faults, count: usize) {
        let Some(process) = self.start(faults) else { return };
        let deadline = clock::instant() + DEADLINE;
        while !faults.crashed() && !process.has_ended() && !self.is_done(count) {
            assert!(clock::instant() < deadline, "not done in time: {:?}", self.instances());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs without faults until something holds.
    pub fn run_until(&self, what: &str, holds: impl Fn(&Self, &Process) -> bool) {
        let process = self.start(&Faults::default()).expect("it starts");
        self.wait(&process, what, holds);
    }

    pub fn wait(&self, process: &Process, what: &str, holds: impl Fn(&Self, &Process) -> bool) {
        let deadline = clock::instant() + DEADLINE;
        while !holds(self, process) {
            let states: Vec<_> = process.sagas.iter().map(Lanes::partitions).collect();
            assert!(clock::instant() < deadline, "not in time: {what}: {:?}, {states:?}", self.instances());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope { log: &*self.log, topology: &self.topology, stall: Duration::from_mins(1), progress: &|_| {} }
    }

    /// What `verify` would say to the purses and to the sagas.
    pub fn audit(&self) -> Result<(), String> {
        let mut findings = Findings::default();
        let counts =
            verify::aggregate(&self.scope(), &self.purses, &mut findings).map_err(|error| error.to_string())?;
        match (findings.violations(), self.audit_sagas()) {
            ([], (of_sagas, _)) if of_sagas.is_empty() && counts.pending == 0 => Ok(()),
            (violations, of_sagas) => Err(format!("{violations:#?}, {counts:?}, {of_sagas:#?}")),
        }
    }

    /// What `verify` would say to the sagas alone.
    pub fn audit_sagas(&self) -> (Vec<Violation>, SagaCounts) {
        let mut findings = Findings::default();
        let counts = verify::saga(&self.scope(), &self.deliveries, &*self.purses, &mut findings).expect("audited");
        (findings.violations().to_vec(), counts)
    }
}

/// Why a partition of the saga's has stopped.
pub fn stopped(process: &Process) -> Option<String> {
    let states = process.sagas.iter().flat_map(Lanes::partitions);
    states.into_iter().find_map(|(_, state)| match state {
        PartitionState::Stopped(reason) => Some(reason),
        _ => None,
    })
}
