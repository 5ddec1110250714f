//! What ends by itself: transactions that stay open, members that do not poll.

use std::sync::Arc;
use std::time::Duration;

use headwater::clock::Clock;
use headwater::log::embedded::{EmbeddedLog, Settings};
use headwater::log::{Isolation, LogError, Polled, TransactionError};
use headwater::position::Offset;

use crate::world::{PATIENCE, World, at, begin, commit, record, settle};

const SHORT: Duration = Duration::from_millis(50);

fn impatient() -> World {
    let settings = Settings { transaction_timeout: SHORT, session_timeout: SHORT, ..Settings::default() };
    World::new(Arc::new(EmbeddedLog::in_memory_with(settings, Clock::system()).unwrap()), None)
}

#[test]
fn a_transaction_that_stays_open_is_aborted_and_its_writer_fenced() {
    let world = impatient();
    let to = world.partition();
    let mut writer = world.writer();
    begin(&mut *writer, &[record(&to, "too slow")]);
    let mut reader = world.log.reader().unwrap();
    let stretch = reader.read(&to, Offset(0), Offset(2), PATIENCE, 10).unwrap();
    assert!(stretch.records.is_empty());
    assert_eq!(stretch.next, Offset(2), "the waiting reader is let go when the transaction's time is up");
    let error = writer.commit().expect_err("it is over");
    assert!(matches!(error, TransactionError::Fatal(_)), "{error:?}");
    assert!(matches!(writer.begin(), Err(TransactionError::Fatal(_))), "a fenced writer stays fenced");
    assert!(world.values(&to).is_empty());
}

#[test]
fn a_member_that_does_not_poll_loses_its_partitions_and_joins_again() {
    let world = impatient();
    let (to, group) = (world.partition(), world.name("group"));
    let mut slow = world.settled(&group, &to.topic, 1);
    let fence = slow.fence();
    let mut quick = world.join(&group, &to.topic);
    settle(&mut [&mut quick], |players| players[0].owned.len() == 1);
    assert!(matches!(slow.member.fence(), Err(LogError::Fenced(_))));
    let mut writer = world.writer();
    writer.begin().unwrap();
    let error = writer.send_offsets(&fence, &[(to.clone(), at(1))]).expect_err("it was evicted");
    assert!(matches!(error, TransactionError::Abortable(_)), "{error:?}");
    let Polled::Lost(lost) = slow.member.poll(SHORT, 1).unwrap() else { panic!("it is told once") };
    assert_eq!(lost, std::slice::from_ref(&to));
    assert!(matches!(slow.member.poll(SHORT, 1), Ok(Polled::Records(none)) if none.is_empty()));
    slow.member.release(&lost).unwrap();
    slow.owned.clear();
    quick.member.leave().unwrap();
    settle(&mut [&mut slow], |players| players[0].owned.len() == 1);
    assert!(slow.fence().generation > fence.generation);
}

#[test]
fn a_member_that_is_dropped_holds_nobody_up_but_its_open_transaction_does() {
    let world = World::in_memory();
    let (to, group) = (world.partition(), world.name("group"));
    let mut dying = world.settled(&group, &to.topic, 1);
    let id = world.name("writer");
    let mut writer = world.log.writer(&id).unwrap();
    begin(&mut *writer, &[record(&to, "left open")]);
    writer.send_offsets(&dying.fence(), &[(to.clone(), at(5))]).unwrap();
    drop((dying, writer));
    let mut heir = world.settled(&group, &to.topic, 1);
    assert_eq!(world.end(&to, Isolation::Committed), Offset(0), "readers are held up");
    // The heir opens the writer id of the one who died, which ends what it left open.
    let mut writer = world.log.writer(&id).unwrap();
    assert_eq!(heir.member.committed(std::slice::from_ref(&to)).unwrap(), [None]);
    commit(&mut *writer, &[record(&to, "by the heir")]);
    assert_eq!(world.values(&to), ["by the heir"]);
}
