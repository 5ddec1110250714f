//! What the processor answers to what should not be on a commands topic.

use std::time::Duration;

use headwater::aggregate::processor::ProcessorSettings;
use headwater::clock::Clock;
use headwater::command::{CommandHead, Failure, Outcome, ReplyTo};
use headwater::lane::PartitionState;
use headwater::position::{Partition, Version};
use headwater::schema::Data;
use headwater::topology::partition_of;
use uuid::Uuid;

use crate::tally::{Add, Command, Pass};
use crate::world::{World, head, small};

fn add(amount: i64) -> Command {
    Command::Add(Add { amount })
}

fn failure(outcome: &Outcome) -> Option<Failure> {
    match outcome {
        Outcome::Failed(failed) => Some(failed.code),
        _ => None,
    }
}

/// The one dead letter of a world, which also moved on: a command after it in the same partition was
/// accepted.
fn one_dead_letter(world: &World, id: &str, code: &str) -> headwater::command::DeadLetter {
    let after = world.send_one(id, add(1));
    world.settle();
    assert!(matches!(world.outcomes(after.id)[..], [(Outcome::Accepted(_), false)]));
    let mut letters = world.dead_letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = letters.remove(0);
    assert_eq!(letter.code, code, "{}", letter.message);
    letter
}

#[test]
fn an_undecodable_record_becomes_a_dead_letter_with_its_place_and_bytes() {
    let world = World::new(3, small());
    world.write(world.command_record("t1", b"no Avro at all".as_slice()));
    let letter = one_dead_letter(&world, "t1", "undecodable");
    assert_eq!(letter.value.as_deref(), Some(b"no Avro at all".as_slice()));
    assert_eq!(letter.key.as_deref(), Some(b"t1".as_slice()));
    assert_eq!(letter.topic, "test.tally.commands");
    assert_eq!(letter.partition, partition_of(b"t1", 3));
    assert_eq!(letter.offset.0, 0);
}

#[test]
fn a_record_of_another_envelope_becomes_a_dead_letter() {
    let world = World::new(3, small());
    let reply = headwater::command::Reply {
        aggregate_id: "t1".into(),
        command_id: Uuid::nil(),
        outcome: Outcome::failed(Failure::Skipped, ""),
    };
    world.write(world.command_record("t1", world.codecs.replies.encode(&reply).expect("encodes")));
    let letter = one_dead_letter(&world, "t1", "undecodable");
    assert!(letter.message.contains("Reply"), "{}", letter.message);
}

#[test]
fn a_record_without_a_key_or_with_a_key_that_is_no_text_becomes_a_dead_letter() {
    let value = |world: &World| world.codecs.commands.encode(&head(), Data::User(&add(1))).expect("encodes");
    let world = World::new(1, small());
    world.write(headwater::log::Outgoing { key: None, ..world.command_record("t1", value(&world)) });
    one_dead_letter(&world, "t1", "null_key");
    let world = World::new(1, small());
    let key = Some(bytes::Bytes::from_static(b"\xff\xfe"));
    world.write(headwater::log::Outgoing { key, ..world.command_record("t1", value(&world)) });
    one_dead_letter(&world, "t1", "bad_key");
}

#[test]
fn a_key_in_the_wrong_partition_becomes_a_dead_letter_and_its_sender_is_told() {
    let world = World::new(3, small());
    let head = head();
    let value = world.codecs.commands.encode(&head, Data::User(&add(1))).expect("encodes");
    let wrong = Partition((partition_of(b"t1", 3).0 + 1) % 3);
    world.write(headwater::log::Outgoing { partition: wrong, ..world.command_record("t1", value) });
    one_dead_letter(&world, "t1", "misplaced");
    assert_eq!(world.replies(head.id).iter().map(failure).collect::<Vec<_>>(), [Some(Failure::Misplaced)]);
    assert!(world.outcomes(head.id).is_empty());
}

#[test]
fn an_id_and_an_issued_at_that_disagree_become_a_dead_letter() {
    let world = World::new(3, small());
    let head = head();
    let head = CommandHead { issued_at: head.issued_at.minus(Duration::from_secs(5)), ..head };
    world.send(&[("t1".to_owned(), head, add(1))]);
    one_dead_letter(&world, "t1", "issued_at_mismatch");
}

#[test]
fn an_unknown_schema_holds_its_partition_up_and_then_becomes_a_dead_letter() {
    let world = World::new(3, small());
    world.write(world.command_record("t1", [0, 0, 1, 0, 0, 1, 2].as_slice()));
    let state = world.run_until(|state| matches!(state, PartitionState::Waiting(_)));
    assert!(matches!(state, PartitionState::Waiting(reason) if reason.contains("65536")));
    assert!(world.dead_letters().is_empty());
    let world = World { settings: ProcessorSettings { unknown_schema_seconds: 0, ..small() }, ..world };
    one_dead_letter(&world, "t1", "unknown_schema");
}

#[test]
fn a_copy_gets_the_first_outcome_and_another_payload_is_a_conflict() {
    let world = World::new(3, small());
    let head = world.send_one("t1", add(5));
    world.send(&[("t1".to_owned(), head.clone(), add(5))]);
    world.send(&[("t1".to_owned(), head.clone(), add(6))]);
    world.settle();
    let replies = world.replies(head.id);
    assert_eq!(replies[0], replies[1]);
    assert_eq!(failure(&replies[2]), Some(Failure::Conflict));
    let outcomes = world.outcomes(head.id);
    assert_eq!(outcomes.iter().filter(|(_, about_copy)| !about_copy).count(), 1);
}

#[test]
fn commands_from_too_long_ago_and_from_the_future_fail() {
    let world = World::new(1, small());
    let now = world.clock.now();
    let aged = |issued_at| CommandHead { id: Uuid::from_u128(u128::from(issued_at != now)), issued_at, ..head() };
    let future = CommandHead { id: Uuid::from_u128(7), ..aged(now.plus(Duration::from_mins(2))) };
    world.send(&[("t1".to_owned(), future.clone(), add(1))]);
    world.settle();
    assert_eq!(failure(&world.outcomes(future.id)[0].0), Some(Failure::ClockSkew));
    // An outcome is forgotten by its limit: what was issued before it may be a repeat.
    let world = World { settings: ProcessorSettings { remember_limit: 1, ..small() }, ..world };
    let old = CommandHead { id: Uuid::from_u128(8), ..aged(now.minus(Duration::from_mins(5))) };
    world.send_one("t1", add(1));
    world.send_one("t1", add(1));
    world.settle();
    world.send(&[("t1".to_owned(), old.clone(), add(1))]);
    world.settle();
    assert_eq!(failure(&world.outcomes(old.id)[0].0), Some(Failure::TooOld));
    assert!(world.outcomes(old.id)[0].1, "it is about a copy");
}

#[test]
fn another_version_than_expected_is_refused_with_the_present_one() {
    let world = World::new(3, small());
    world.send_one("t1", add(5));
    let head = CommandHead { expected_version: Some(Version(7)), ..head() };
    world.send(&[("t1".to_owned(), head.clone(), add(5))]);
    world.settle();
    let replies = world.replies(head.id);
    let [Outcome::Refused(refused)] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!((refused.code.as_str(), refused.version), ("version_mismatch", Version(1)));
}

#[test]
fn what_would_be_too_large_to_write_fails_and_changes_nothing() {
    let world = World::new(3, ProcessorSettings { record_bytes: 40, ..small() });
    let head = world.send_one("t1", Command::Pass(Pass { amount: 1, to: "t2".to_owned() }));
    world.settle();
    assert_eq!(failure(&world.replies(head.id)[0]), Some(Failure::TooLarge));
    let events = (0..3).map(|it| world.codecs.topics.events.partition(Partition(it)));
    assert_eq!(events.map(|it| crate::model::read_all(&*world.log, it).len()).sum::<usize>(), 0);
}

#[test]
fn a_reply_to_nowhere_is_ignored() {
    let world = World::new(3, small());
    let elsewhere = ReplyTo { topic: "other.replies".to_owned(), partition: 0, key: String::new() };
    let beyond = ReplyTo { topic: "test.replies".to_owned(), partition: 99, key: String::new() };
    for reply_to in [elsewhere, beyond] {
        let head = CommandHead { reply_to: Some(reply_to), ..head() };
        world.send(&[("t1".to_owned(), head.clone(), add(1))]);
        world.settle();
        assert!(matches!(world.outcomes(head.id)[..], [(Outcome::Accepted(_), false)]));
        assert!(world.replies(head.id).is_empty());
    }
}

#[test]
fn a_key_too_long_for_an_id_is_cut_in_its_dead_letter() {
    let world = World::new(1, small());
    let id = "x".repeat(600_000);
    let value = world.codecs.commands.encode(&head(), Data::User(&add(1))).expect("encodes");
    world.write(world.command_record(&id, value));
    let letter = one_dead_letter(&world, "t1", "bad_key");
    assert!(letter.key.is_some_and(|key| key.len() < 20_000));
}

#[test]
fn a_leap_of_the_brokers_clock_does_not_refuse_what_comes_after_it() {
    let start = Clock::system().now();
    let log_clock = Clock::manual(start.plus(Duration::from_hours(1)));
    let world = World::with_log_clock(1, small(), log_clock.clone());
    let leapt = CommandHead { id: Uuid::from_u128(1), issued_at: start, ..head() };
    world.send(&[("t1".to_owned(), leapt.clone(), add(1))]);
    world.settle();
    log_clock.set(start);
    for number in 2..5 {
        let fresh = CommandHead { id: Uuid::from_u128(number), issued_at: start, ..head() };
        world.send(&[("t1".to_owned(), fresh.clone(), add(1))]);
        world.settle();
        assert!(matches!(world.outcomes(fresh.id)[..], [(Outcome::Accepted(_), false)]));
    }
}
