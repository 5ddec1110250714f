//! What only the Kafka adapter can get wrong, on a real cluster: `HEADWATER_TEST_KAFKA=host:port`.

use std::time::Duration;

use bytes::Bytes;
use headwater::clock;
use headwater::log::kafka::{KafkaLog, KafkaSettings};
use headwater::log::{
    CommittedOffset, Group, Isolation, Log, LogError, Member, Outgoing, Polled, Retention, TimeKind, Topic,
    TopicPartition, TopicSpec, TransactionError, Writer,
};
use headwater::position::{Offset, Partition};

const WAIT: Duration = Duration::from_secs(40);

fn kafka() -> Option<KafkaLog> {
    kafka_with(KafkaSettings::default())
}

fn kafka_with(settings: KafkaSettings) -> Option<KafkaLog> {
    let Ok(bootstrap_servers) = std::env::var("HEADWATER_TEST_KAFKA") else {
        let is_required = std::env::var_os("HEADWATER_TEST_REQUIRE").is_some();
        assert!(!is_required, "HEADWATER_TEST_REQUIRE is set, but HEADWATER_TEST_KAFKA is not");
        return None;
    };
    Some(KafkaLog::connect(KafkaSettings { bootstrap_servers, ..settings }).expect("a cluster"))
}

macro_rules! kafka_or_skip {
    () => {
        kafka_or_skip!(kafka())
    };
    ($log:expr) => {
        match $log {
            Some(log) => log,
            None => {
                eprintln!("skipped: HEADWATER_TEST_KAFKA is not set");
                return;
            }
        }
    };
}

fn unique(name: &str) -> String {
    format!("test.{name}.{}", clock::new_id().simple())
}

fn topic(log: &KafkaLog, partitions: i32) -> Topic {
    let topic = Topic::from(unique("topic"));
    let spec = TopicSpec { topic: topic.clone(), partitions, retention: Retention::Forever, time: TimeKind::Append };
    log.create(&[spec]).expect("a new topic");
    topic
}

fn record(topic: &Topic, partition: i32, value: &str) -> Outgoing {
    Outgoing {
        topic: topic.clone(),
        partition: Partition(partition),
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        traceparent: None,
    }
}

fn write(writer: &mut dyn Writer, topic: &Topic, partition: i32, count: usize) {
    writer.begin().expect("begin");
    for number in 0..count {
        writer.send(&[record(topic, partition, &number.to_string())]).expect("send");
    }
    writer.commit().expect("commit");
}

fn until<T>(member: &mut dyn Member, mut found: impl FnMut(Polled) -> Option<T>) -> T {
    let started = clock::instant();
    loop {
        if let Some(it) = found(member.poll(Duration::from_millis(100), 1000).expect("poll")) {
            return it;
        }
        assert!(started.elapsed() < WAIT, "nothing of what is waited for came");
    }
}

fn assigned(member: &mut dyn Member) -> Vec<TopicPartition> {
    until(member, |polled| match polled {
        Polled::Assigned(partitions) => Some(partitions),
        _ => None,
    })
}

fn group(topic: &Topic, instance: Option<&str>) -> Group {
    Group { name: format!("group-of-{topic}"), instance: instance.map(str::to_owned), topics: vec![topic.clone()] }
}

fn at_zero(partitions: &[TopicPartition]) -> Vec<(TopicPartition, Offset)> {
    partitions.iter().map(|partition| (partition.clone(), Offset::ZERO)).collect()
}

#[test]
fn a_revoked_partition_is_nobody_elses_until_it_is_released() {
    let log = kafka_or_skip!();
    let topic = topic(&log, 2);
    let mut first = log.join(&group(&topic, None)).expect("join");
    assert_eq!(assigned(&mut *first).len(), 2);
    first.resume(&at_zero(&[topic.partition(Partition(0)), topic.partition(Partition(1))])).expect("resume");

    let mut second = log.join(&group(&topic, None)).expect("join");
    let mut second_has = Vec::new();
    let started = clock::instant();
    let revoked = loop {
        assert!(started.elapsed() < WAIT, "no revoke came");
        if let Polled::Assigned(partitions) = second.poll(Duration::from_millis(20), 10).expect("poll") {
            second_has.extend(partitions);
        }
        if let Polled::Revoked(partitions) = first.poll(Duration::from_millis(20), 10).expect("poll") {
            break partitions;
        }
    };
    assert_eq!(revoked.len(), 1);
    first.fence().expect("the first is still a member and may commit what it owns");
    for _ in 0..100 {
        if let Polled::Assigned(partitions) = second.poll(Duration::from_millis(10), 10).expect("poll") {
            second_has.extend(partitions);
        }
        assert!(matches!(first.poll(Duration::from_millis(10), 10).expect("poll"), Polled::Records(_)));
    }
    assert!(second_has.is_empty(), "{second_has:?} was given away before its release");

    first.release(&revoked).expect("release");
    let released = clock::instant();
    while second_has.is_empty() {
        assert!(released.elapsed() < WAIT, "the released partition went to nobody");
        let _ = first.poll(Duration::from_millis(5), 10).expect("poll");
        if let Polled::Assigned(partitions) = second.poll(Duration::from_millis(5), 10).expect("poll") {
            second_has.extend(partitions);
        }
    }
    eprintln!("handed over {:?} after release", released.elapsed());
    assert_eq!(second_has, revoked);
    first.leave().expect("leave");
    assert_eq!(assigned(&mut *second).len(), 1, "and the rest follows when the first leaves");
    second.leave().expect("leave");
}

#[test]
fn a_static_member_that_leaves_is_succeeded_before_its_session_ends() {
    let mut session = KafkaSettings::default();
    for timeout in ["session.timeout.ms", "max.poll.interval.ms"] {
        session.properties.insert(timeout.into(), "300000".into());
    }
    let log = kafka_or_skip!(kafka_with(session));
    let topic = topic(&log, 2);
    let mut first = log.join(&group(&topic, Some("one"))).expect("join");
    let partitions = assigned(&mut *first);
    first.resume(&at_zero(&partitions)).expect("resume");
    let began = clock::instant();
    first.leave().expect("leave");
    eprintln!("left in {:?}", began.elapsed());
    let mut second = log.join(&group(&topic, Some("two"))).expect("join");
    assert_eq!(assigned(&mut *second).len(), 2);
    eprintln!("succeeded after {:?}", began.elapsed());
    second.leave().expect("leave");
}

#[test]
fn a_member_is_dropped_with_a_revoke_unanswered() {
    let log = kafka_or_skip!();
    let topic = topic(&log, 2);
    let mut first = log.join(&group(&topic, None)).expect("join");
    let partitions = assigned(&mut *first);
    first.resume(&at_zero(&partitions)).expect("resume");
    let mut second = log.join(&group(&topic, None)).expect("join");
    until(&mut *first, |polled| {
        let _ = second.poll(Duration::from_millis(10), 1).expect("poll");
        matches!(polled, Polled::Revoked(_)).then_some(())
    });
    drop(first);
    let mut held = 0;
    until(&mut *second, |polled| {
        if let Polled::Assigned(partitions) = polled {
            held += partitions.len();
        }
        (held == 2).then_some(())
    });
    second.leave().expect("leave");
}

/// librdkafka says nothing of an eviction while a revoke is unanswered, and the others take over.
#[test]
fn a_member_evicted_while_it_hands_over_loses_the_rest() {
    let mut short = KafkaSettings::default();
    for (timeout, millis) in
        [("session.timeout.ms", "6000"), ("max.poll.interval.ms", "6000"), ("transaction.timeout.ms", "5000")]
    {
        short.properties.insert(timeout.into(), millis.into());
    }
    let log = kafka_or_skip!(kafka_with(short));
    let topic = topic(&log, 4);
    let mut slow = log.join(&group(&topic, None)).expect("join");
    let all = assigned(&mut *slow);
    slow.resume(&at_zero(&all)).expect("resume");
    let mut others = vec![log.join(&group(&topic, None)).expect("join")];
    let mut taken = std::collections::BTreeSet::new();
    let mut poll_others = |others: &mut Vec<Box<dyn Member>>| {
        for other in others {
            match other.poll(Duration::from_millis(10), 1).expect("poll") {
                Polled::Assigned(partitions) => taken.extend(partitions),
                Polled::Revoked(partitions) | Polled::Lost(partitions) => other.release(&partitions).expect("release"),
                Polled::Records(_) => {}
            }
        }
        taken.len()
    };
    let revoked = until(&mut *slow, |polled| {
        poll_others(&mut others);
        if let Polled::Revoked(partitions) = polled { Some(partitions) } else { None }
    });
    // Another member makes the group rebalance once more; this one does not rejoin while it hands over.
    others.push(log.join(&group(&topic, None)).expect("join"));
    until(&mut *slow, |polled| {
        assert!(matches!(polled, Polled::Records(_)), "{polled:?}");
        (poll_others(&mut others) == 4).then_some(())
    });
    let started = clock::instant();
    while slow.fence().is_ok() {
        assert!(started.elapsed() < WAIT, "it never learns of its eviction");
        let _ = slow.poll(Duration::from_millis(50), 1).expect("poll");
    }
    slow.release(&revoked).expect("release");
    let lost = until(&mut *slow, |polled| match polled {
        Polled::Lost(partitions) => Some(partitions),
        polled => panic!("it goes on as if nothing had happened: {polled:?}"),
    });
    assert_eq!(lost.len(), all.len() - revoked.len());
}

#[test]
fn resuming_elsewhere_drops_what_was_fetched() {
    let log = kafka_or_skip!();
    let topic = topic(&log, 1);
    let partition = topic.partition(Partition(0));
    let mut writer = log.writer(&unique("writer")).expect("writer");
    write(&mut *writer, &topic, 0, 500);
    let mut member = log.join(&group(&topic, None)).expect("join");
    assigned(&mut *member);
    let mut slowest = Duration::ZERO;
    for round in 0..60_i64 {
        let from = Offset((round * 37) % 400);
        let began = clock::instant();
        member.resume(&[(partition.clone(), from)]).expect("resume");
        let first = until(&mut *member, |polled| match polled {
            Polled::Records(records) => records.first().map(|record| record.offset),
            _ => None,
        });
        slowest = slowest.max(began.elapsed());
        assert_eq!(first, from, "round {round}");
        if round % 3 == 0 {
            member.pause(std::slice::from_ref(&partition)).expect("pause");
            let polled = member.poll(Duration::from_millis(5), 100).expect("poll");
            assert!(matches!(&polled, Polled::Records(records) if records.is_empty()), "{polled:?}");
        }
    }
    eprintln!("slowest rewind {slowest:?}");
    member.leave().expect("leave");
}

#[test]
fn a_read_passes_markers_and_aborted_records() {
    let log = kafka_or_skip!();
    let topic = topic(&log, 1);
    let partition = topic.partition(Partition(0));
    let mut writer = log.writer(&unique("writer")).expect("writer");
    write(&mut *writer, &topic, 0, 10);
    let end = || log.bounds(std::slice::from_ref(&partition), Isolation::Uncommitted).expect("bounds")[0].end;
    for round in 0..3 {
        writer.begin().expect("begin");
        for _ in 0..5 {
            writer.send(&[record(&topic, 0, "aborted")]).expect("send");
        }
        while end() < Offset(11 + round * 6 + 5) {}
        writer.abort().expect("abort");
    }
    while end() < Offset(11 + 3 * 6) {}
    let end = end();
    let mut reader = log.reader().expect("reader");
    let (mut next, mut seen) = (Offset::ZERO, 0);
    let began = clock::instant();
    while next < end {
        assert!(began.elapsed() < WAIT, "stuck at {next} of {end}");
        let stretch = reader.read(&partition, next, end, Duration::from_millis(100), 4).expect("read");
        assert!(stretch.records.len() <= 4);
        seen += stretch.records.len();
        next = stretch.next;
    }
    assert_eq!((next, seen), (end, 10));
    eprintln!("read to the end in {:?}", began.elapsed());
}

#[test]
fn a_read_waits_for_an_open_transaction_and_then_goes_on() {
    let log = kafka_or_skip!();
    let topic = topic(&log, 1);
    let partition = topic.partition(Partition(0));
    let mut writer = log.writer(&unique("writer")).expect("writer");
    let mut reader = log.reader().expect("reader");
    for round in 0..4 {
        let from = log.bounds(std::slice::from_ref(&partition), Isolation::Uncommitted).expect("bounds")[0].end;
        writer.begin().expect("begin");
        writer.send(&[record(&topic, 0, "open")]).expect("send");
        while log.bounds(std::slice::from_ref(&partition), Isolation::Uncommitted).expect("bounds")[0].end == from {}
        let until = from.next().next();
        for _ in 0..2 {
            let stretch = reader.read(&partition, from, until, Duration::from_millis(50), 10).expect("read");
            assert_eq!((stretch.records.len(), stretch.next), (0, from));
        }
        let is_committed = round % 2 == 0;
        if is_committed {
            writer.commit().expect("commit");
        } else {
            writer.abort().expect("abort");
        }
        let (mut next, mut seen) = (from, 0);
        let began = clock::instant();
        while next < until {
            assert!(began.elapsed() < WAIT, "stuck at {next} of {until}");
            let stretch = reader.read(&partition, next, until, Duration::from_millis(50), 10).expect("read");
            (next, seen) = (stretch.next, seen + stretch.records.len());
        }
        assert_eq!(seen, usize::from(is_committed));
        eprintln!("went on after {:?}", began.elapsed());
    }
}

#[test]
fn offsets_come_with_a_fence_that_a_rebalance_breaks() {
    let log = kafka_or_skip!();
    let topic = topic(&log, 2);
    let group = group(&topic, None);
    let mut writer = log.writer(&unique("writer")).expect("writer");
    let mut first = log.join(&group).expect("join");
    assert!(matches!(first.fence(), Err(LogError::Fenced(_))), "no fence before the first assignment");
    let partitions = assigned(&mut *first);
    let stale = first.fence().expect("fence");
    let offsets = [(partitions[0].clone(), CommittedOffset { offset: Offset(7), metadata: "id-0 id-1".into() })];
    writer.begin().expect("begin");
    writer.send_offsets(&stale, &offsets).expect("offsets");
    writer.commit().expect("commit");
    assert_eq!(first.committed(&partitions).expect("committed"), vec![Some(offsets[0].1.clone()), None]);
    assert!(matches!(log.set_committed(&group.name, &offsets), Err(LogError::Fenced(_))));

    let mut second = log.join(&group).expect("join");
    let started = clock::instant();
    loop {
        assert!(started.elapsed() < WAIT);
        if let Polled::Revoked(revoked) = first.poll(Duration::from_millis(10), 1).expect("poll") {
            first.release(&revoked).expect("release");
        }
        if let Polled::Assigned(_) = second.poll(Duration::from_millis(10), 1).expect("poll") {
            break;
        }
    }
    writer.begin().expect("begin");
    let refused = writer.send_offsets(&stale, &offsets).expect_err("the generation has passed");
    assert!(matches!(refused, TransactionError::Abortable(_)), "{refused:?}");
    writer.abort().expect("abort");
    first.leave().expect("leave");
    second.leave().expect("leave");
    let moved = [(partitions[0].clone(), CommittedOffset { offset: Offset(3), metadata: String::new() })];
    log.set_committed(&group.name, &moved).expect("the group is empty");
    assert_eq!(log.committed(&group.name, &partitions).expect("committed"), vec![Some(moved[0].1.clone()), None]);
}

#[test]
fn a_writer_of_the_same_id_ends_what_the_first_left_and_fences_it() {
    let log = kafka_or_skip!();
    let topic = topic(&log, 1);
    let partition = topic.partition(Partition(0));
    let id = unique("writer");
    let mut first = log.writer(&id).expect("writer");
    first.begin().expect("begin");
    first.send(&[record(&topic, 0, "orphan")]).expect("send");
    let began = clock::instant();
    let mut second = log.writer(&id).expect("writer");
    eprintln!("taken over in {:?}", began.elapsed());
    write(&mut *second, &topic, 0, 1);
    assert!(matches!(first.commit(), Err(TransactionError::Fatal(_) | TransactionError::Abortable(_))));
    assert!(matches!(first.abort(), Err(TransactionError::Fatal(_))));
    let all = std::slice::from_ref(&partition);
    let (stable, end) = (log.bounds(all, Isolation::Committed), log.bounds(all, Isolation::Uncommitted));
    assert_eq!(stable.expect("bounds")[0], end.expect("bounds")[0]);
}

#[test]
fn a_record_that_is_too_large_is_rejected_and_the_writer_goes_on() {
    let log = kafka_or_skip!();
    let topic = topic(&log, 1);
    let mut writer = log.writer(&unique("writer")).expect("writer");
    writer.begin().expect("begin");
    let huge = Outgoing { value: Some(Bytes::from(vec![0; 5_000_000])), ..record(&topic, 0, "") };
    let refused = match writer.send(&[huge]) {
        Err(error) => error,
        Ok(()) => writer.commit().expect_err("too large"),
    };
    assert!(matches!(refused, TransactionError::Rejected(_)), "{refused:?}");
    writer.abort().expect("abort");
    write(&mut *writer, &topic, 0, 1);
}

#[test]
fn a_missing_topic_is_named() {
    let log = kafka_or_skip!();
    let present = topic(&log, 2);
    let missing = Topic::from(unique("missing"));
    let asked = [present.partition(Partition(0)), missing.partition(Partition(0))];
    let error = log.bounds(&asked, Isolation::Committed).expect_err("missing");
    assert!(matches!(&error, LogError::Missing(named) if named.contains(missing.as_str())), "{error}");
    let error = log.bounds(&[present.partition(Partition(2))], Isolation::Committed).expect_err("missing");
    assert!(matches!(&error, LogError::Missing(_)), "{error}");
    assert_eq!(log.describe(&[missing, present]).expect("describe")[0], None);
}

#[test]
fn an_absent_broker_is_reported_within_the_answer_timeout() {
    let settings =
        KafkaSettings { bootstrap_servers: "127.0.0.1:1".into(), answer_timeout_ms: 500, ..KafkaSettings::default() };
    let error = KafkaLog::connect(settings).expect_err("nobody is there");
    assert!(matches!(&error, LogError::Unavailable(text) if text.contains("127.0.0.1:1")), "{error}");
}
