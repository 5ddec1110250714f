//! The account job on a Kafka cluster: commands in, one event, one outcome and one reply for each, exactly
//! once.
//!
//! `cargo bench --bench processor -- throughput [COMMANDS] [ACCOUNTS] [LANES] [PROCESS ID OF THE BROKER]`
//! `cargo bench --bench processor -- hot [COMMANDS]`        one account
//! `cargo bench --bench processor -- latency [COMMANDS]`    one command at a time on an idle system
//! `cargo bench --bench processor -- codec`                 writing and reading one command
//!
//! The cluster is that of `HEADWATER_KAFKA__BOOTSTRAP_SERVERS`, 127.0.0.1:19092 by default. Each run makes
//! topics of its own.

mod account;
mod cpu;

use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use account::{Account, Command, Deposit, Withdraw};
use headwater::aggregate::processor::{self, ProcessorParts, ProcessorSettings};
use headwater::aggregate::{Codecs, HandOffTargets};
use headwater::clock::{self, Clock};
use headwater::command::{Client, CommandHead, EncodedCommand, ReplyTo};
use headwater::lane::{Lanes, PartitionState};
use headwater::log::kafka::{KafkaLog, KafkaSettings};
use headwater::log::{Isolation, Log, LogError, Outgoing, Topic};
use headwater::position::{Offset, Partition};
use headwater::schema::{Data, InMemoryRegistry, RecordCodec, Registry};
use headwater::topology::{Topology, partition_of};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn connect() -> Arc<dyn Log> {
    let servers = std::env::var("HEADWATER_KAFKA__BOOTSTRAP_SERVERS").unwrap_or("127.0.0.1:19092".to_owned());
    let settings = KafkaSettings { bootstrap_servers: servers, ..KafkaSettings::default() };
    Arc::new(KafkaLog::connect(settings).expect("a cluster"))
}

struct Bench {
    log: Arc<dyn Log>,
    topology: Topology,
    registry: Arc<dyn Registry>,
    codecs: Arc<Codecs<Account>>,
}

impl Bench {
    fn new() -> Self {
        let log = connect();
        let topology = Topology {
            app: format!("bench_{}", clock::new_id().simple()),
            partitions: 8,
            reply_partitions: 4,
            command_retention: Duration::from_hours(1),
            reply_retention: Duration::from_hours(1),
        };
        log.create(&topology.specs(&["account"], &[])).expect("topics");
        let registry: Arc<dyn Registry> = Arc::new(InMemoryRegistry::default());
        let codecs = Codecs::<Account>::new(&registry, &topology).expect("codecs");
        codecs.register().expect("registered");
        Self { log, topology, registry, codecs: Arc::new(codecs) }
    }

    fn start(&self, lanes: usize) -> Lanes {
        let mut targets = HandOffTargets::new(self.topology.partitions);
        targets.add(self.codecs.clone());
        let parts = ProcessorParts {
            log: self.log.clone(),
            topology: self.topology.clone(),
            targets,
            clock: Clock::system(),
            settings: ProcessorSettings { lanes, ..ProcessorSettings::default() },
            store: None,
            instance: "bench".to_owned(),
        };
        processor::start(&self.codecs, &parts).expect("it starts")
    }

    fn load(&self, commands: u64, accounts: u64) {
        let sender = self.log.sender().expect("a sender");
        let now = Clock::system().now();
        let mut x = 88_172_645_463_325_252_u64;
        for _ in 0..commands {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            let id = format!("{:06}", x % accounts);
            let amount = i64::try_from(x >> 20 & 0xffff).expect("16 bits") + 1;
            let command = if (x >> 40).is_multiple_of(4) {
                Command::Withdraw(Withdraw { amount })
            } else {
                Command::Deposit(Deposit { amount })
            };
            let command_id = clock::new_id();
            let head = CommandHead {
                id: command_id,
                issued_at: clock::time_of_id(command_id).unwrap_or(now),
                expected_version: None,
                causation_id: None,
                correlation_id: command_id,
                reply_to: Some(ReplyTo {
                    topic: self.topology.replies().as_str().to_owned(),
                    partition: 0,
                    key: String::new(),
                }),
            };
            let value = self.codecs.commands.encode(&head, Data::User(&command)).expect("encodes");
            let record = Outgoing {
                topic: self.codecs.topics.commands.clone(),
                partition: partition_of(id.as_bytes(), self.topology.partitions),
                key: Some(id.into_bytes().into()),
                value: Some(value),
                traceparent: None,
            };
            while let Err(error) = sender.send(record.clone(), Box::new(|_| ())) {
                assert!(matches!(error, LogError::QueueFull), "{error}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        sender.flush(Duration::from_mins(2)).expect("flushed");
    }

    fn throughput(&self, commands: u64, accounts: u64, lanes: usize, broker: Option<u32>) {
        self.load(commands, accounts);
        let used = || [Some(process::id()), broker].map(|it| it.map_or(Duration::ZERO, cpu::used_by));
        let before = used();
        let processor = self.start(lanes);
        // In a process of its own, as with every peer: it is no part of the work.
        let observer = process::Command::new(std::env::current_exe().expect("a path"))
            .args(["observe", self.topology.replies().as_str(), &commands.to_string()])
            .output()
            .expect("the observer runs");
        let after = used();
        assert!(observer.status.success(), "{}", String::from_utf8_lossy(&observer.stderr));
        let rate = String::from_utf8_lossy(&observer.stdout);
        println!("headwater, {lanes} lanes, {accounts} accounts: {commands} commands at {}/s", rate.trim());
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let per_100_000 =
            |which: usize| after[which].saturating_sub(before[which]).as_secs_f64() * 100_000.0 / commands as f64;
        println!("CPU seconds for 100,000 commands: {:.3} here, {:.3} in the broker", per_100_000(0), per_100_000(1));
        processor.join().expect("it stops");
        let events: i64 = (0..self.topology.partitions)
            .map(|number| self.codecs.topics.events.partition(Partition(number)))
            .map(|it| self.log.bounds(&[it], Isolation::Committed).expect("bounds")[0].end.0)
            .sum();
        println!("events, with markers: {events}");
    }

    fn latency(&self, commands: usize) {
        let processor = self.start(1);
        while processor.partitions().values().filter(|it| matches!(it, PartitionState::Running { .. })).count() < 8 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let replies = RecordCodec::new(self.registry.clone(), self.topology.replies().as_str()).expect("a codec");
        let client = Client::open(&self.log, &self.topology, replies, 64).expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut took = Vec::with_capacity(commands);
        for number in 0..commands {
            let id = format!("{:06}", number % 1000);
            let command_id = clock::new_id();
            let head = CommandHead {
                id: command_id,
                issued_at: clock::time_of_id(command_id).expect("version 7"),
                expected_version: None,
                causation_id: None,
                correlation_id: command_id,
                reply_to: Some(client.reply_to()),
            };
            let reply_at = head.reply_to.as_ref().map(|it| Partition(it.partition));
            let value = self.codecs.commands.encode(&head, Data::User(&Command::Deposit(Deposit { amount: 1 })));
            let command = EncodedCommand {
                topic: self.codecs.topics.commands.clone(),
                id,
                command_id,
                value: value.expect("encodes"),
                reply_at,
            };
            let began = clock::instant();
            runtime.block_on(client.send(command, Duration::from_secs(10))).expect("an outcome");
            took.push(began.elapsed());
        }
        took.drain(..commands / 5);
        took.sort();
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        println!("headwater, one at a time: p50 {:?} p90 {:?} p99 {:?}", at(50), at(90), at(99));
        client.close();
        processor.join().expect("it stops");
    }

    fn codec(&self) {
        const ROUNDS: u32 = 500_000;
        let head = CommandHead {
            id: clock::new_id(),
            issued_at: Clock::system().now(),
            expected_version: None,
            causation_id: None,
            correlation_id: clock::new_id(),
            reply_to: Some(ReplyTo { topic: "bench.replies".to_owned(), partition: 0, key: String::new() }),
        };
        let command = Command::Deposit(Deposit { amount: 1234 });
        let began = clock::instant();
        for _ in 0..ROUNDS {
            std::hint::black_box(self.codecs.commands.encode(&head, Data::User(&command)).expect("encodes"));
        }
        let wrote = began.elapsed() / ROUNDS;
        let value = self.codecs.commands.encode(&head, Data::User(&command)).expect("encodes");
        let began = clock::instant();
        for _ in 0..ROUNDS {
            std::hint::black_box(self.codecs.commands.decode(&value).expect("decodes"));
        }
        println!(
            "codec, one command of {} bytes: written in {wrote:?}, read in {:?}",
            value.len(),
            began.elapsed() / ROUNDS
        );
    }
}

/// Counts replies as they become visible; prints the rate from the first to the last.
fn observe(topic: &str, commands: u64) {
    let replies = Topic::from(topic).partition(Partition(0));
    let mut reader = connect().reader().expect("a reader");
    reader.follow(&[(replies, Offset::ZERO)]).expect("followed");
    let (mut seen, mut first) = (0, None);
    let deadline = clock::instant() + Duration::from_mins(5);
    while seen < commands {
        let records = reader.poll(Duration::from_millis(100), 10_000).expect("replies");
        if !records.is_empty() {
            first.get_or_insert_with(clock::instant);
        }
        seen += records.len() as u64;
        assert!(clock::instant() < deadline, "only {seen} replies");
    }
    let first: Instant = first.expect("there were replies");
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = commands as f64 / first.elapsed().as_secs_f64();
    println!("{rate:.0}");
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |index: usize, default: u64| words.get(index).map_or(default, |word| word.parse().expect("a number"));
    let broker = words.get(4).map(|word| word.parse().expect("a process id"));
    match words.first().map(String::as_str) {
        Some("throughput") => {
            let lanes = usize::try_from(number(3, 2)).expect("small");
            Bench::new().throughput(number(1, 1_000_000), number(2, 100_000), lanes, broker);
        }
        Some("observe") => observe(&words[1], number(2, 0)),
        Some("hot") => Bench::new().throughput(number(1, 200_000), 1, 1, None),
        Some("latency") => Bench::new().latency(usize::try_from(number(1, 500)).expect("small")),
        Some("codec") => Bench::new().codec(),
        _ => println!("say what to measure: throughput, hot, latency or codec"),
    }
}
