//! A saga on the log: what it promises while nothing fails.

use std::time::Duration;

use headwater::clock;
use headwater::command::{Accepted, InboxData, InboxInput, Outcome, OutcomeInput, Wake};
use headwater::position::{Partition, Sequence, Version};
use headwater::testing::faults::Faults;
use uuid::Uuid;

use crate::purse::{Approve, Command, Event, Fill, Lock, Send, Unlock};
use crate::world::{World, stopped};

fn send(number: i64, to: &str, patience: i64) -> Send {
    Send { number, to: to.to_owned(), amount: 100 + number, patience }
}

fn happened(world: &World, wanted: impl Fn(&str, &Event) -> bool) -> usize {
    world.events().iter().filter(|(id, event)| wanted(id, event)).count()
}

#[test]
fn what_is_sent_is_received_and_the_saga_ends() {
    let world = World::new();
    world.send("a", Fill { amount: 500 });
    world.send("a", send(1, "b", 0));
    world.run(&Faults::default(), 1);
    assert_eq!(happened(&world, |id, event| id == "b" && matches!(event, Event::Received(it) if it.amount == 101)), 1);
    let issued = world.issued();
    let [(to, head, Command::Receive(_))] = &issued[..] else { panic!("{issued:?}") };
    let reply_to = head.reply_to.as_ref().expect("it waits");
    assert_eq!((to.as_str(), reply_to.topic.as_str(), reply_to.key.as_str()), ("b", "test.delivery.inbox", "a/1"));
    assert_eq!(head.id.get_version_num(), 5);
    world.audit().expect("all holds");
}

#[test]
fn what_is_refused_is_taken_back_and_retried_until_it_is_accepted() {
    let world = World::new();
    for purse in ["a", "b"] {
        world.send(purse, Lock {});
    }
    world.send("a", send(1, "b", 0));
    let process = world.start(&Faults::default()).expect("it starts");
    let attempts =
        |world: &World| world.issued().iter().filter(|(_, _, it)| matches!(it, Command::TakeBack(_))).count();
    world.wait(&process, "a second attempt to take it back", |world, _| attempts(world) > 1);
    world.send("a", Unlock {});
    world.wait(&process, "the end", |world, _| world.is_done(1));
    assert_eq!(happened(&world, |id, event| id == "a" && matches!(event, Event::TakenBack(_))), 1);
    let mut ids: Vec<_> = world.issued().into_iter().map(|(_, head, _)| head.id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "each attempt has an id of its own");
    drop(process);
    world.audit().expect("all holds");
}

#[test]
fn a_deadline_is_kept_over_a_restart_and_fires_once() {
    let world = World::new();
    world.send("a", send(1, "b", 700));
    world.send("a", send(2, "b", 3_600_000));
    world.run_until("both wait", |world, _| world.instances().values().filter(|it| it.deadline.is_some()).count() == 2);
    world.send("a", Approve { number: 2 });
    world.run(&Faults::default(), 2);
    assert_eq!(happened(&world, |_, event| matches!(event, Event::TakenBack(it) if it.amount == 101)), 1);
    assert_eq!(happened(&world, |_, event| matches!(event, Event::Received(it) if it.amount == 102)), 1);
    assert_eq!(world.issued().len(), 2);
    let [first, _] = &world.instances().into_values().collect::<Vec<_>>()[..] else { panic!("two") };
    assert!(first.time >= first.started_at.plus(Duration::from_millis(700)), "not before its time: {first:?}");
}

#[test]
fn an_ended_instance_takes_nothing_in_and_is_forgotten_after_a_while() {
    let mut world = World::new();
    world.send("a", send(1, "b", 0));
    world.run(&Faults::default(), 1);
    let ended = world.instances();
    world.send("a", Approve { number: 1 });
    let outcome = |command_id, aggregate: &str| {
        let outcome = Accepted { version: Version(1), partition: Partition(0), sequence: Sequence(1), data: None };
        let outcome = OutcomeInput {
            aggregate: aggregate.to_owned(),
            aggregate_id: "b".to_owned(),
            command_id,
            outcome: Outcome::Accepted(outcome),
        };
        input(InboxData::OutcomeInput(outcome))
    };
    let issued = world.issued()[0].1.id;
    for (id, late) in [("a/1", outcome(issued, "purse")), ("a/1", wake()), ("nobody", outcome(issued, "purse"))] {
        let value = world.deliveries.inbox.encode(&late).expect("encodes");
        world.write(&world.deliveries.topics.inbox, id, Some(value));
    }
    world.run_until("all is taken in", |world, _| {
        let inbox = world.partitions(&world.deliveries.topics.inbox);
        let committed = world.log.committed("test.delivery.inbox", &inbox).expect("offsets");
        let last = |index: usize| {
            world
                .read(&inbox[index].topic)
                .into_iter()
                .rfind(|it| it.partition.0 == i32::try_from(index).expect("small"))
        };
        (0..inbox.len()).all(|index| {
            last(index).is_none_or(|last| committed[index].as_ref().is_some_and(|it| it.offset > last.offset))
        }) && world.read(&world.deliveries.topics.inbox).len() >= 6
    });
    assert_eq!(world.instances(), ended);
    assert_eq!(world.issued().len(), 1);
    world.settings.ended_seconds = 0;
    world.run_until("it is forgotten", |world, _| world.instances().is_empty());
}

fn input(data: InboxData) -> InboxInput {
    let id = Uuid::from_u128(5);
    InboxInput { id, occurred_at: clock::Clock::system().now(), correlation_id: id, data }
}

fn wake() -> InboxInput {
    input(InboxData::Wake(Wake {}))
}

#[test]
fn a_wake_does_at_once_what_waits_for_its_time() {
    let world = World::new();
    for purse in ["a", "b"] {
        world.send(purse, Lock {});
    }
    world.send("a", send(1, "b", 0));
    let process = world.start(&Faults::default()).expect("it starts");
    let attempt = |world: &World| {
        world.instances().values().flat_map(|head| head.under_way.clone()).map(|step| step.attempt).max().unwrap_or(0)
    };
    // By the fifth attempt it waits for many seconds.
    for wanted in 2..8 {
        world.wait(&process, "it waits", |world, _| {
            world.instances().values().any(|head| head.under_way.iter().any(|step| step.retry_at.is_some()))
        });
        let value = world.deliveries.inbox.encode(&wake()).expect("encodes");
        world.write(&world.deliveries.topics.inbox, "a/1", Some(value));
        world.wait(&process, "another attempt", |world, _| attempt(world) >= wanted);
    }
}

#[test]
fn a_panic_stops_the_partition_in_front_of_the_input_and_no_other() {
    let world = World::new();
    world.send("a", send(1, "nowhere", 0));
    let process = world.start(&Faults::default()).expect("it starts");
    world.wait(&process, "it stops", |_, process| stopped(process).is_some());
    let reason = stopped(&process).expect("it was seen");
    assert!(reason.contains("\"a/1\"") && reason.contains("there is no such place"), "{reason}");
    assert_eq!(world.instances().len(), 0);
    for number in 2..20 {
        world.send(&format!("p{number}"), send(number, "b", 0));
    }
    world.wait(&process, "others go on", |world, _| world.instances().values().any(|it| it.ended_at.is_some()));
}

#[test]
fn an_event_that_cannot_be_read_stops_the_router() {
    let world = World::new();
    world.write(&world.purses.topics.events, "a", Some(bytes::Bytes::from_static(b"no event")));
    let process = world.start(&Faults::default()).expect("it starts");
    world.wait(&process, "it stops", |_, process| stopped(process).is_some());
    let reason = stopped(&process).expect("it was seen");
    assert!(reason.contains("test.purse.events/") && reason.contains("offset 0"), "{reason}");
}

#[test]
fn a_saga_whose_offsets_have_expired_takes_nothing_in_twice() {
    let world = World::new();
    world.send("locked", Lock {});
    for number in 0..9 {
        world.send(&format!("p{number}"), send(number, if number % 3 == 0 { "locked" } else { "b" }, 0));
    }
    world.run(&Faults::default(), 9);
    let counted = |world: &World| (world.read(&world.deliveries.topics.inbox).len(), world.issued().len());
    let before = counted(&world);
    let process = world.start(&Faults::expired_offsets()).expect("it starts");
    world.send("p9", send(9, "b", 0));
    world.wait(&process, "it goes on", |world, process| stopped(process).is_some() || world.is_done(10));
    assert_eq!(stopped(&process), None);
    assert_eq!(counted(&world), (before.0 + 2, before.1 + 1));
}
