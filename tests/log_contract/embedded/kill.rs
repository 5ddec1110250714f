//! Death of the process: between any two steps, and at any moment under load.

use std::path::Path;
use std::sync::Arc;

use headwater::log::embedded::{EmbeddedLog, Settings};
use headwater::log::{Group, Log, Outgoing, Polled, Retention, TimeKind, Topic, TopicPartition, TopicSpec};
use headwater::position::{Offset, Partition};

use super::child::{Process, say};
use crate::world::{PATIENCE, World, at, begin, record};

const FOLDER: &str = "HEADWATER_TEST_KILL_FOLDER";
const STEP: &str = "HEADWATER_TEST_KILL_STEP";
const LAST_STEP: usize = 17;

fn partition(number: i32) -> TopicPartition {
    Topic::from("t").partition(Partition(number))
}

/// Longer than what the log gathers before it writes, so that open transactions are on disk too.
fn long(to: &TopicPartition) -> Vec<Outgoing> {
    (0..4).map(|_| record(to, &"x".repeat(400_000))).collect()
}

fn open(folder: &Path) -> World {
    World::new(Arc::new(EmbeddedLog::open(folder, Settings::default()).unwrap()), None)
}

/// What is there after so many steps, once everybody who was at work has come back.
struct Expected {
    left: Vec<&'static str>,
    right: Vec<&'static str>,
    offset: Option<i64>,
}

fn expected(steps: usize) -> Expected {
    let up_to = |history: &[(usize, &'static str)]| {
        history.iter().filter(|(step, _)| *step <= steps).map(|(_, value)| *value).collect()
    };
    Expected {
        left: up_to(&[(2, "single"), (7, "first"), (16, "behind")]),
        right: up_to(&[(7, "first"), (14, "second")]),
        offset: if steps >= 14 { Some(2) } else { (steps >= 7).then_some(1) },
    }
}

/// The process that dies. Not a test of its own.
#[test]
fn the_one_that_is_killed() {
    let (Ok(folder), Ok(step)) = (std::env::var(FOLDER), std::env::var(STEP)) else { return };
    if step == "never" {
        commit_for_ever(Path::new(&folder));
    } else {
        die_after(Path::new(&folder), step.parse().unwrap());
    }
}

fn die_after(folder: &Path, steps: usize) -> ! {
    let done = std::cell::Cell::new(0);
    let step = || {
        done.set(done.get() + 1);
        if done.get() > steps {
            std::process::abort();
        }
    };
    step();
    let world = open(folder);
    let spec = TopicSpec { topic: "t".into(), partitions: 2, retention: Retention::Forever, time: TimeKind::Append };
    world.log.create(&[spec]).unwrap();
    step();
    world.send(record(&partition(0), "single")).unwrap();
    step();
    let mut player = world.settled("g", &"t".into(), 2);
    step();
    let mut writer = world.log.writer("w").unwrap();
    step();
    begin(&mut *writer, &[record(&partition(0), "first"), record(&partition(1), "first")]);
    step();
    writer.send_offsets(&player.fence(), &[(partition(0), at(1))]).unwrap();
    step();
    writer.commit().unwrap();
    step();
    begin(&mut *writer, &long(&partition(0)));
    step();
    writer.send_offsets(&player.fence(), &[(partition(0), at(9))]).unwrap();
    step();
    writer.abort().unwrap();
    step();
    writer.begin().unwrap();
    step();
    writer.send(&[record(&partition(1), "second")]).unwrap();
    step();
    writer.send_offsets(&player.fence(), &[(partition(0), at(2))]).unwrap();
    step();
    writer.commit().unwrap();
    step();
    let mut other = world.log.writer("other").unwrap();
    begin(&mut *other, &long(&partition(0)));
    other.send_offsets(&player.fence(), &[(partition(0), at(20))]).unwrap();
    step();
    world.send(record(&partition(0), "behind")).unwrap();
    step();
    player.member.leave().unwrap();
    std::process::abort();
}

fn child(folder: &Path, step: &str) -> Process {
    Process::start("embedded::kill::the_one_that_is_killed", &[(FOLDER, folder.to_str().unwrap()), (STEP, step)])
}

#[test]
fn the_log_survives_a_kill_between_any_two_steps() {
    for steps in 1..=LAST_STEP {
        let folder = tempfile::tempdir().unwrap();
        let status = child(folder.path(), &steps.to_string()).end();
        assert!(!status.success(), "it was to die after {steps} steps");
        let world = open(folder.path());
        for id in ["w", "other"] {
            drop(world.log.writer(id).unwrap());
        }
        let expected = expected(steps);
        assert_eq!(world.values(&partition(0)), expected.left, "after {steps} steps");
        assert_eq!(world.values(&partition(1)), expected.right, "after {steps} steps");
        let offset = world.log.committed("g", &[partition(0)]).unwrap().remove(0);
        assert_eq!(offset, expected.offset.map(at), "after {steps} steps");
        let mut writer = world.log.writer("w").unwrap();
        begin(&mut *writer, &[record(&partition(0), "goes on")]);
        writer.commit().unwrap();
        assert_eq!(world.values(&partition(0)).last().map(String::as_str), Some("goes on"));
    }
}

fn commit_for_ever(folder: &Path) -> ! {
    let log = EmbeddedLog::open(folder, Settings::default()).unwrap();
    let spec = TopicSpec { topic: "t".into(), partitions: 2, retention: Retention::Forever, time: TimeKind::Append };
    log.create(&[spec]).unwrap();
    let group = Group { name: "g".to_owned(), instance: None, topics: vec!["t".into()] };
    let mut member = log.join(&group).unwrap();
    while !matches!(member.poll(PATIENCE, 1).unwrap(), Polled::Assigned(_)) {}
    let mut writer = log.writer("w").unwrap();
    let from = log.committed("g", &[partition(0)]).unwrap().remove(0).map_or(0, |it| it.offset.0);
    for number in from.. {
        let value = number.to_string();
        begin(&mut *writer, &[record(&partition(0), &value), record(&partition(1), &value)]);
        writer.send_offsets(&member.fence().unwrap(), &[(partition(0), at(number + 1))]).unwrap();
        writer.commit().unwrap();
        say(&format!("committed {number}"));
    }
    unreachable!("numbers do not end")
}

#[test]
fn what_was_committed_survives_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut survived = 0;
    for round in 1..=3 {
        let mut child = child(folder.path(), "never");
        let mut last = 0;
        for _ in 0..200 * round {
            last = child.await_line(|it| it.strip_prefix("committed ")?.parse().ok());
        }
        child.kill();
        let world = open(folder.path());
        drop(world.log.writer("w").unwrap());
        let [left, right] = [0, 1].map(|it| world.values(&partition(it)));
        assert!(left.len() > last, "{} committed, {} there", last + 1, left.len());
        assert!(last >= survived, "each round goes on where the one before was killed");
        assert_eq!(left, (0..left.len()).map(|it| it.to_string()).collect::<Vec<_>>());
        assert_eq!(left, right, "a transaction is all or nothing");
        let offset = world.log.committed("g", &[partition(0)]).unwrap().remove(0).unwrap().offset;
        assert_eq!(offset, Offset(i64::try_from(left.len()).unwrap()));
        survived = left.len();
    }
}
