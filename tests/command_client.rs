//! What the command client promises, against a log on which a judge of one line answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater::clock::{self, Clock};
use headwater::command::{Accepted, Client, ClientError, EncodedCommand, Outcome, Reply};
use headwater::log::embedded::EmbeddedLog;
use headwater::log::{Isolation, Log, Outgoing, Retention, TimeKind, Topic, TopicPartition, TopicSpec};
use headwater::position::{Offset, Partition, Sequence, Version};
use headwater::schema::{InMemoryRegistry, RecordCodec, Registry};
use headwater::testing::faults::{Call, Fault, Faults, Strike};
use headwater::topology::Topology;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

struct World {
    log: Arc<dyn Log>,
    registry: Arc<dyn Registry>,
    topology: Topology,
}

impl World {
    fn new() -> Self {
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::in_memory(Clock::system()).expect("a log"));
        let topology = Topology {
            app: "test".to_owned(),
            partitions: 4,
            reply_partitions: 1,
            command_retention: LONG,
            reply_retention: LONG,
        };
        log.create(&topology.specs(&["counter"], &[])).expect("created");
        let registry: Arc<dyn Registry> = Arc::new(InMemoryRegistry::default());
        let world = Self { log, registry, topology };
        world.replies().register().expect("registered");
        world
    }

    fn replies(&self) -> RecordCodec<Reply> {
        RecordCodec::new(self.registry.clone(), self.topology.replies().as_str()).expect("a codec")
    }

    fn client(&self, in_flight: usize) -> Client {
        Client::open(&self.log, &self.topology, self.replies(), in_flight).expect("a client")
    }

    fn commands(&self) -> Topic {
        self.topology.aggregate("counter").commands
    }

    fn command(&self, id: &str, command_id: Uuid) -> EncodedCommand {
        let value = Bytes::copy_from_slice(command_id.as_bytes());
        EncodedCommand { topic: self.commands(), id: id.to_owned(), command_id, value, reply_at: Some(Partition(0)) }
    }

    fn write_reply(&self, key: &str, id: &str, command_id: Uuid, version: i64) {
        let outcome = Outcome::Accepted(Accepted {
            version: Version(version),
            partition: Partition(0),
            sequence: Sequence(version),
            data: None,
        });
        let reply = Reply { aggregate_id: id.into(), command_id, outcome };
        let value = self.replies().encode(&reply).expect("encoded");
        self.write(self.topology.replies(), key, value);
    }

    fn write(&self, topic: Topic, key: &str, value: Bytes) {
        let record = Outgoing {
            topic,
            partition: Partition(0),
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: Some(value),
            traceparent: None,
        };
        let sender = self.log.sender().expect("a sender");
        sender.send(record, Box::new(|delivered| assert!(delivered.is_ok()))).expect("sent");
        sender.flush(LONG).expect("flushed");
    }

    /// Answers the next `count` commands, in the order of their partitions, numbering them.
    fn judge(self: &Arc<Self>, client: &Client, count: usize) -> std::thread::JoinHandle<Vec<(String, Uuid)>> {
        let (world, key) = (self.clone(), client.reply_to().key);
        let all: Vec<_> = (0..4).map(|it| (world.commands().partition(Partition(it)), Offset::ZERO)).collect();
        std::thread::spawn(move || {
            let mut reader = world.log.reader().expect("a reader");
            reader.follow(&all).expect("followed");
            let mut seen = Vec::new();
            while seen.len() < count {
                for record in reader.poll(LONG, 100).expect("polled") {
                    let id = String::from_utf8(record.key.expect("a key").to_vec()).expect("text");
                    let command_id = Uuid::from_slice(&record.value.expect("a value")).expect("an id");
                    seen.push((id.clone(), command_id));
                    world.write_reply(&key, &id, command_id, i64::try_from(seen.len()).expect("few"));
                }
            }
            seen
        })
    }
}

fn version(outcome: &Outcome) -> i64 {
    match outcome {
        Outcome::Accepted(accepted) => accepted.version.0,
        other => panic!("not accepted: {other:?}"),
    }
}

#[tokio::test]
async fn a_command_comes_to_its_outcome() {
    let world = Arc::new(World::new());
    let client = world.client(10);
    let judge = world.judge(&client, 1);
    let outcome = client.send(world.command("a", clock::new_id()), LONG).await.expect("an outcome");
    assert_eq!(version(&outcome), 1);
    judge.join().expect("judged");
    client.close();
}

#[tokio::test]
async fn commands_submitted_one_after_the_other_reach_the_log_in_that_order() {
    let world = Arc::new(World::new());
    let client = world.client(1000);
    let judge = world.judge(&client, 1000);
    let mut sent = Vec::new();
    let mut pending = Vec::new();
    for number in 0..1000 {
        let (id, command_id) = (format!("{}", number % 7), clock::new_id());
        sent.push((id.clone(), command_id));
        pending.push(client.submit(world.command(&id, command_id), LONG).await.expect("submitted"));
    }
    for waiting in pending {
        waiting.outcome().await.expect("an outcome");
    }
    let judged = judge.join().expect("judged");
    for aggregate in 0..7 {
        let of = |all: &[(String, Uuid)]| {
            all.iter().filter(|(id, _)| *id == aggregate.to_string()).map(|(_, command)| *command).collect::<Vec<_>>()
        };
        assert_eq!(of(&judged), of(&sent));
    }
}

#[tokio::test]
async fn no_more_are_under_way_than_it_was_opened_with() {
    let world = Arc::new(World::new());
    let client = world.client(2);
    let first = client.submit(world.command("a", clock::new_id()), LONG).await.expect("submitted");
    let _second = client.submit(world.command("b", clock::new_id()), LONG).await.expect("submitted");
    let third = client.submit(world.command("c", clock::new_id()), LONG);
    assert!(tokio::time::timeout(SHORT, third).await.is_err(), "a third one is under way");
    drop(first);
    client.submit(world.command("c", clock::new_id()), LONG).await.expect("there is room again");
}

#[tokio::test]
async fn a_command_that_is_never_answered_ends_as_unknown_and_can_be_sent_again() {
    let world = Arc::new(World::new());
    let client = world.client(10);
    let command_id = clock::new_id();
    let error = client.send(world.command("a", command_id), SHORT).await.expect_err("nobody answers");
    assert!(matches!(error, ClientError::Unknown { command_id: of, .. } if of == command_id), "{error}");
    // The judge finds both copies and answers each.
    let judge = world.judge(&client, 2);
    client.send(world.command("a", command_id), LONG).await.expect("an outcome");
    judge.join().expect("judged");
}

#[tokio::test]
async fn two_copies_under_way_at_once_are_both_answered_each_by_its_own_reply() {
    let world = Arc::new(World::new());
    let client = world.client(10);
    let command_id = clock::new_id();
    let first = client.submit(world.command("a", command_id), LONG).await.expect("submitted");
    let second = client.submit(world.command("a", command_id), LONG).await.expect("submitted");
    let judge = world.judge(&client, 2);
    assert_eq!(version(&second.outcome().await.expect("an outcome")), 2);
    assert_eq!(version(&first.outcome().await.expect("an outcome")), 1);
    judge.join().expect("judged");
}

#[tokio::test]
async fn replies_to_others_and_unreadable_ones_are_passed_over() {
    let world = Arc::new(World::new());
    let client = world.client(10);
    let key = client.reply_to().key;
    let command_id = clock::new_id();
    let waiting = client.submit(world.command("a", command_id), LONG).await.expect("submitted");
    world.write_reply("somebody else", "a", command_id, 13);
    world.write_reply(&key, "a", clock::new_id(), 14);
    world.write_reply(&key, "b", command_id, 15);
    world.write(world.topology.replies(), &key, Bytes::from_static(b"no reply"));
    world.write_reply(&key, "a", command_id, 1);
    assert_eq!(version(&waiting.outcome().await.expect("an outcome")), 1);
}

#[tokio::test]
async fn what_cannot_be_written_says_so_at_once() {
    let world = Arc::new(World::new());
    let client = world.client(10);
    let mut command = world.command("a", clock::new_id());
    command.topic = Topic::from("test.nothing.commands");
    let error = client.send(command, LONG).await.expect_err("there is no such topic");
    assert!(matches!(error, ClientError::NotSent { .. }), "{error}");
}

#[test]
fn a_client_without_its_replies_topic_is_not_opened() {
    let world = World::new();
    let elsewhere = Topology { app: "elsewhere".to_owned(), ..world.topology.clone() };
    assert!(matches!(Client::open(&world.log, &elsewhere, world.replies(), 1), Err(ClientError::Log(_))));
    let spec =
        TopicSpec { topic: elsewhere.replies(), partitions: 1, retention: Retention::Forever, time: TimeKind::Create };
    world.log.create(&[spec]).expect("created");
    let place: TopicPartition = elsewhere.replies().partition(Partition(0));
    world.log.bounds(&[place], Isolation::Committed).expect("it is there");
    Client::open(&world.log, &elsewhere, world.replies(), 1).expect("now it is");
}

#[tokio::test]
async fn what_follows_a_command_that_was_not_acknowledged_is_held_back_where_order_matters() {
    let world = Arc::new(World::new());
    let faults = Faults::new(vec![Strike { call: Call::Deliver, number: 3, fault: Fault::Fail }]);
    let log = faults.before(world.log.clone());
    let client = Client::open(&log, &world.topology, world.replies(), 100).expect("a client");
    let order = client.order();
    let mut pending = Vec::new();
    for _ in 0..10 {
        pending.push(client.submit_in(order, world.command("a", clock::new_id()), LONG).await);
    }
    let judge = world.judge(&client, 3);
    let mut ends = Vec::new();
    for waiting in pending {
        ends.push(match waiting {
            Ok(waiting) => waiting.outcome().await,
            Err(error) => Err(error),
        });
    }
    assert!(ends[..2].iter().all(Result::is_ok), "{ends:?}");
    assert!(matches!(ends[2], Err(ClientError::Unacknowledged { .. })), "{ends:?}");
    assert!(ends[3..].iter().all(|end| matches!(end, Err(ClientError::HeldBack { .. }))), "{ends:?}");
    client.send(world.command("a", clock::new_id()), LONG).await.expect("what stands alone is sent");
    judge.join().expect("judged");
}
