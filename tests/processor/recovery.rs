//! Restoring a partition: from checkpoints, around unreadable snapshots, and not past what is wrong.

use bytes::Bytes;
use headwater::aggregate::processor::ProcessorSettings;
use headwater::clock;
use headwater::command::Outcome;
use headwater::event::{EventHead, SnapshotControl};
use headwater::lane::PartitionState;
use headwater::log::Outgoing;
use headwater::position::{Partition, Sequence, Version};
use headwater::schema::Data;

use crate::model;
use crate::tally::{Add, Added, Command, Event};
use crate::world::{World, small};

fn add(amount: i64) -> Command {
    Command::Add(Add { amount })
}

/// A world with one partition in which `t1` got this many events, over several lives.
fn with_events(count: i64) -> World {
    let world = World::new(1, small());
    for _ in 0..count {
        world.send_one("t1", add(1));
        if count % 7 == 0 {
            world.settle();
        }
    }
    world.settle();
    world
}

fn total_after_one_more(world: &World) -> (Version, Option<String>) {
    world.send_one("t1", add(1));
    let asked = world.send_one("t1", add(0));
    world.settle();
    let replies = world.replies(asked.id);
    let [Outcome::Accepted(accepted)] = &replies[..] else { panic!("{replies:?}") };
    (accepted.version, accepted.data.clone())
}

fn checkpoints(world: &World) -> Vec<(usize, headwater::event::Checkpoint)> {
    let records = model::read_all(&*world.log, world.codecs.topics.snapshots.partition(Partition(0)));
    let decoded = records.into_iter().map(|it| world.codecs.snapshots.decode(&it.value.expect("a value")));
    let engine = decoded.enumerate().filter_map(|(index, it)| match it.expect("a snapshot").data {
        Data::Engine(SnapshotControl::Checkpoint(checkpoint)) => Some((index, checkpoint)),
        Data::User(_) => None,
    });
    engine.collect()
}

#[test]
fn a_checkpoint_covers_what_was_committed_before_it_and_nothing_later() {
    let world = with_events(35);
    let checkpoints = checkpoints(&world);
    assert!(!checkpoints.is_empty(), "35 events make checkpoints of 10");
    let events = model::read_all(&*world.log, world.codecs.topics.events.partition(Partition(0)));
    for (_, checkpoint) in checkpoints {
        let covered = events.iter().filter(|event| event.offset < checkpoint.events_offset).count();
        assert_eq!(Sequence(i64::try_from(covered).expect("few")), checkpoint.sequence);
    }
    assert_eq!(total_after_one_more(&world), (Version(36), Some("36".to_owned())));
}

#[test]
fn a_checkpoint_of_many_aggregates_is_written_in_slices_and_restored_whole() {
    let world = World::new(1, ProcessorSettings { batch_bytes: 400, checkpoint_events: 30, ..small() });
    for round in 0..3 {
        for number in 0..40 {
            world.send_one(&format!("t{number}"), add(1));
        }
        world.settle();
        assert!(round == 0 || !checkpoints(&world).is_empty(), "120 events make checkpoints of 30");
    }
    let records = model::read_all(&*world.log, world.codecs.topics.snapshots.partition(Partition(0)));
    assert!(records.len() > 40, "{} snapshots", records.len());
    assert_eq!(total_after_one_more(&world), (Version(4), Some("4".to_owned())));
}

#[test]
fn an_unreadable_snapshot_is_dropped_and_its_events_are_folded() {
    let world = with_events(25);
    world.write(Outgoing {
        topic: world.codecs.topics.snapshots.clone(),
        partition: Partition(0),
        key: Some(Bytes::from_static(b"t1")),
        value: Some(Bytes::from_static(b"no snapshot")),
        traceparent: None,
    });
    assert_eq!(total_after_one_more(&world), (Version(26), Some("26".to_owned())));
}

/// An event written past the engine.
fn forge(world: &World, version: i64, sequence: i64) {
    let id = clock::new_id();
    let head = EventHead {
        id,
        version: Version(version),
        sequence: Sequence(sequence),
        occurred_at: world.clock.now(),
        causation_id: id,
        correlation_id: id,
    };
    let event = Event::Added(Added { amount: 1, total: 99 });
    world.write(Outgoing {
        topic: world.codecs.topics.events.clone(),
        partition: Partition(0),
        key: Some(Bytes::from_static(b"t1")),
        value: Some(world.codecs.events.encode(&head, Data::User(&event)).expect("encodes")),
        traceparent: None,
    });
}

fn stops_with(world: &World, words: &[&str]) {
    let state = world.run_until(|state| matches!(state, PartitionState::Stopped(_)));
    let PartitionState::Stopped(reason) = state else { unreachable!("it was picked") };
    for word in words {
        assert!(reason.contains(word), "{word:?} in {reason}");
    }
}

#[test]
fn a_gap_in_the_sequences_stops_the_partition() {
    let world = with_events(5);
    forge(&world, 6, 7);
    stops_with(&world, &["test.tally.events/0", "sequence 7, after 5", "verify"]);
}

#[test]
fn a_gap_in_the_versions_stops_the_partition() {
    let world = with_events(5);
    forge(&world, 8, 6);
    stops_with(&world, &["test.tally.events/0", "version 8", "after version 5", "t1"]);
}

#[test]
fn an_event_whose_command_has_no_outcome_stops_the_partition() {
    let world = with_events(5);
    forge(&world, 6, 6);
    stops_with(&world, &["no outcome", "torn", "t1"]);
}
