//! `verify` finds each kind of fault that is planted in what a saga wrote, names its place, and finds none where
//! there is none.

use headwater::log::{CommittedOffset, Record};
use headwater::position::Partition;
use headwater::saga::{Ended, StateControl};
use headwater::schema::Data;
use headwater::testing::faults::Faults;
use headwater::topology::partition_of;
use headwater::verify::{Rule, Violation};

use crate::crash_schedules::{LOADED, load};
use crate::purse::{Command, Receive, Send};
use crate::world::World;

fn text(record: &Record) -> String {
    String::from_utf8(record.key.as_ref().expect("a key").to_vec()).expect("text")
}

/// Sagas of every kind, all of them ended.
fn ended() -> World {
    let world = World::new();
    load(&world);
    world.run(&Faults::default(), LOADED);
    world
}

/// One saga that waits for its deadline.
fn waiting() -> World {
    let world = World::new();
    world.send("a", Send { number: 1, to: "b".to_owned(), amount: 5, patience: 3_600_000 });
    world.run_until("it waits", |world, _| world.instances().values().any(|head| head.deadline.is_some()));
    world
}

/// What is found is of one kind, at this topic, in these words.
#[track_caller]
fn finds(world: &World, topic: &str, words: &str) {
    let found = world.audit_sagas().0;
    let is_it =
        |it: &Violation| it.rule == Rule::Sagas && it.place.to_string().starts_with(topic) && it.what.contains(words);
    assert!(!found.is_empty() && found.iter().all(is_it), "{found:#?}");
}

/// A command that an instance has issued, as it stands in the log.
fn issued(world: &World) -> Record {
    let records = world.read(&world.purses.topics.commands).into_iter();
    let mut of_sagas = records.filter(|record| {
        let head = world.purses.commands.decode_head(record.value.as_deref().expect("a value")).expect("a head");
        head.reply_to.is_some()
    });
    of_sagas.next().expect("there are some")
}

#[test]
fn sound_sagas_have_no_faults_and_everything_is_counted() {
    let world = ended();
    let (found, counts) = world.audit_sagas();
    assert_eq!(found, []);
    assert_eq!((counts.instances, counts.open, counts.pending), (LOADED as u64, 0, 0));
    assert_eq!(counts.commands, world.issued().len() as u64);
    let (found, counts) = waiting().audit_sagas();
    assert_eq!((found, counts.instances, counts.open, counts.commands), (vec![], 1, 1, 0));
}

#[test]
fn a_step_that_was_done_twice_is_found() {
    let world = ended();
    let command = issued(&world);
    world.write(&command.topic, &text(&command), command.value.clone());
    finds(&world, "test.purse.commands/", "has issued this command");
}

#[test]
fn a_command_that_follows_from_nothing_is_found() {
    let world = ended();
    let command = issued(&world);
    let decoded = world.purses.commands.decode(command.value.as_deref().expect("a value")).expect("a command");
    let head = headwater::command::CommandHead { id: headwater::clock::new_id(), ..decoded.head };
    let data: Command = Receive { amount: 1 }.into();
    let value = world.purses.commands.encode(&head, Data::User(&data)).expect("encodes");
    world.write(&command.topic, "open", Some(value));
    finds(&world, "test.purse.commands/", "does not follow from what its instance");
}

#[test]
fn an_instance_that_is_lost_is_found() {
    let world = waiting();
    let (id, _) = world.instances().pop_first().expect("one");
    world.write(&world.deliveries.topics.state, &id, None);
    finds(&world, "test.delivery.inbox/", "is neither open nor ended");
}

#[test]
fn a_step_that_was_skipped_is_found() {
    let world = ended();
    // The input of one instance comes to another one, and the group passes it without taking it in.
    let inputs = world.read(&world.deliveries.topics.inbox);
    let input = inputs.iter().find(|record| text(record) == "p0/0").expect("the first that was sent");
    world.write(&input.topic, "nobody/1", input.value.clone());
    let partition = partition_of(b"nobody/1", world.topology.partitions);
    let passed = world.read(&input.topic).into_iter().filter(|record| record.partition == partition);
    let next = passed.last().expect("it was written").offset.next();
    let committed = CommittedOffset { offset: next, metadata: String::new() };
    let place = input.topic.partition(Partition(partition.0));
    world.log.set_committed(&world.topology.saga_group("delivery"), &[(place, committed)]).expect("committed");
    let found = world.audit_sagas().0;
    let says = |words: &str| found.iter().any(|it| it.rule == Rule::Sagas && it.what.contains(words));
    assert!(says("is neither open nor ended") && says("is to have issued step 1"), "{found:#?}");
}

#[test]
fn a_record_that_does_not_follow_from_the_inputs_is_found() {
    let world = ended();
    let (id, mut head) = world.instances().pop_first().expect("some");
    head.steps += 1;
    let ended = StateControl::Ended(Ended {});
    let value = world.deliveries.state.encode(&head, Data::Engine(&ended)).expect("encodes");
    world.write(&world.deliveries.topics.state, &id, Some(value));
    finds(&world, "test.delivery.inbox/", "steps by its record");
}
