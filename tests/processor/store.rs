//! The local store behind the aggregates in memory: a restart begins from it, and from nothing but what is of
//! this log.

use std::sync::Arc;

use bytes::Bytes;
use headwater::aggregate::processor::ProcessorSettings;
use headwater::command::{CommandHead, Outcome};
use headwater::event::SnapshotHead;
use headwater::position::{Partition, Sequence, Version};
use headwater::schema::Data;
use headwater::store::local::{Batch, LocalStore, PartitionStore};
use serde_json::Value;

use crate::tally::{Add, Command, Tally};
use crate::world::{World, head, small};

/// What `change` does to the first partition's part of the store, while no process has it.
fn with_store(world: &World, change: impl FnOnce(&PartitionStore)) {
    let folder = world.store.as_ref().expect("a world with a store").path();
    let store: Arc<LocalStore> = LocalStore::open(folder).expect("a store that nobody holds");
    change(&store.partition("test.tally.commands/0").expect("its partition"));
}

fn put(store: &PartitionStore, key: &[u8], value: impl Into<Bytes>) {
    let mut batch = Batch::default();
    batch.put(key, value);
    store.write(batch).expect("written");
}

/// One partition in which `t1` came to 3, in two lives.
fn with_three() -> World {
    let world = World::with_store(1, small());
    for amount in [1, 2] {
        world.send_one("t1", Command::Add(Add { amount }));
        world.settle();
    }
    world
}

/// What is in the store for `t1` from now on: no log ever said so.
fn plant(world: &World, version: i64, total: i64) {
    let snapshot = SnapshotHead { version: Version(version), partition: Partition(0), sequence: Sequence(2), state: 1 };
    let value = world.codecs.snapshots.encode(&snapshot, Data::User(&Tally { total, passed: 0 })).expect("encodes");
    with_store(world, |store| put(store, b"at1", value));
}

fn change_positions(world: &World, change: impl FnOnce(&mut Value)) {
    with_store(world, |store| {
        let value = store.get(b"p").expect("read").expect("positions");
        let mut written: Value = serde_json::from_slice(&value).expect("JSON");
        change(&mut written);
        put(store, b"p", serde_json::to_vec(&written).expect("JSON"));
    });
}

/// What `t1` says it comes to.
fn total(world: &World) -> String {
    let asked = world.send_one("t1", Command::Add(Add { amount: 0 }));
    world.settle();
    match &world.replies(asked.id)[..] {
        [Outcome::Accepted(accepted)] => accepted.data.clone().unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_restart_begins_from_the_store_and_reads_no_aggregate_from_the_log() {
    let world = with_three();
    assert_eq!(total(&world), "3");
    plant(&world, 2, 50);
    assert_eq!(total(&world), "50", "what the store says of this log is not read again");
}

#[test]
fn a_store_of_another_cluster_topic_state_or_schema_is_made_anew() {
    let changes: [fn(&mut Value); 6] = [
        |written| written["stamp"]["cluster"] = "another".into(),
        |written| written["stamp"]["commands"] = "other.tally.commands/0".into(),
        |written| written["stamp"]["aggregate"] = "other".into(),
        |written| written["stamp"]["state"] = 2.into(),
        |written| written["stamp"]["schema"][1] = 1.into(),
        |written| written["stamp"]["format"] = 0.into(),
    ];
    for change in changes {
        let world = with_three();
        plant(&world, 2, 50);
        change_positions(&world, change);
        assert_eq!(total(&world), "3");
        plant(&world, 2, 50);
        assert_eq!(total(&world), "50", "made anew, it is begun from again");
    }
}

#[test]
fn a_store_that_is_ahead_of_the_log_or_of_another_history_is_made_anew() {
    let changes: [fn(&mut Value); 6] = [
        |written| written["positions"]["events"] = 1_000.into(),
        |written| written["positions"]["outcomes"] = 1_000.into(),
        |written| written["positions"]["parked"] = 1_000.into(),
        |written| written["positions"]["last_outcomes"]["hash"] = 1.into(),
        |written| written["positions"]["last_outcomes"]["offset"] = 0.into(),
        |written| written["positions"]["sequence"] = 1.into(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let world = with_three();
        plant(&world, 2, 50);
        change_positions(&world, change);
        assert_eq!(total(&world), "3", "change {number}");
    }
}

#[test]
fn what_the_log_goes_on_with_must_follow_on_what_the_store_has() {
    let world = with_three();
    world.send_one("t1", Command::Add(Add { amount: 4 }));
    world.clone_without_store().settle();
    plant(&world, 1, 50);
    assert_eq!(total(&world), "7", "version 3 does not follow on version 1");
}

#[test]
fn a_damaged_aggregate_is_restored_from_the_log_and_the_store_made_anew() {
    let world = with_three();
    with_store(&world, |store| put(store, b"at1", &b"no snapshot"[..]));
    assert_eq!(total(&world), "3");
    assert_eq!(total(&world), "3", "the next start too");
    plant(&world, 2, 50);
    assert_eq!(total(&world), "50", "and that has made a store anew");
}

#[test]
fn repeats_are_known_and_parked_commands_wait_after_a_restart_from_the_store() {
    let world = World::with_store(1, ProcessorSettings { attempts: 1, ..small() });
    let first = world.send_one("t1", Command::Add(Add { amount: 5 }));
    let unlucky = world.send_one("t2", Command::Add(Add { amount: crate::tally::UNLUCKY }));
    world.settle();
    world.settle();
    world.send(&[("t1".to_owned(), first.clone(), Command::Add(Add { amount: 5 }))]);
    world.send_one("t2", Command::Add(Add { amount: 1 }));
    world.settle();
    let [one, other] = &world.replies(first.id)[..] else { panic!("two replies") };
    assert_eq!(one, other);
    assert_eq!(total(&world), "5");
    let parked = world.parked();
    let waiting: Vec<_> = parked.get("t2").expect("it is parked").iter().map(|it| it.command_id).collect();
    assert_eq!((waiting.len(), waiting[0]), (2, unlucky.id));
    world.audit().expect("all is well");
}

#[test]
fn more_aggregates_than_memory_holds_are_judged_checkpointed_and_restored() {
    const AGGREGATES: usize = 3_000;
    let settings = ProcessorSettings {
        cache_aggregates: 50,
        batch_commands: 400,
        checkpoint_events: 1_500,
        store_seconds: 0,
        ..small()
    };
    let world = World::with_store(2, settings);
    let all = |amount: i64| -> Vec<(String, CommandHead, Command)> {
        (0..AGGREGATES).map(|number| (format!("t{number}"), head(), Command::Add(Add { amount }))).collect()
    };
    for amount in [1, 2] {
        world.send(&all(amount));
        world.settle();
    }
    // Without a store it is all read from checkpoints and events, with a new one too.
    let asked = all(0);
    world.send(&asked[..AGGREGATES / 3]);
    world.clone_without_store().settle();
    world.send(&asked[AGGREGATES / 3..AGGREGATES * 2 / 3]);
    World { store: Some(tempfile::tempdir().expect("a folder")), ..world.clone_without_store() }.settle();
    world.send(&asked[AGGREGATES * 2 / 3..]);
    world.settle();
    world.audit().expect("all is well");
    let said = world.all_replies();
    for (id, head, _) in &asked {
        let Some(Outcome::Accepted(accepted)) = said.get(&head.id) else { panic!("{id}: {:?}", said.get(&head.id)) };
        assert_eq!((accepted.version, accepted.data.as_deref()), (Version(2), Some("3")), "{id}");
    }
}
