//! Transactions: all or nothing, one writer under an id.

use headwater::log::{CommittedOffset, Isolation, TransactionError};
use headwater::position::{Offset, Partition};

use crate::world::{World, at, begin, commit, numbered, record};

pub fn a_committed_transaction_is_seen_whole(world: &World) {
    let topic = world.topic(2);
    let [left, right] = [0, 1].map(|it| topic.partition(Partition(it)));
    let mut writer = world.writer();
    commit(&mut *writer, &[record(&left, "a"), record(&right, "b"), record(&left, "c")]);
    assert_eq!(world.values(&left), ["a", "c"]);
    assert_eq!(world.values(&right), ["b"]);
}

pub fn an_open_transaction_hides_itself_and_all_behind_it(world: &World) {
    let to = world.partition();
    world.send(record(&to, "before")).unwrap();
    let mut writer = world.writer();
    begin(&mut *writer, &[record(&to, "within")]);
    // On Kafka the record travels on its own; the one behind it must not overtake it.
    while world.end(&to, Isolation::Uncommitted) < Offset(2) {
        std::thread::yield_now();
    }
    world.send(record(&to, "behind")).unwrap();
    assert_eq!(world.end(&to, Isolation::Committed), Offset(1), "the last stable offset stays");
    let mut reader = world.log.reader().unwrap();
    let stretch = reader.read(&to, Offset(0), Offset(3), std::time::Duration::from_secs(1), 10).unwrap();
    assert_eq!(stretch.records.len(), 1);
    assert_eq!(stretch.next, Offset(1));
    writer.commit().unwrap();
    assert_eq!(world.values(&to), ["before", "within", "behind"]);
}

pub fn an_aborted_transaction_is_never_seen(world: &World) {
    let to = world.partition();
    let mut writer = world.writer();
    begin(&mut *writer, &numbered(&to, 3));
    writer.abort().unwrap();
    world.send(record(&to, "after")).unwrap();
    commit(&mut *writer, &[record(&to, "again")]);
    assert_eq!(world.values(&to), ["after", "again"]);
}

pub fn a_commit_says_one_past_the_last_record_of_each_partition(world: &World) {
    let topic = world.topic(3);
    let [first, second, third] = [0, 1, 2].map(|it| topic.partition(Partition(it)));
    world.send(record(&second, "before")).unwrap();
    let mut writer = world.writer();
    begin(&mut *writer, &[record(&first, "a"), record(&second, "b"), record(&first, "c")]);
    let written = writer.commit().unwrap();
    assert_eq!(written.get(&first), Some(&Offset(2)));
    assert_eq!(written.get(&second), Some(&Offset(2)));
    assert_eq!(written.get(&third), None);
    assert_eq!(written.len(), 2);
    begin(&mut *writer, &[record(&first, "d")]);
    let written = writer.commit().unwrap();
    assert_eq!(written.get(&first), Some(&Offset(4)), "the marker took an offset");
    assert_eq!(written.len(), 1, "only of this transaction");
}

pub fn an_empty_transaction_commits(world: &World) {
    let to = world.partition();
    let mut writer = world.writer();
    writer.begin().unwrap();
    assert!(writer.commit().unwrap().is_empty());
    writer.begin().unwrap();
    writer.abort().unwrap();
    commit(&mut *writer, &[record(&to, "later")]);
    assert_eq!(world.values(&to), ["later"]);
}

pub fn a_transaction_of_offsets_alone_commits(world: &World) {
    let to = world.partition();
    let group = world.name("group");
    let mut player = world.settled(&group, &to.topic, 1);
    let mut writer = world.writer();
    writer.begin().unwrap();
    writer.send_offsets(&player.fence(), &[(to.clone(), at(7))]).unwrap();
    assert!(writer.commit().unwrap().is_empty());
    assert_eq!(world.log.committed(&group, std::slice::from_ref(&to)).unwrap(), [Some(at(7))]);
    assert_eq!(world.end(&to, Isolation::Uncommitted), Offset(0), "offsets leave no marker in the topic");
}

pub fn records_and_offsets_are_committed_together(world: &World) {
    let (from, to) = (world.partition(), world.partition());
    let group = world.name("group");
    let mut player = world.settled(&group, &from.topic, 1);
    let mut writer = world.writer();
    begin(&mut *writer, &[record(&to, "answer")]);
    let offset = CommittedOffset { offset: Offset(3), metadata: "kept with it".to_owned() };
    writer.send_offsets(&player.fence(), &[(from.clone(), offset.clone())]).unwrap();
    writer.commit().unwrap();
    assert_eq!(player.member.committed(std::slice::from_ref(&from)).unwrap(), [Some(offset)]);
    assert_eq!(world.values(&to), ["answer"]);
}

pub fn records_and_offsets_are_aborted_together(world: &World) {
    let (from, to) = (world.partition(), world.partition());
    let group = world.name("group");
    let mut player = world.settled(&group, &from.topic, 1);
    let mut writer = world.writer();
    begin(&mut *writer, &[record(&to, "answer")]);
    writer.send_offsets(&player.fence(), &[(from.clone(), at(3))]).unwrap();
    writer.abort().unwrap();
    assert_eq!(player.member.committed(std::slice::from_ref(&from)).unwrap(), [None]);
    assert!(world.values(&to).is_empty());
}

pub fn two_writers_in_turn_write_the_same_partitions(world: &World) {
    let to = world.partition();
    let mut writers = [world.writer(), world.writer()];
    for number in 0..6 {
        commit(&mut *writers[number % 2], &[record(&to, &number.to_string())]);
    }
    let [mut left, mut right] = writers;
    begin(&mut *left, &[record(&to, "left, aborted")]);
    begin(&mut *right, &[record(&to, "right")]);
    left.abort().unwrap();
    right.commit().unwrap();
    assert_eq!(world.values(&to), ["0", "1", "2", "3", "4", "5", "right"]);
}

pub fn opening_a_writer_id_again_ends_what_was_left_open(world: &World) {
    let to = world.partition();
    let id = world.name("writer");
    let mut earlier = world.log.writer(&id).unwrap();
    begin(&mut *earlier, &[record(&to, "left open")]);
    while world.end(&to, Isolation::Uncommitted) < Offset(1) {
        std::thread::yield_now();
    }
    let mut later = world.log.writer(&id).unwrap();
    assert_eq!(world.end(&to, Isolation::Committed), world.end(&to, Isolation::Uncommitted), "nothing is open");
    commit(&mut *later, &[record(&to, "later")]);
    assert_eq!(world.values(&to), ["later"]);
}

pub fn a_fenced_writer_commits_nothing(world: &World) {
    let to = world.partition();
    let id = world.name("writer");
    let mut zombie = world.log.writer(&id).unwrap();
    begin(&mut *zombie, &[record(&to, "by the zombie")]);
    let mut owner = world.log.writer(&id).unwrap();
    // Whether it is told at once or only when it commits, it commits nothing.
    let ended = zombie.send(&[record(&to, "by the zombie, later")]).and_then(|()| zombie.commit().map(|_| ()));
    assert!(matches!(ended, Err(TransactionError::Fatal(_))), "{ended:?}");
    commit(&mut *owner, &[record(&to, "by the owner")]);
    assert_eq!(world.values(&to), ["by the owner"]);
}

pub fn a_rejected_record_spoils_its_transaction_only(world: &World) {
    let to = world.partition();
    let mut writer = world.writer();
    begin(&mut *writer, &[record(&to, "beside it")]);
    let large = record(&to, &"x".repeat(3 * 1024 * 1024));
    let ended = writer.send(&[large]).and_then(|()| writer.commit().map(|_| ()));
    assert!(matches!(ended, Err(TransactionError::Rejected(_))), "{ended:?}");
    writer.abort().unwrap();
    commit(&mut *writer, &[record(&to, "after it")]);
    assert_eq!(world.values(&to), ["after it"]);
}
