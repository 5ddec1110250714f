//! A group's offsets: by hand, by transaction, and never before the transaction has ended.

use std::sync::mpsc;
use std::time::Duration;

use headwater::log::{CommittedOffset, LogError};
use headwater::position::{Offset, Partition};

use crate::world::{PATIENCE, World, at};

pub fn offsets_set_by_hand_are_read_back(world: &World) {
    let (topic, group) = (world.topic(2), world.name("group"));
    let [left, right] = [0, 1].map(|it| topic.partition(Partition(it)));
    let committed = CommittedOffset { offset: Offset(5), metadata: "by hand".to_owned() };
    world.log.set_committed(&group, &[(right.clone(), committed.clone())]).unwrap();
    assert_eq!(world.log.committed(&group, &[right.clone(), left]).unwrap(), [Some(committed), None]);
    world.log.set_committed(&group, &[(right.clone(), at(2))]).unwrap();
    assert_eq!(world.log.committed(&group, &[right]).unwrap(), [Some(at(2))]);
}

pub fn offsets_are_not_set_while_the_group_has_members(world: &World) {
    let (to, group) = (world.partition(), world.name("group"));
    let player = world.settled(&group, &to.topic, 1);
    let error = world.log.set_committed(&group, &[(to.clone(), at(5))]).expect_err("it has a member");
    assert!(matches!(error, LogError::Fenced(_)), "{error:?}");
    assert_eq!(world.log.committed(&group, std::slice::from_ref(&to)).unwrap(), [None]);
    player.member.leave().unwrap();
    world.log.set_committed(&group, &[(to.clone(), at(5))]).unwrap();
    assert_eq!(world.log.committed(&group, &[to]).unwrap(), [Some(at(5))]);
}

pub fn a_group_that_never_committed_has_no_offsets(world: &World) {
    let topic = world.topic(2);
    let partitions = [0, 1].map(|it| topic.partition(Partition(it)));
    assert_eq!(world.log.committed(&world.name("group"), &partitions).unwrap(), [None, None]);
}

pub fn asking_for_offsets_waits_for_open_transactions(world: &World) {
    let (to, group) = (world.partition(), world.name("group"));
    let mut player = world.settled(&group, &to.topic, 1);
    let mut writer = world.writer();
    writer.begin().unwrap();
    writer.send_offsets(&player.fence(), &[(to.clone(), at(9))]).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let (log, group, to, tell) = (&world.log, &group, &to, &tell);
        scope.spawn(move || tell.send(log.committed(group, std::slice::from_ref(to)).unwrap()).unwrap());
        scope.spawn(|| tell.send(player.member.committed(std::slice::from_ref(to)).unwrap()).unwrap());
        let early = told.recv_timeout(Duration::from_millis(300));
        assert!(early.is_err(), "answered while the transaction is open: {early:?}");
        writer.commit().unwrap();
        for _ in 0..2 {
            assert_eq!(told.recv_timeout(PATIENCE).unwrap(), [Some(at(9))]);
        }
    });
}
