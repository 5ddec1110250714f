//! A real cluster, and workers that are killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use bytes::Bytes;
use headwater::log::kafka::{KafkaLog, KafkaSettings};
use headwater::log::{Log, Outgoing, Topic};
use headwater::position::Partition;
use headwater::topology::partition_of;
use serde_json::json;

use crate::servers::Servers;
use crate::tally::UNLUCKY;
use crate::world::{Ended, World, variable};

const PARTITIONS: i32 = 8;
const COMMANDS: usize = 10_000;
/// A poisoned tally in each partition has one command in so many.
const POISONED_EVERY: usize = 100;

/// Among ten thousand commands one in each partition panics: all of other aggregates are judged, nothing of
/// the poisoned ones until the code is corrected, and then all of it in order; a record that nobody can read
/// is one dead letter, whatever is killed.
pub fn poison_in_every_partition() {
    let Some(servers) = Servers::from_environment() else { return };
    let mut variables = servers.settings();
    variables.push(variable("HEADWATER_TOPOLOGY__PARTITIONS", &PARTITIONS.to_string()));
    let mut world = World::new(variables);
    world.done(&["topics", "apply"]);
    world.done(&["schemas", "push"]);
    nonsense(&servers);
    let poisoned = poisoned();
    let (lines, sent) = commands(&poisoned);

    let worker = world.worker();
    let ended = world.run_file(&["send", "tally", "--timeout", "20s", "--json"], &lines);
    drop(worker);
    assert_eq!(ended.code, Some(1), "the poisoned are unanswered: {}", ended.err);
    let outcomes = ended.lines();
    let accepted = outcomes.iter().filter(|it| it["outcome"] == "accepted").count();
    let waiting: usize = poisoned.iter().map(|id| sent[id]).sum();
    assert_eq!(accepted, COMMANDS - waiting, "all others are judged");

    let parked = world.parked();
    let found: BTreeMap<_, _> =
        parked.iter().map(|row| (row["id"].as_str().expect("an id").to_owned(), row["commands"].clone())).collect();
    let expected: BTreeMap<_, _> = poisoned.iter().map(|id| (id.clone(), json!(sent[id]))).collect();
    assert_eq!(found, expected);
    let report = world.done(&["verify", "--json"]).json();
    assert_eq!(report["aggregates"][0]["parked"], json!(waiting));
    assert_eq!(report["aggregates"][0]["dead_letters"], json!(1));

    // Another worker takes over, in which it is corrected; it is killed while they are released.
    world.release = "mended";
    let mut worker = world.worker();
    for (number, id) in poisoned.iter().enumerate() {
        let retrying = world.start(&["parked", "retry", "tally", id, "--json"]);
        if number % 4 == 1 {
            drop(worker);
            worker = world.worker();
        }
        let retried = Ended::of(retrying.wait_with_output().expect("it ends"));
        assert_eq!(retried.json()["judged"], json!(sent[id]), "{id}: {}", retried.err);
    }
    drop(worker);
    assert!(world.parked().is_empty());
    for id in &poisoned {
        let state = world.done(&["inspect", "tally", id, "--json"]).json();
        // Each adds one, but for the first, which is unlucky.
        let total = i64::try_from(sent[id]).expect("small") - 1 + UNLUCKY;
        assert_eq!((&state["version"], &state["state"]["total"]), (&json!(sent[id]), &json!(total)), "{id}");
    }
    let report = world.done(&["verify", "--json"]).json();
    let counts = &report["aggregates"][0];
    assert_eq!((&counts["parked"], &counts["dead_letters"], &counts["pending"]), (&json!(0), &json!(1), &json!(0)));
    assert_eq!(report["ok"], json!(true));
}

/// One tally of each partition.
fn poisoned() -> BTreeSet<String> {
    let mut by_partition = BTreeMap::new();
    for number in 0.. {
        let id = format!("poisoned-{number}");
        by_partition.entry(partition_of(id.as_bytes(), PARTITIONS)).or_insert(id);
        if by_partition.len() == usize::try_from(PARTITIONS).expect("small") {
            break;
        }
    }
    by_partition.into_values().collect()
}

/// The lines of a file of commands, and how many of them each tally has.
fn commands(poisoned: &BTreeSet<String>) -> (String, BTreeMap<String, usize>) {
    let (mut lines, mut sent) = (String::new(), BTreeMap::<String, usize>::new());
    for number in 0..COMMANDS {
        let among = number % POISONED_EVERY;
        let id = poisoned.iter().nth(among).cloned().unwrap_or_else(|| format!("tally-{}", number % 997));
        let count = sent.entry(id.clone()).or_default();
        *count += 1;
        let amount = match (poisoned.contains(&id), *count) {
            (true, 1) => UNLUCKY,
            _ => 1,
        };
        let line = json!({"id": id, "command": "Add", "data": {"amount": amount}});
        writeln!(lines, "{line}").expect("text");
    }
    (lines, sent)
}

/// A record that is no command.
fn nonsense(servers: &Servers) {
    let settings = KafkaSettings { bootstrap_servers: servers.kafka.clone(), ..KafkaSettings::default() };
    let log = KafkaLog::connect(settings).expect("a cluster");
    let sender = log.sender().expect("a sender");
    let record = Outgoing {
        topic: Topic::from(format!("{}.tally.commands", servers.app)),
        partition: Partition(3),
        key: Some(Bytes::from_static(b"nobody")),
        value: Some(Bytes::from_static(b"no Avro at all")),
        traceparent: None,
    };
    sender.send(record, Box::new(|delivered| assert!(delivered.is_ok(), "{delivered:?}"))).expect("room");
    sender.flush(std::time::Duration::from_mins(1)).expect("flushed");
}
