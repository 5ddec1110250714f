//! What a transaction promises: rows and offsets together or not at all, and only for who owns them.

use std::sync::Arc;

use headwater::clock::Timestamp;
use headwater::position::{Offset, Sequence, Version};
use headwater::projection::{
    Applied, Batch, Changes, Generation, Move, ParkedEvent, Reset, Shape, StoredPosition, Table, Tables, ViewError,
};

use crate::database::{Database, promises_of_both};
use crate::sample::{onward, shape, source, sources, stored};
use crate::semantics::everything;

promises_of_both! {
    a_batch_from_another_offset_changes_nothing,
    a_batch_of_an_earlier_epoch_changes_nothing,
    one_partition_that_moved_rolls_all_of_a_batch_back,
    partitions_written_side_by_side_never_deadlock,
    a_parked_aggregate_is_kept_with_its_events,
    positions_survive_a_new_connection,
    a_changed_shape_is_refused_and_names_rebuild,
    a_view_that_nobody_made_is_missing,
    a_reset_that_keeps_rows_marks_the_view_partial,
    a_stale_reset_is_refused,
}

fn one_book(number: i64) -> Changes {
    let mut changes = Changes::new();
    changes.at("shelves", ("shelf_id", "a")).set_versioned("books", number, Version(number));
    let book = changes.once("books", (("shelf_id", "a"), ("version", number)));
    book.add("totals", (("house", 1), ("new", true)), "books", 1);
    changes
}

fn batch_onward(from: &[StoredPosition], changes: Vec<Changes>) -> Batch {
    let mut batch = Batch::new(&shape());
    for changes in changes {
        batch.absorb(from[0].source, changes).expect("the changes fit");
    }
    for from in from {
        batch.advance(from.source, onward(from, 1));
    }
    batch
}

async fn apply(database: &Database, batch: &Batch) -> Applied {
    database.views.store().apply(batch).await.expect("it answers")
}

async fn a_batch_from_another_offset_changes_nothing(database: Database) {
    database.views.store().open(&shape(), &sources(1)).await.expect("made");
    let at = stored(&database.views, 0).await;
    assert_eq!(apply(&database, &batch_onward(&[at], vec![one_book(1)])).await, Applied::Done);
    let before = everything(&database.views).await;
    let again = batch_onward(&[at], vec![one_book(2)]);
    assert_eq!(apply(&database, &again).await, Applied::Moved);
    assert_eq!(everything(&database.views).await, before);
    assert_eq!(stored(&database.views, 0).await.sequence, Sequence(1));
}

async fn a_batch_of_an_earlier_epoch_changes_nothing(database: Database) {
    let store = database.views.store();
    store.open(&shape(), &sources(1)).await.expect("made");
    let at = stored(&database.views, 0).await;
    let late = batch_onward(&[at], vec![one_book(1)]);
    assert_eq!(store.reset(&shape(), &to_earliest(&[at])).await.expect("it answers"), Applied::Done);
    assert_eq!(apply(&database, &late).await, Applied::Moved, "although the offset is the expected one");
    assert_eq!(everything(&database.views).await, crate::sample::Everything::default());
}

fn to_earliest(at: &[StoredPosition]) -> Reset {
    let to = |at: &StoredPosition| Move {
        source: at.source,
        epoch: at.epoch,
        next_offset: Offset(0),
        sequence: Sequence(0),
    };
    Reset { generation: Generation::FIRST, empty: true, moves: at.iter().map(to).collect() }
}

async fn one_partition_that_moved_rolls_all_of_a_batch_back(database: Database) {
    database.views.store().open(&shape(), &sources(2)).await.expect("made");
    let at = [stored(&database.views, 0).await, stored(&database.views, 1).await];
    assert_eq!(apply(&database, &batch_onward(&at[1..], vec![])).await, Applied::Done);
    assert_eq!(apply(&database, &batch_onward(&at, vec![one_book(1)])).await, Applied::Moved);
    assert_eq!(stored(&database.views, 0).await, at[0]);
    assert_eq!(everything(&database.views).await.books, []);
}

async fn partitions_written_side_by_side_never_deadlock(database: Database) {
    const PARTITIONS: i32 = 4;
    const BATCHES: i64 = 25;
    let database = Arc::new(database);
    database.views.store().open(&shape(), &sources(PARTITIONS)).await.expect("made");
    let write = |partition: i32| {
        let database = database.clone();
        tokio::spawn(async move {
            for round in 0..BATCHES {
                let at = stored(&database.views, partition).await;
                // Every partition touches the same rows, in an order of its own.
                let changes = (0..20).map(|row| {
                    let row = if partition % 2 == 0 { row } else { 19 - row };
                    let mut changes = Changes::new();
                    let id = ("shelf_id", format!("{row}"));
                    changes.at("shelves", id.clone()).set("room", "hall").set("height", row);
                    changes.once("books", (id, ("version", round))).add(
                        "totals",
                        (("house", 1), ("new", true)),
                        "books",
                        1,
                    );
                    changes.add("totals", (("house", 1), ("new", false)), "books", 1);
                    changes
                });
                // A database may fail for a moment; a deadlock is such a failure, and none is allowed.
                assert_eq!(apply(&database, &batch_onward(&[at], changes.collect())).await, Applied::Done);
            }
        })
    };
    for writer in (0..PARTITIONS).map(write).collect::<Vec<_>>() {
        writer.await.expect("no deadlock");
    }
    let found = everything(&database.views).await;
    assert_eq!(found.shelves.len(), 20);
    let (old, new) = (&found.totals[0], &found.totals[1]);
    assert_eq!((old.new, old.books), (false, 20 * BATCHES * i64::from(PARTITIONS)));
    assert_eq!((new.new, new.books), (true, 20 * BATCHES), "each book once, whoever was first");
}

async fn a_parked_aggregate_is_kept_with_its_events(database: Database) {
    let store = database.views.store();
    store.open(&shape(), &sources(1)).await.expect("made");
    let first = ParkedEvent {
        offset: Offset(7),
        sequence: Sequence(1),
        version: Version(1),
        reason: "it panicked: 'oh'".to_owned(),
        at: Timestamp(5),
    };
    let at = stored(&database.views, 0).await;
    let mut batch = batch_onward(&[at], vec![]);
    batch.park(source(0), "a", Offset(7), Some(first));
    batch.park(source(0), "a", Offset(9), None);
    assert_eq!(apply(&database, &batch).await, Applied::Done);
    let mut batch = batch_onward(&[stored(&database.views, 0).await], vec![]);
    batch.park(source(0), "a", Offset(12), None);
    assert_eq!(apply(&database, &batch).await, Applied::Done);

    let parked = store.parked(&shape(), Generation::FIRST, 10).await.expect("it answers");
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].aggregate_id.as_str(), parked[0].events), ("a", 3));
    assert_eq!((parked[0].first_offset, parked[0].last_offset), (Offset(7), Offset(12)));
    assert_eq!((parked[0].source, parked[0].reason.as_str()), (source(0), "it panicked: 'oh'"));
    assert_eq!(store.progress(&shape()).await.expect("it answers").parked, 1);
}

async fn positions_survive_a_new_connection(database: Database) {
    database.views.store().open(&shape(), &sources(1)).await.expect("made");
    let at = stored(&database.views, 0).await;
    assert_eq!(apply(&database, &batch_onward(&[at], vec![one_book(1)])).await, Applied::Done);
    let again = database.again().await;
    again.store().open(&shape(), &sources(2)).await.expect("it is there");
    assert_eq!(stored(&again, 0).await.next_offset, Offset(1));
    assert_eq!(stored(&again, 1).await.next_offset, Offset(0), "a partition is added when it is first named");
    assert_eq!(everything(&again).await.books.len(), 1);
}

async fn a_changed_shape_is_refused_and_names_rebuild(database: Database) {
    let store = database.views.store();
    store.open(&shape(), &sources(1)).await.expect("made");
    let other = Tables::new().with(Table::once("books").key("id", headwater::projection::ColumnType::Text));
    let other = Shape::check("shelves", vec!["shelf"], other).expect("sound");
    let error = store.open(&other, &sources(1)).await.expect_err("another shape");
    assert!(matches!(error, ViewError::ShapeChanged { .. }), "{error}");
    assert!(error.to_string().contains("rebuild shelves"), "{error}");
}

async fn a_view_that_nobody_made_is_missing(database: Database) {
    let error = database.views.store().progress(&shape()).await.expect_err("nobody made it");
    assert!(matches!(error, ViewError::Missing { .. }), "{error}");
    assert!(error.is_temporary());
}

async fn a_reset_that_keeps_rows_marks_the_view_partial(database: Database) {
    let store = database.views.store();
    store.open(&shape(), &sources(1)).await.expect("made");
    let at = stored(&database.views, 0).await;
    assert_eq!(apply(&database, &batch_onward(&[at], vec![one_book(1)])).await, Applied::Done);
    let to = Move { source: source(0), epoch: at.epoch, next_offset: Offset(90), sequence: Sequence(40) };
    let reset = Reset { generation: Generation::FIRST, empty: false, moves: vec![to] };
    assert_eq!(store.reset(&shape(), &reset).await.expect("it answers"), Applied::Done);
    let progress = store.progress(&shape()).await.expect("it answers");
    assert!(progress.partial && !progress.is_replaying());
    assert_eq!(progress.positions[0].next_offset, Offset(90));
    assert_eq!(everything(&database.views).await.books.len(), 1, "the rows stay");
    let earliest = to_earliest(&progress.positions);
    assert_eq!(store.reset(&shape(), &earliest).await.expect("it answers"), Applied::Done);
    let progress = store.progress(&shape()).await.expect("it answers");
    assert!(!progress.partial && progress.is_replaying());
}

async fn a_stale_reset_is_refused(database: Database) {
    let store = database.views.store();
    store.open(&shape(), &sources(2)).await.expect("made");
    let at = [stored(&database.views, 0).await, stored(&database.views, 1).await];
    assert_eq!(store.reset(&shape(), &to_earliest(&at[1..])).await.expect("it answers"), Applied::Done);
    assert_eq!(store.reset(&shape(), &to_earliest(&at)).await.expect("it answers"), Applied::Moved);
    assert_eq!(stored(&database.views, 0).await.epoch, at[0].epoch, "all or nothing");
}
