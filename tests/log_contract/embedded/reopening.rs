//! A log that is closed and opened again, and one that is open already.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater::log::embedded::{EmbeddedLog, Settings};
use headwater::log::{Isolation, Log, TopicPartition};
use headwater::position::{Offset, Partition};

use crate::world::{World, at, begin, commit, numbered, record};

fn open(folder: &Path) -> World {
    World::new(Arc::new(EmbeddedLog::open(folder, Settings::default()).unwrap()), None)
}

#[test]
fn everything_committed_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    let topic = world.topic(3);
    let partitions: [TopicPartition; 3] = [0, 1, 2].map(|it| topic.partition(Partition(it)));
    let group = world.name("group");
    let mut player = world.settled(&group, &topic, 3);
    let mut writer = world.writer();
    begin(&mut *writer, &numbered(&partitions[0], 5));
    writer.send_offsets(&player.fence(), &[(partitions[1].clone(), at(4))]).unwrap();
    writer.commit().unwrap();
    begin(&mut *writer, &numbered(&partitions[0], 2));
    writer.abort().unwrap();
    world.send(record(&partitions[2], "single")).unwrap();
    let look = |world: &World| {
        let bounds =
            [Isolation::Committed, Isolation::Uncommitted].map(|it| world.log.bounds(&partitions, it).unwrap());
        let records: Vec<_> = partitions.iter().flat_map(|it| world.read(it)).collect();
        let offsets = world.log.committed(&group, &partitions).unwrap();
        (
            world.log.cluster().unwrap(),
            world.log.describe(std::slice::from_ref(&topic)).unwrap(),
            bounds,
            records,
            offsets,
        )
    };
    let before = look(&world);
    drop((player, writer, world));
    let world = open(folder.path());
    assert_eq!(look(&world), before);
    let mut writer = world.writer();
    commit(&mut *writer, &[record(&partitions[0], "later")]);
    assert_eq!(world.read(&partitions[0]).last().unwrap().offset, Offset(9));
}

#[test]
fn a_transaction_left_open_stays_open_until_its_writer_id_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    let to = world.partition();
    let (id, group) = (world.name("writer"), world.name("group"));
    let mut player = world.settled(&group, &to.topic, 1);
    let mut writer = world.log.writer(&id).unwrap();
    begin(&mut *writer, &[record(&to, "left open")]);
    writer.send_offsets(&player.fence(), &[(to.clone(), at(1))]).unwrap();
    // It is on disk only with something that has to be.
    world.send(record(&to, "behind it")).unwrap();
    drop((player, writer, world));
    let world = open(folder.path());
    assert_eq!(world.end(&to, Isolation::Committed), Offset(0));
    assert_eq!(world.end(&to, Isolation::Uncommitted), Offset(2));
    drop(world.log.writer(&id).unwrap());
    assert_eq!(world.values(&to), ["behind it"]);
    assert_eq!(world.log.committed(&group, std::slice::from_ref(&to)).unwrap(), [None]);
}

#[test]
fn a_transaction_left_open_ends_when_its_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    let to = world.partition();
    let mut writer = world.writer();
    begin(&mut *writer, &[record(&to, "left open")]);
    world.send(record(&to, "behind it")).unwrap();
    drop((writer, world));
    let settings = Settings { transaction_timeout: Duration::from_millis(50), ..Settings::default() };
    let world = World::new(Arc::new(EmbeddedLog::open(folder.path(), settings).unwrap()), None);
    assert_eq!(world.values(&to), ["behind it"]);
}

#[test]
fn a_log_that_is_open_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let held = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
    let error = EmbeddedLog::open(folder.path(), Settings::default()).expect_err("it is held").to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    assert!(error.contains(&folder.path().display().to_string()), "{error}");
    drop(held);
    EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
}

#[test]
fn a_fence_from_before_a_restart_is_worth_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(folder.path());
    let to = world.partition();
    let group = world.name("group");
    let mut player = world.settled(&group, &to.topic, 1);
    let fence = player.fence();
    drop((player, world));
    let world = open(folder.path());
    let _player = world.settled(&group, &to.topic, 1);
    let mut writer = world.writer();
    writer.begin().unwrap();
    writer.send_offsets(&fence, &[(to.clone(), at(1))]).expect_err("its process is gone");
}

#[test]
fn clones_share_one_log() {
    let log = EmbeddedLog::in_memory(headwater::clock::Clock::system()).unwrap();
    let world = World::new(Arc::new(log.clone()), None);
    let to = world.partition();
    world.send(record(&to, "once")).unwrap();
    let bounds = log.bounds(&[to], Isolation::Committed).unwrap();
    assert_eq!(bounds[0].end, Offset(1));
}
