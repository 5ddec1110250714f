//! A log, an aggregate's codecs and a processor on them, for each test anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater::aggregate::processor::{self, ProcessorParts, ProcessorSettings};
use headwater::aggregate::{Codecs, HandOffTargets};
use headwater::clock::{self, Clock};
use headwater::command::{CommandHead, Control, DeadLetter, Outcome, ParkedQueues, ReplyTo};
use headwater::lane::{Lanes, PartitionState};
use headwater::log::embedded::EmbeddedLog;
use headwater::log::{Isolation, Log, Outgoing};
use headwater::position::Partition;
use headwater::schema::{Data, InMemoryRegistry, Registry};
use headwater::store::local::LocalStore;
use headwater::testing::faults::Faults;
use headwater::topology::{Topology, partition_of};
use headwater::verify::{self, Findings, Scope};
use tempfile::TempDir;
use uuid::Uuid;

use crate::model;
use crate::tally::{Command, Tally};

const DEADLINE: Duration = Duration::from_mins(1);

/// See the module.
pub struct World {
    pub log: Arc<dyn Log>,
    pub topology: Topology,
    pub codecs: Arc<Codecs<Tally>>,
    pub settings: ProcessorSettings,
    /// The wall clock.
    pub clock: Clock,
    /// Where a processor keeps its local store, if it does.
    pub store: Option<TempDir>,
}

impl World {
    pub fn new(partitions: i32, settings: ProcessorSettings) -> Self {
        Self::with_log_clock(partitions, settings, Clock::system())
    }

    /// The log stamps with `log_clock`.
    pub fn with_log_clock(partitions: i32, settings: ProcessorSettings, log_clock: Clock) -> Self {
        let clock = Clock::system();
        let topology = Topology {
            app: "test".to_owned(),
            partitions,
            reply_partitions: 2,
            command_retention: Duration::from_hours(1),
            reply_retention: Duration::from_hours(1),
        };
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::in_memory(log_clock).expect("a log"));
        log.create(&topology.specs(&["tally"], &[])).expect("topics");
        let registry: Arc<dyn Registry> = Arc::new(InMemoryRegistry::default());
        let codecs = Codecs::<Tally>::new(&registry, &topology).expect("codecs");
        codecs.register().expect("registered");
        Self { log, topology, codecs: Arc::new(codecs), settings, clock, store: None }
    }

    /// The same, whose processors keep a local store.
    pub fn with_store(partitions: i32, settings: ProcessorSettings) -> Self {
        let store = Some(tempfile::tempdir().expect("a folder"));
        Self { store, ..Self::new(partitions, settings) }
    }

    /// The same log, without the store.
    pub fn clone_without_store(&self) -> Self {
        let (log, topology, codecs) = (self.log.clone(), self.topology.clone(), self.codecs.clone());
        Self { log, topology, codecs, settings: self.settings.clone(), clock: self.clock.clone(), store: None }
    }

    pub fn start(&self, faults: &Faults) -> Option<Lanes> {
        let mut targets = HandOffTargets::new(self.topology.partitions);
        targets.add(self.codecs.clone());
        let parts = ProcessorParts {
            log: faults.before(self.log.clone()),
            topology: self.topology.clone(),
            targets,
            clock: self.clock.clone(),
            settings: self.settings.clone(),
            store: self.store.as_ref().map(|folder| LocalStore::open(folder.path()).expect("a store")),
            instance: "one".to_owned(),
        };
        processor::start(&self.codecs, &parts).ok()
    }

    pub fn send(&self, commands: &[(String, CommandHead, Command)]) {
        let sender = self.log.sender().expect("a sender");
        for (id, head, command) in commands {
            let value = self.codecs.commands.encode(head, Data::User(command)).expect("encodes");
            let record = Outgoing {
                topic: self.codecs.topics.commands.clone(),
                partition: partition_of(id.as_bytes(), self.topology.partitions),
                key: Some(id.clone().into_bytes().into()),
                value: Some(value),
                traceparent: None,
            };
            sender.send(record, Box::new(|delivered| assert!(delivered.is_ok(), "{delivered:?}"))).expect("room");
        }
        sender.flush(Duration::from_mins(1)).expect("flushed");
    }

    /// Whether everything on the commands topic was judged.
    pub fn is_done(&self) -> bool {
        let group = self.topology.command_group("tally");
        let partitions: Vec<_> = (0..self.topology.partitions)
            .map(|number| self.codecs.topics.commands.partition(Partition(number)))
            .collect();
        let ends = self.log.bounds(&partitions, Isolation::Committed).expect("bounds");
        let last: Vec<_> = partitions
            .iter()
            .map(|it| model::read_all(&*self.log, it.clone()).last().map(|r| r.offset.next()))
            .collect();
        let committed = self.log.committed(&group, &partitions).expect("committed offsets");
        ends.len() == committed.len()
            && last.iter().zip(committed).all(|(last, committed)| match (last, committed) {
                (None, _) => true,
                (Some(last), Some(committed)) => committed.offset >= *last,
                (Some(_), None) => false,
            })
    }

    /// What `verify` would say to it.
    pub fn audit(&self) -> Result<(), String> {
        let stall = Duration::from_mins(1);
        let scope = Scope { log: &*self.log, topology: &self.topology, stall, progress: &|_| {} };
        let mut findings = Findings::default();
        let counts = verify::aggregate(&scope, &self.codecs, &mut findings).map_err(|error| error.to_string())?;
        match findings.violations() {
            [] if counts.pending == 0
                && counts.parked == u64::try_from(self.parked().size().commands).expect("small") =>
            {
                Ok(())
            }
            violations => Err(format!("{violations:#?}, {counts:?}")),
        }
    }

    /// Runs with these faults until the process stops by them, or all is done.
    pub fn run(&self, faults: &Faults) {
        let Some(processor) = self.start(faults) else { return };
        let deadline = clock::instant() + DEADLINE;
        let mut quiet = 0;
        while !faults.crashed() && !processor.has_ended() {
            quiet = if self.is_done() { quiet + 1 } else { 0 };
            if quiet > 1 {
                break;
            }
            assert!(clock::instant() < deadline, "not done in time: {:?}", processor.partitions());
            std::thread::sleep(Duration::from_millis(3));
        }
        drop(processor.join());
    }
}

/// Batches and checkpoints small enough that a test has many of them.
pub fn small() -> ProcessorSettings {
    ProcessorSettings { lanes: 1, batch_commands: 7, checkpoint_events: 10, ..ProcessorSettings::default() }
}

/// A command made now, under a new id, that asks for its reply.
pub fn head() -> CommandHead {
    let id = clock::new_id();
    CommandHead {
        id,
        issued_at: clock::time_of_id(id).expect("version 7"),
        expected_version: None,
        causation_id: None,
        correlation_id: id,
        reply_to: Some(ReplyTo { topic: "test.replies".to_owned(), partition: 0, key: "k".to_owned() }),
    }
}

impl World {
    /// Writes a record as it is.
    pub fn write(&self, record: Outgoing) {
        let sender = self.log.sender().expect("a sender");
        sender.send(record, Box::new(|delivered| assert!(delivered.is_ok(), "{delivered:?}"))).expect("room");
        sender.flush(Duration::from_mins(1)).expect("flushed");
    }

    /// A record of the commands topic.
    pub fn command_record(&self, id: &str, value: impl Into<bytes::Bytes>) -> Outgoing {
        Outgoing {
            topic: self.codecs.topics.commands.clone(),
            partition: partition_of(id.as_bytes(), self.topology.partitions),
            key: Some(id.to_owned().into_bytes().into()),
            value: Some(value.into()),
            traceparent: None,
        }
    }

    /// Sends one command and gives its head.
    pub fn send_one(&self, id: &str, command: Command) -> CommandHead {
        let head = head();
        self.send(&[(id.to_owned(), head.clone(), command)]);
        head
    }

    /// Sends a command of the engine's own and gives its head.
    pub fn send_control(&self, id: &str, control: &Control) -> CommandHead {
        let head = head();
        let value = self.codecs.commands.encode(&head, Data::Engine(control)).expect("encodes");
        self.write(self.command_record(id, value));
        head
    }

    /// What the parked topic says to wait.
    pub fn parked(&self) -> ParkedQueues {
        let mut queues = ParkedQueues::default();
        for number in 0..self.topology.partitions {
            for record in model::read_all(&*self.log, self.codecs.topics.parked.partition(Partition(number))) {
                let id = String::from_utf8(record.key.expect("a key").to_vec()).expect("text");
                let parked = self.codecs.parked.decode(&record.value.expect("a value")).expect("a parked command");
                queues.fold(&id, parked, record.offset);
            }
        }
        queues
    }

    /// Runs without faults until all is judged.
    pub fn settle(&self) {
        self.run(&Faults::default());
    }

    /// Runs until a partition is in a state that `wanted` picks, and gives that state.
    pub fn run_until(&self, wanted: impl Fn(&PartitionState) -> bool) -> PartitionState {
        let processor = self.start(&Faults::default()).expect("it starts");
        let deadline = clock::instant() + DEADLINE;
        loop {
            if let Some(state) = processor.partitions().into_values().find(|state| wanted(state)) {
                processor.join().expect("it leaves");
                return state;
            }
            assert!(clock::instant() < deadline, "not in time: {:?}", processor.partitions());
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// All outcomes on the outcomes topic, with whether they are about a copy.
    pub fn outcomes(&self, command_id: Uuid) -> Vec<(Outcome, bool)> {
        let mut found = Vec::new();
        for number in 0..self.topology.partitions {
            for record in model::read_all(&*self.log, self.codecs.topics.outcomes.partition(Partition(number))) {
                let record = self.codecs.outcomes.decode(&record.value.expect("a value")).expect("outcomes");
                let of_it = record.entries.into_iter().filter(|entry| entry.command_id == command_id);
                found.extend(of_it.map(|entry| (entry.outcome, entry.about_copy)));
            }
        }
        found
    }

    /// The replies to a command.
    pub fn replies(&self, command_id: Uuid) -> Vec<Outcome> {
        let records = model::read_all(&*self.log, self.topology.replies().partition(Partition(0)));
        let decoded =
            records.into_iter().map(|it| self.codecs.replies.decode(&it.value.expect("a value")).expect("a reply"));
        decoded.filter(|reply| reply.command_id == command_id).map(|reply| reply.outcome).collect()
    }

    /// The last reply to each command.
    pub fn all_replies(&self) -> BTreeMap<Uuid, Outcome> {
        let records = model::read_all(&*self.log, self.topology.replies().partition(Partition(0)));
        let decoded =
            records.into_iter().map(|it| self.codecs.replies.decode(&it.value.expect("a value")).expect("a reply"));
        decoded.map(|reply| (reply.command_id, reply.outcome)).collect()
    }

    /// The dead letters.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let partitions = (0..self.topology.partitions).map(|it| self.topology.dead_letters().partition(Partition(it)));
        let records = partitions.flat_map(|partition| model::read_all(&*self.log, partition));
        records.map(|it| self.codecs.dead_letters.decode(&it.value.expect("a value")).expect("a letter")).collect()
    }
}
