//! Reading outside of groups: ends, stretches, times.

use std::time::Duration;

use headwater::clock;
use headwater::log::{Bounds, Isolation, LogError, RangeReader};
use headwater::position::{Offset, Partition};

use crate::world::{PATIENCE, World, begin, commit, numbered, record, value};

const MOMENT: Duration = Duration::from_millis(200);

pub fn ends_count_markers_and_aborted_records(world: &World) {
    let topic = world.topic(2);
    let [to, untouched] = [0, 1].map(|it| topic.partition(Partition(it)));
    let mut writer = world.writer();
    commit(&mut *writer, &numbered(&to, 2));
    world.write_and_abort(&mut *writer, &to, 3, 2);
    for isolation in [Isolation::Committed, Isolation::Uncommitted] {
        let bounds = world.log.bounds(&[untouched.clone(), to.clone()], isolation).unwrap();
        let expected = [Offset(0), Offset(6)].map(|end| Bounds { low: Offset(0), end });
        assert_eq!(bounds, expected, "{isolation:?}");
    }
}

pub fn reading_goes_on_past_markers_and_aborted_records(world: &World) {
    let to = world.partition();
    let mut writer = world.writer();
    commit(&mut *writer, &numbered(&to, 2));
    world.write_and_abort(&mut *writer, &to, 3, 3);
    let end = world.end(&to, Isolation::Uncommitted);
    assert_eq!(end, Offset(7));
    let mut reader = world.log.reader().unwrap();
    let mut next = Offset(0);
    let mut offsets = Vec::new();
    let deadline = clock::instant() + PATIENCE;
    while next < end {
        assert!(clock::instant() < deadline, "reading stands at {next}");
        let stretch = reader.read(&to, next, end, MOMENT, 100).unwrap();
        offsets.extend(stretch.records.iter().map(|it| it.offset.0));
        next = stretch.next;
    }
    assert_eq!(offsets, [0, 1]);
    assert_eq!(next, end);
}

pub fn reading_begins_in_the_middle_and_ends_before_its_end(world: &World) {
    let to = world.partition();
    let mut writer = world.writer();
    commit(&mut *writer, &numbered(&to, 20));
    let mut reader = world.log.reader().unwrap();
    let mut next = Offset(5);
    let mut values = Vec::new();
    while next < Offset(12) {
        let stretch = reader.read(&to, next, Offset(12), PATIENCE, 100).unwrap();
        values.extend(stretch.records.iter().map(value));
        next = stretch.next;
    }
    assert_eq!(next, Offset(12));
    assert_eq!(values, (5..12).map(|it| it.to_string()).collect::<Vec<_>>());
}

pub fn reading_gives_at_most_max_and_goes_on_from_there(world: &World) {
    let to = world.partition();
    let mut writer = world.writer();
    commit(&mut *writer, &numbered(&to, 10));
    let mut reader = world.log.reader().unwrap();
    let (mut next, mut values) = (Offset(0), Vec::new());
    while next < Offset(10) {
        let stretch = reader.read(&to, next, Offset(10), PATIENCE, 3).unwrap();
        assert!(stretch.records.len() <= 3);
        values.extend(stretch.records.iter().map(value));
        next = stretch.next;
    }
    assert_eq!(values, (0..10).map(|it| it.to_string()).collect::<Vec<_>>());
}

pub fn an_open_transaction_holds_reading_up(world: &World) {
    let to = world.partition();
    let mut writer = world.writer();
    begin(&mut *writer, &[record(&to, "open")]);
    while world.end(&to, Isolation::Uncommitted) < Offset(1) {
        std::thread::yield_now();
    }
    let mut reader = world.log.reader().unwrap();
    let stretch = reader.read(&to, Offset(0), Offset(1), MOMENT, 10).unwrap();
    assert!(stretch.records.is_empty());
    assert_eq!(stretch.next, Offset(0), "nothing moves");
    writer.commit().unwrap();
    let stretch = reader.read(&to, Offset(0), Offset(1), PATIENCE, 10).unwrap();
    assert_eq!(stretch.records.len(), 1);
}

pub fn an_offset_that_is_not_held_is_out_of_range(world: &World) {
    let to = world.partition();
    world.send(record(&to, "only")).unwrap();
    let mut reader = world.log.reader().unwrap();
    let error = reader.read(&to, Offset(100), Offset(101), PATIENCE, 10).expect_err("it ends at 1");
    let LogError::OutOfRange { partition, offset, low, end } = error else { panic!("{error:?}") };
    assert_eq!((partition, offset, low, end), (to, Offset(100), Offset(0), Offset(1)));
}

pub fn an_offset_is_found_by_time(world: &World) {
    let to = world.partition();
    for number in 0..5 {
        world.send(record(&to, &number.to_string())).unwrap();
        // Kafka counts in milliseconds.
        std::thread::sleep(Duration::from_millis(3));
    }
    let records = world.read(&to);
    for record in &records {
        assert_eq!(world.log.offset_at(&to, record.timestamp).unwrap(), Some(record.offset));
    }
    let (first, last) = (records[0].timestamp, records[4].timestamp);
    let hour = Duration::from_hours(1);
    assert_eq!(world.log.offset_at(&to, first.minus(hour)).unwrap(), Some(Offset(0)));
    assert_eq!(world.log.offset_at(&to, last.plus(hour)).unwrap(), None);
}

pub fn a_reader_follows_many_partitions(world: &World) {
    let topic = world.topic(3);
    let partitions = [0, 1, 2].map(|it| topic.partition(Partition(it)));
    let mut reader = world.log.reader().unwrap();
    for to in &partitions {
        world.send(record(to, "passed over")).unwrap();
    }
    let from: Vec<_> = partitions.iter().map(|it| (it.clone(), Offset(1))).collect();
    reader.follow(&from).unwrap();
    let mut writer = world.writer();
    begin(&mut *writer, &[record(&partitions[0], "aborted")]);
    writer.abort().unwrap();
    commit(&mut *writer, &partitions.clone().map(|it| record(&it, "seen")));
    let mut seen = Vec::new();
    let deadline = clock::instant() + PATIENCE;
    while seen.len() < 3 {
        assert!(clock::instant() < deadline, "only {seen:?}");
        seen.extend(reader.poll(MOMENT, 2).unwrap().iter().map(|it| (it.partition, value(it))));
    }
    seen.sort();
    assert_eq!(seen, [0, 1, 2].map(|it| (Partition(it), "seen".to_owned())));
    reader.follow(&[(partitions[1].clone(), Offset(0))]).unwrap();
    let mut again = Vec::new();
    while again.len() < 2 {
        assert!(clock::instant() < deadline, "only {again:?}");
        again.extend(reader.poll(MOMENT, 10).unwrap().iter().map(|it| (it.partition, value(it))));
    }
    assert_eq!(again, [(Partition(1), "passed over".to_owned()), (Partition(1), "seen".to_owned())]);
}

pub fn a_range_is_read_to_its_present_end(world: &World) {
    let to = world.partition();
    let mut writer = world.writer();
    commit(&mut *writer, &numbered(&to, 10));
    world.write_and_abort(&mut *writer, &to, 11, 5);
    let mut range = RangeReader::to_present_end(&*world.log, to.clone(), Offset(4), PATIENCE).unwrap();
    assert_eq!(range.until(), Offset(17));
    world.send(record(&to, "too late")).unwrap();
    let mut reader = world.log.reader().unwrap();
    let mut values = Vec::new();
    while let Some(records) = range.step(&*world.log, &mut *reader).unwrap() {
        values.extend(records.iter().map(value));
    }
    assert_eq!(values, (4..10).map(|it| it.to_string()).collect::<Vec<_>>());
    assert_eq!(range.next_offset(), Offset(17));
}
