//! Groups: who owns what, how it is handed over, and what a fence is worth.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater::log::{LogError, Polled, TopicPartition, TransactionError};
use headwater::position::{Offset, Partition};

use crate::world::{PATIENCE, Player, World, at, commit, numbered, record, settle, settle_within, value};

/// Sessions last 15 s on Kafka and a minute in the embedded log.
const SHORTER_THAN_A_SESSION: Duration = Duration::from_secs(10);

pub fn a_member_alone_owns_every_partition(world: &World) {
    let topic = world.topic(3);
    let player = world.settled(&world.name("group"), &topic, 3);
    let all: BTreeSet<_> = (0..3).map(|it| topic.partition(Partition(it))).collect();
    assert_eq!(player.owned, all);
}

pub fn a_partition_moves_only_after_its_release(world: &World) {
    let (topic, group) = (world.topic(4), world.name("group"));
    let mut first = world.settled(&group, &topic, 4);
    let mut second = world.join(&group, &topic);
    let revoked = revocation(&mut first, &mut second);
    assert_eq!(revoked.len(), 2, "half of them are to move");
    for _ in 0..5 {
        second.step();
        assert!(second.owned.is_disjoint(&revoked), "nothing moves before its release");
    }
    let released: Vec<_> = revoked.iter().cloned().collect();
    first.member.release(&released).unwrap();
    first.owned.retain(|it| !revoked.contains(it));
    settle(&mut [&mut first, &mut second], |players| players.iter().all(|it| it.owned.len() == 2));
    assert_eq!(second.owned, revoked);
    first.member.leave().unwrap();
    settle(&mut [&mut second], |players| players[0].owned.len() == 4);
}

/// Polls both until the first is asked to give back, which it does not do.
fn revocation(first: &mut Player, second: &mut Player) -> BTreeSet<TopicPartition> {
    loop {
        second.step();
        assert!(second.owned.is_empty(), "everything still belongs to the first");
        match first.member.poll(Duration::from_millis(50), 10).unwrap() {
            Polled::Revoked(partitions) => return partitions.into_iter().collect(),
            Polled::Records(records) => assert!(records.is_empty()),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

pub fn a_member_that_leaves_hands_over_at_once(world: &World) {
    let (topic, group) = (world.topic(2), world.name("group"));
    let mut first = world.join_as(&group, &topic, Some("first"));
    let mut second = world.join_as(&group, &topic, Some("second"));
    settle(&mut [&mut first, &mut second], |players| players.iter().all(|it| it.owned.len() == 1));
    first.member.leave().unwrap();
    settle_within(SHORTER_THAN_A_SESSION, &mut [&mut second], |players| players[0].owned.len() == 2);
}

pub fn records_flow_only_after_resume(world: &World) {
    let to = world.partition();
    let mut player = world.settled(&world.name("group"), &to.topic, 1);
    world.send(record(&to, "0")).unwrap();
    for _ in 0..3 {
        player.step();
    }
    assert!(player.records.is_empty(), "it is paused until it is resumed");
    player.resume(&to, 0);
    player.gather(1);
    world.send(record(&to, "1")).unwrap();
    player.gather(2);
    assert_eq!(player.records.iter().map(value).collect::<Vec<_>>(), ["0", "1"]);
}

pub fn resume_rewinds_and_drops_what_was_fetched(world: &World) {
    let to = world.partition();
    let mut writer = world.writer();
    commit(&mut *writer, &numbered(&to, 100));
    let mut player = world.settled(&world.name("group"), &to.topic, 1);
    player.resume(&to, 0);
    poll_records(&mut player, 10);
    player.resume(&to, 50);
    player.records.clear();
    player.gather(50);
    let offsets: Vec<_> = player.records.iter().map(|it| it.offset.0).collect();
    assert_eq!(offsets, (50..100).collect::<Vec<_>>());
    player.resume(&to, 0);
    player.records.clear();
    player.gather(100);
    assert_eq!(player.records[0].offset, Offset(0));
}

pub fn a_poll_gives_at_most_max_records(world: &World) {
    let topic = world.topic(2);
    let [left, right] = [0, 1].map(|it| topic.partition(Partition(it)));
    let mut writer = world.writer();
    commit(&mut *writer, &[numbered(&left, 50), numbered(&right, 50)].concat());
    let mut player = world.settled(&world.name("group"), &topic, 2);
    player.resume(&left, 0);
    player.resume(&right, 0);
    let mut seen = [Vec::new(), Vec::new()];
    while seen.iter().map(Vec::len).sum::<usize>() < 100 {
        let records = poll_records(&mut player, 7);
        assert!(records.len() <= 7);
        for (partition, offset) in records {
            seen[usize::try_from(partition.0).unwrap()].push(offset.0);
        }
    }
    assert_eq!(seen, [(0..50).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>()]);
}

fn poll_records(player: &mut Player, max: usize) -> Vec<(Partition, Offset)> {
    let deadline = headwater::clock::instant() + PATIENCE;
    loop {
        assert!(headwater::clock::instant() < deadline, "no records came");
        match player.member.poll(Duration::from_millis(100), max).unwrap() {
            Polled::Records(records) if records.is_empty() => {}
            Polled::Records(records) => return records.iter().map(|it| (it.partition, it.offset)).collect(),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

pub fn a_paused_partition_is_silent(world: &World) {
    let topic = world.topic(2);
    let [left, right] = [0, 1].map(|it| topic.partition(Partition(it)));
    let mut player = world.settled(&world.name("group"), &topic, 2);
    player.resume(&left, 0);
    player.resume(&right, 0);
    world.send(record(&left, "first")).unwrap();
    player.gather(1);
    player.member.pause(std::slice::from_ref(&left)).unwrap();
    world.send(record(&left, "while paused")).unwrap();
    world.send(record(&right, "on the other")).unwrap();
    player.gather(2);
    for _ in 0..3 {
        player.step();
    }
    assert_eq!(player.records.iter().map(value).collect::<Vec<_>>(), ["first", "on the other"]);
    player.resume(&left, 1);
    player.gather(3);
    assert_eq!(value(&player.records[2]), "while paused");
}

pub fn there_is_no_fence_before_the_first_assignment(world: &World) {
    let topic = world.topic(1);
    let mut player = world.join(&world.name("group"), &topic);
    let error = player.member.fence().expect_err("there is no generation yet");
    assert!(matches!(error, LogError::Fenced(_)), "{error:?}");
    settle(&mut [&mut player], |players| players[0].owned.len() == 1);
    assert!(player.fence().generation >= 0);
}

pub fn a_stale_owner_commits_nothing(world: &World) {
    let (topic, group) = (world.topic(2), world.name("group"));
    let to = world.partition();
    let mut first = world.settled(&group, &topic, 2);
    let stale = first.fence();
    let mut second = world.join(&group, &topic);
    settle(&mut [&mut first, &mut second], |players| players.iter().all(|it| it.owned.len() == 1));
    let moved = second.owned.first().expect("one").clone();
    let mut writer = world.writer();
    writer.begin().unwrap();
    writer.send(&[record(&to, "by a stale owner")]).unwrap();
    let ended = writer.send_offsets(&stale, &[(moved.clone(), at(1))]).and_then(|()| writer.commit().map(|_| ()));
    assert!(matches!(ended, Err(TransactionError::Abortable(_) | TransactionError::Fatal(_))), "{ended:?}");
    if matches!(ended, Err(TransactionError::Abortable(_))) {
        writer.abort().unwrap();
    } else {
        drop(writer);
        writer = world.writer();
    }
    assert_eq!(second.member.committed(std::slice::from_ref(&moved)).unwrap(), [None]);
    let fresh = second.fence();
    assert!(fresh.generation > stale.generation);
    writer.begin().unwrap();
    writer.send(&[record(&to, "by the owner")]).unwrap();
    writer.send_offsets(&fresh, &[(moved.clone(), at(1))]).unwrap();
    writer.commit().unwrap();
    assert_eq!(second.member.committed(&[moved]).unwrap(), [Some(at(1))]);
    assert_eq!(world.values(&to), ["by the owner"]);
}

pub fn a_member_that_joins_under_the_same_instance_takes_over(world: &World) {
    let (topic, group) = (world.topic(2), world.name("group"));
    let mut earlier = world.join_as(&group, &topic, Some("one"));
    settle(&mut [&mut earlier], |players| players[0].owned.len() == 2);
    let fence = earlier.fence();
    let mut later = world.join_as(&group, &topic, Some("one"));
    settle(&mut [&mut later], |players| players[0].owned.len() == 2);
    let mut writer = world.writer();
    writer.begin().unwrap();
    let partition = topic.partition(Partition(0));
    let ended = writer.send_offsets(&fence, &[(partition.clone(), at(1))]).and_then(|()| writer.commit().map(|_| ()));
    assert!(matches!(ended, Err(TransactionError::Abortable(_) | TransactionError::Fatal(_))), "{ended:?}");
    let deadline = headwater::clock::instant() + PATIENCE;
    let error = loop {
        assert!(headwater::clock::instant() < deadline, "the earlier member is never told");
        match earlier.member.poll(Duration::from_millis(100), 10) {
            Ok(Polled::Lost(lost)) => earlier.member.release(&lost).unwrap(),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::Fenced(_)), "{error:?}");
    assert!(matches!(earlier.member.fence(), Err(LogError::Fenced(_))));
    drop(writer);
    assert_eq!(later.member.committed(&[partition]).unwrap(), [None]);
}
