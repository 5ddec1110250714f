//! Single records: what is sent is what is read.

use headwater::log::{LogError, Outgoing};
use headwater::position::{Offset, Partition};

use crate::world::{World, commit, record};

pub fn records_are_read_back_in_the_order_they_were_sent(world: &World) {
    let topic = world.topic(2);
    for (number, partition) in [0, 1, 0, 0, 1].into_iter().enumerate() {
        let to = topic.partition(Partition(partition));
        world.send(record(&to, &number.to_string())).unwrap();
    }
    assert_eq!(world.values(&topic.partition(Partition(0))), ["0", "2", "3"]);
    assert_eq!(world.values(&topic.partition(Partition(1))), ["1", "4"]);
    let offsets: Vec<_> = world.read(&topic.partition(Partition(0))).iter().map(|it| it.offset).collect();
    assert_eq!(offsets, [Offset(0), Offset(1), Offset(2)]);
}

pub fn a_record_without_a_value_is_a_tombstone(world: &World) {
    let to = world.partition();
    let tombstone = Outgoing { value: None, ..record(&to, "") };
    world.send(tombstone).unwrap();
    let empty = Outgoing { value: Some(bytes::Bytes::new()), key: None, ..record(&to, "") };
    world.send(empty).unwrap();
    let read = world.read(&to);
    assert_eq!((read[0].key.as_deref(), read[0].value.as_deref()), (Some(&b"key"[..]), None));
    assert_eq!((read[1].key.as_deref(), read[1].value.as_deref()), (None, Some(&b""[..])), "empty is not absent");
}

pub fn a_traceparent_goes_there_and_back(world: &World) {
    let to = world.partition();
    let parent = bytes::Bytes::from_static(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    world.send(Outgoing { traceparent: Some(parent.clone()), ..record(&to, "traced") }).unwrap();
    world.send(record(&to, "not traced")).unwrap();
    let mut writer = world.writer();
    commit(&mut *writer, &[Outgoing { traceparent: Some(parent.clone()), ..record(&to, "in a transaction") }]);
    let read: Vec<_> = world.read(&to).into_iter().map(|it| it.traceparent).collect();
    assert_eq!(read, [Some(parent.clone()), None, Some(parent)]);
}

pub fn a_record_that_is_too_large_is_refused(world: &World) {
    let to = world.partition();
    let large = record(&to, &"x".repeat(3 * 1024 * 1024));
    let error = world.send(large).expect_err("three MiB are too large");
    assert!(matches!(error, LogError::TooLarge(_)), "{error:?}");
    world.send(record(&to, "small")).unwrap();
    assert_eq!(world.values(&to), ["small"]);
}

pub fn timestamps_do_not_fall_while_the_clock_goes_on(world: &World) {
    let to = world.partition();
    for number in 0..5 {
        world.send(record(&to, &number.to_string())).unwrap();
    }
    let times: Vec<_> = world.read(&to).iter().map(|it| it.timestamp).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(times[0].as_millis() > 1_700_000_000_000, "a present time, in the right unit: {}", times[0]);
}
