//! Retention, compaction, and whose clock decides.

use std::sync::Arc;
use std::time::Duration;

use headwater::clock::{Clock, Timestamp};
use headwater::log::embedded::{EmbeddedLog, Settings};
use headwater::log::{Isolation, Log, LogError, Outgoing, Retention, TimeKind, TopicPartition, TopicSpec};
use headwater::position::{Offset, Partition};

use crate::world::{PATIENCE, World, begin, commit, numbered, record};

const HOUR: Duration = Duration::from_hours(1);

struct Kept {
    world: World,
    log: EmbeddedLog,
    clock: Clock,
    to: TopicPartition,
    _folder: Option<tempfile::TempDir>,
}

fn noon() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

fn on_both(retention: Retention, promise: impl Fn(&Kept)) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(noon());
    let settings = Settings { tombstone_retention: HOUR, ..Settings::default() };
    let memory = EmbeddedLog::in_memory_with(settings.clone(), clock.clone()).unwrap();
    let disk = EmbeddedLog::open_with_clock(folder.path(), settings, clock.clone()).unwrap();
    for (log, folder) in [(memory, None), (disk, Some(folder))] {
        clock.set(noon());
        let world = World::new(Arc::new(log.clone()), None);
        let topic = world.name("topic");
        let spec = TopicSpec { topic: topic.as_str().into(), partitions: 1, retention, time: TimeKind::Append };
        log.create(std::slice::from_ref(&spec)).unwrap();
        let to = spec.topic.partition(Partition(0));
        promise(&Kept { world, log, clock: clock.clone(), to, _folder: folder });
    }
}

fn keyed(to: &TopicPartition, key: &str, value: Option<&str>) -> Outgoing {
    Outgoing { key: Some(key.to_owned().into()), value: value.map(|it| it.to_owned().into()), ..record(to, "") }
}

fn offsets(kept: &Kept) -> Vec<i64> {
    kept.world.read(&kept.to).iter().map(|it| it.offset.0).collect()
}

#[test]
fn records_carry_the_time_of_the_logs_clock_forward_and_back() {
    on_both(Retention::Forever, |it| {
        let times = [noon(), noon().plus(HOUR), noon().minus(HOUR), noon().plus(Duration::from_millis(1))];
        for time in times {
            it.clock.set(time);
            it.world.send(record(&it.to, "x")).unwrap();
        }
        assert_eq!(it.world.read(&it.to).iter().map(|it| it.timestamp).collect::<Vec<_>>(), times);
        let at = |time| it.log.offset_at(&it.to, time).unwrap();
        assert_eq!(at(noon()), Some(Offset(0)));
        assert_eq!(at(noon().plus(Duration::from_micros(1))), Some(Offset(1)), "the first, not the nearest");
        assert_eq!(at(noon().plus(2 * HOUR)), None);
    });
}

#[test]
fn an_offset_is_found_by_time_among_many_chunks() {
    on_both(Retention::Forever, |it| {
        let mut writer = it.world.writer();
        for hour in 0..40 {
            it.clock.set(noon().plus(HOUR * hour));
            commit(&mut *writer, &numbered(&it.to, 10));
        }
        for hour in [0, 1, 17, 39] {
            let found = it.log.offset_at(&it.to, noon().plus(HOUR * hour)).unwrap();
            assert_eq!(found, Some(Offset(i64::from(hour) * 11)));
        }
        assert_eq!(it.log.offset_at(&it.to, noon().plus(HOUR * 40)).unwrap(), None);
    });
}

#[test]
fn old_records_go_and_the_low_mark_moves_on() {
    on_both(Retention::For(HOUR), |it| {
        it.world.send(record(&it.to, "old")).unwrap();
        let mut writer = it.world.writer();
        begin(&mut *writer, &numbered(&it.to, 3));
        writer.abort().unwrap();
        it.clock.set(noon().plus(HOUR));
        it.world.send(record(&it.to, "young")).unwrap();
        it.log.maintain().unwrap();
        assert_eq!(offsets(it), [0, 5], "an hour old is not older than an hour");
        it.clock.set(noon().plus(HOUR + Duration::from_millis(1)));
        it.log.maintain().unwrap();
        let bounds = it.log.bounds(std::slice::from_ref(&it.to), Isolation::Uncommitted).unwrap()[0];
        assert_eq!((bounds.low, bounds.end), (Offset(5), Offset(6)));
        assert_eq!(offsets(it), [5]);
        let error = it.log.reader().unwrap().read(&it.to, Offset(0), Offset(6), PATIENCE, 10).expect_err("it is gone");
        assert!(matches!(error, LogError::OutOfRange { low: Offset(5), .. }), "{error:?}");
        it.clock.set(noon().plus(3 * HOUR));
        it.log.maintain().unwrap();
        assert_eq!(it.world.end(&it.to, Isolation::Committed), Offset(6), "an emptied partition keeps its end");
        it.world.send(record(&it.to, "new")).unwrap();
        assert_eq!(offsets(it), [6]);
    });
}

#[test]
fn deleting_never_passes_an_open_transaction() {
    on_both(Retention::For(HOUR), |it| {
        it.world.send(record(&it.to, "old")).unwrap();
        let mut writer = it.world.writer();
        begin(&mut *writer, &[record(&it.to, "open")]);
        it.world.send(record(&it.to, "old, but behind")).unwrap();
        it.clock.set(noon().plus(2 * HOUR));
        it.log.maintain().unwrap();
        let bounds = it.log.bounds(std::slice::from_ref(&it.to), Isolation::Committed).unwrap()[0];
        assert_eq!((bounds.low, bounds.end), (Offset(1), Offset(1)));
        writer.commit().unwrap();
        assert_eq!(it.world.values(&it.to), ["open", "old, but behind"]);
    });
}

#[test]
fn of_each_key_the_last_committed_record_stays() {
    on_both(Retention::Compacted, |it| {
        let to = &it.to;
        let mut writer = it.world.writer();
        commit(&mut *writer, &[keyed(to, "a", Some("1")), keyed(to, "b", Some("1")), keyed(to, "a", Some("2"))]);
        begin(&mut *writer, &[keyed(to, "b", Some("aborted"))]);
        writer.abort().unwrap();
        it.world.send(keyed(to, "c", Some("1"))).unwrap();
        begin(&mut *writer, &[keyed(to, "c", Some("open"))]);
        it.log.maintain().unwrap();
        let bounds = it.log.bounds(std::slice::from_ref(to), Isolation::Committed).unwrap()[0];
        assert_eq!((bounds.low, bounds.end), (Offset(0), Offset(7)), "the marks stay where they were");
        writer.commit().unwrap();
        assert_eq!(it.world.values(to), ["1", "2", "1", "open"]);
        assert_eq!(offsets(it), [1, 2, 6, 7]);
        it.log.maintain().unwrap();
        it.log.maintain().unwrap();
        assert_eq!(offsets(it), [1, 2, 7]);
        commit(&mut *writer, &[keyed(to, "b", Some("2"))]);
        it.log.maintain().unwrap();
        assert_eq!(offsets(it), [2, 7, 9], "a later pass knows what an earlier one left");
    });
}

#[test]
fn a_tombstone_stays_for_a_while_after_what_it_deletes() {
    on_both(Retention::Compacted, |it| {
        it.world.send(keyed(&it.to, "a", Some("1"))).unwrap();
        it.world.send(keyed(&it.to, "a", None)).unwrap();
        it.world.send(keyed(&it.to, "b", Some("1"))).unwrap();
        it.log.maintain().unwrap();
        assert_eq!(offsets(it), [1, 2]);
        it.clock.set(noon().plus(HOUR));
        it.log.maintain().unwrap();
        assert_eq!(offsets(it), [1, 2]);
        it.clock.set(noon().plus(HOUR + Duration::from_millis(1)));
        it.log.maintain().unwrap();
        assert_eq!(offsets(it), [2]);
    });
}

#[test]
fn a_long_compacted_partition_is_what_a_map_would_be() {
    on_both(Retention::Compacted, |it| {
        let mut writer = it.world.writer();
        let mut expected = std::collections::BTreeMap::new();
        for round in 0..20_u64 {
            let mut records = Vec::new();
            for number in 0..200_u64 {
                let key = ((number * number + round * 7) % 97).to_string();
                let value = format!("{round}-{number}-{}", "x".repeat(500));
                records.push(keyed(&it.to, &key, Some(&value)));
                expected.insert(key, value);
            }
            commit(&mut *writer, &records);
            if round % 3 == 0 {
                it.log.maintain().unwrap();
            }
        }
        it.log.maintain().unwrap();
        let read = it.world.read(&it.to);
        assert_eq!(read.len(), expected.len());
        assert!(read.is_sorted_by_key(|it| it.offset));
        for record in read {
            let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
            assert_eq!(record.value.as_deref(), expected[&key].as_bytes().into());
        }
    });
}
