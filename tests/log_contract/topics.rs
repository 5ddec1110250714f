//! Topics and the cluster.

use std::time::Duration;

use headwater::log::{Isolation, LogError, Retention, TimeKind, Topic, TopicSpec};
use headwater::position::Partition;

use crate::world::World;

pub fn a_topic_is_described_as_it_was_created(world: &World) {
    let kinds = [
        (Retention::Forever, TimeKind::Create),
        (Retention::For(Duration::from_hours(168)), TimeKind::Append),
        (Retention::Compacted, TimeKind::Append),
    ];
    let specs = kinds.map(|(retention, time)| TopicSpec {
        topic: Topic::from(world.name("topic")),
        partitions: 3,
        retention,
        time,
    });
    world.log.create(&specs).unwrap();
    let missing = Topic::from(world.name("nowhere"));
    let mut asked: Vec<_> = specs.iter().map(|it| it.topic.clone()).collect();
    asked.insert(1, missing);
    let [first, second, third] = specs.map(Some);
    assert_eq!(world.log.describe(&asked).unwrap(), [first, None, second, third]);
}

pub fn a_topic_that_exists_is_left_as_it_is(world: &World) {
    let topic = world.topic(2);
    let before = world.log.describe(std::slice::from_ref(&topic)).unwrap();
    let other =
        TopicSpec { topic: topic.clone(), partitions: 5, retention: Retention::Compacted, time: TimeKind::Create };
    world.log.create(&[other]).unwrap();
    assert_eq!(world.log.describe(&[topic]).unwrap(), before);
}

pub fn what_does_not_exist_is_missing(world: &World) {
    let nowhere = Topic::from(world.name("nowhere")).partition(Partition(0));
    let beyond = world.topic(2).partition(Partition(2));
    for partition in [nowhere, beyond] {
        let error = world.log.bounds(&[partition], Isolation::Committed).expect_err("it does not exist");
        assert!(matches!(error, LogError::Missing(_)), "{error:?}");
    }
}

pub fn a_cluster_has_one_name(world: &World) {
    let name = world.log.cluster().unwrap();
    assert!(!name.is_empty());
    assert_eq!(world.log.cluster().unwrap(), name);
}
