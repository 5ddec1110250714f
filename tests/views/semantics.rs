//! What changes mean: the databases and the model in memory agree on every sequence of changes.

use std::time::Duration;

use headwater::clock::Timestamp;
use headwater::position::Version;
use headwater::projection::{Applied, Batch, Changes, Generation, Move, Reset, RowChange, Views};
use headwater::query::Rows;
use headwater::testing::FoldedView;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::database::{Database, promises_of_both};
use crate::sample::{Everything, ShelfRow, batch, onward, shape, source, sources, stored};

promises_of_both! {
    the_database_does_what_the_model_does,
    a_deleted_row_is_hidden_until_it_is_restored_at_a_higher_version,
    complete_to_stops_before_a_gap_and_goes_on_when_it_is_closed,
    a_row_written_once_counts_once,
    a_large_batch_is_one_transaction_of_few_statements,
}

pub async fn everything(views: &Views) -> Everything {
    let mut reading = views.store().read(&[shape()], Duration::from_mins(1)).await.expect("it answers");
    let mut rows = Rows::new(&mut *reading);
    Everything {
        shelves: rows.all("SELECT * FROM shelves ORDER BY shelf_id", ()).await.expect("shelves"),
        books: rows.all("SELECT * FROM books ORDER BY shelf_id, version", ()).await.expect("books"),
        totals: rows.all("SELECT * FROM totals ORDER BY house, new", ()).await.expect("totals"),
    }
}

pub fn model(view: &FoldedView) -> Everything {
    Everything { shelves: view.all("shelves"), books: view.all("books"), totals: view.all("totals") }
}

async fn apply(database: &Database, batch: &Batch) {
    let applied = database.views.store().apply(batch).await.expect("it answers");
    assert_eq!(applied, Applied::Done);
}

fn shelf(change: impl FnOnce(&mut RowChange) -> &mut RowChange) -> Changes {
    let mut changes = Changes::new();
    change(changes.at("shelves", ("shelf_id", "a")));
    changes
}

async fn shelves(database: &Database) -> Vec<ShelfRow> {
    everything(&database.views).await.shelves
}

async fn a_deleted_row_is_hidden_until_it_is_restored_at_a_higher_version(database: Database) {
    database.views.store().open(&shape(), &sources(1)).await.expect("made");
    let deleted = shelf(|row| row.delete(Version(5)));
    apply(&database, &batch(0, 0, vec![deleted])).await;
    assert_eq!(shelves(&database).await, []);
    // What comes late finds it deleted.
    let created = shelf(|row| row.set("room", "hall").set_versioned("books", 1, Version(1)));
    let too_low = shelf(|row| row.restore(Version(4)));
    apply(&database, &batch(0, 1, vec![created, too_low])).await;
    assert_eq!(shelves(&database).await, []);
    let restored = shelf(|row| row.restore(Version(6)));
    apply(&database, &batch(0, 3, vec![restored])).await;
    let found = shelves(&database).await;
    assert_eq!((found[0].room.as_deref(), found[0].books), (Some("hall"), Some(1)));
}

async fn complete_to_stops_before_a_gap_and_goes_on_when_it_is_closed(database: Database) {
    database.views.store().open(&shape(), &sources(1)).await.expect("made");
    let mut from = 0;
    // Each step: the versions of one batch, and how far nothing is missing after it.
    let steps: [(&[i64], i64); 7] =
        [(&[2], 0), (&[1], 2), (&[3, 4], 4), (&[6, 8], 4), (&[9, 7], 4), (&[5], 9), (&[5, 10, 10], 10)];
    for (seen, complete_to) in steps {
        let changes = seen.iter().map(|version| shelf(|row| row.seen(Version(*version)))).collect();
        apply(&database, &batch(0, from, changes)).await;
        from += i64::try_from(seen.len()).expect("few");
        assert_eq!(shelves(&database).await[0].complete_to, complete_to, "after {seen:?}");
    }
}

async fn a_row_written_once_counts_once(database: Database) {
    database.views.store().open(&shape(), &sources(2)).await.expect("made");
    let placed = |pages: i64| {
        let mut changes = Changes::new();
        let book = changes.once("books", (("shelf_id", "a"), ("version", 1))).set("pages", pages);
        book.add("totals", (("house", 1), ("new", true)), "pages", pages);
        changes
    };
    apply(&database, &batch(0, 0, vec![placed(10), placed(10)])).await;
    apply(&database, &batch(0, 2, vec![placed(10)])).await;
    apply(&database, &batch(1, 0, vec![placed(99)])).await;
    let found = everything(&database.views).await;
    assert_eq!(found.books[0].pages, Some(10), "the first one stays");
    assert_eq!(found.totals[0].pages, 10);
}

async fn a_large_batch_is_one_transaction_of_few_statements(database: Database) {
    database.views.store().open(&shape(), &sources(1)).await.expect("made");
    let many = |from: i64| -> Vec<Changes> {
        let one = |number: i64| {
            let mut changes = Changes::new();
            changes.at("shelves", ("shelf_id", format!("{number:06}"))).set_versioned("books", from, Version(from + 1));
            changes
        };
        (0..21_000).map(one).collect()
    };
    apply(&database, &batch(0, 0, many(0))).await;
    apply(&database, &batch(0, 21_000, many(21_000))).await;
    let found = shelves(&database).await;
    assert_eq!(found.len(), 21_000);
    assert!(found.iter().all(|row| row.books == Some(21_000)));
}

async fn the_database_does_what_the_model_does(database: Database) {
    let views = &database.views;
    views.store().open(&shape(), &sources(2)).await.expect("made");
    let mut runner = TestRunner::new(Config { cases: 30, failure_persistence: None, ..Config::default() });
    let runtime = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&proptest::collection::vec((0..2i32, event(), any::<bool>()), 0..40), |events| {
            runtime.block_on(compare(views, events));
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// Applies events in batches of random length, and compares with the model, which takes them one by one.
async fn compare(views: &Views, events: Vec<(i32, Vec<Op>, bool)>) {
    let moves = [stored(views, 0).await, stored(views, 1).await];
    let moves = moves.map(|at| Move {
        source: at.source,
        epoch: at.epoch,
        next_offset: headwater::position::Offset(0),
        sequence: headwater::position::Sequence(0),
    });
    let reset = Reset { generation: Generation::FIRST, empty: true, moves: moves.to_vec() };
    assert_eq!(views.store().reset(&shape(), &reset).await.expect("it answers"), Applied::Done);
    assert_eq!(everything(views).await, Everything::default(), "a reset to the first event empties the tables");

    let mut view = FoldedView::empty(&shape());
    let mut pending = Batch::new(&shape());
    let mut stand = [stored(views, 0).await, stored(views, 1).await];
    let mut counts = [0, 0];
    let events_len = events.len();
    for (place, (partition, ops, flush)) in events.into_iter().enumerate() {
        let mut single = Batch::new(&shape());
        single.absorb(source(partition), changes(ops)).expect("the changes fit");
        view.apply(single.clone());
        pending.merge(single);
        counts[usize::try_from(partition).expect("0 or 1")] += 1;
        if flush || place + 1 == events_len {
            for (stand, count) in stand.iter_mut().zip(&mut counts) {
                let advance = onward(stand, std::mem::take(count));
                pending.advance(stand.source, advance);
                *stand = advance.stored(stand.source, stand.replaying_to);
            }
            let batch = std::mem::replace(&mut pending, Batch::new(&shape()));
            assert_eq!(views.store().apply(&batch).await.expect("it answers"), Applied::Done);
            assert_eq!(everything(views).await, model(&view));
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Room(String, Option<String>),
    Height(String, i64),
    Tags(String, Vec<String>),
    Books(String, Option<i64>, i64),
    Full(String, bool, i64),
    Title(String, String, i64),
    Changed(String, i64, i64),
    Seen(String, i64),
    Deleted(String, bool, i64),
    Book(String, i64, Option<String>, bool, i64),
    Add(i64, bool, i64),
}

fn event() -> impl Strategy<Value = Vec<Op>> {
    let id = || prop_oneof![Just("a".to_owned()), Just("B".to_owned()), Just("ä".to_owned()), Just(String::new())];
    let text = || "[a-zA-Z0-9 'äß\"?$]{0,6}";
    let version = || 1..9i64;
    let op = prop_oneof![
        (id(), proptest::option::of(text())).prop_map(|(id, room)| Op::Room(id, room)),
        (id(), any::<i64>()).prop_map(|(id, height)| Op::Height(id, height)),
        (id(), proptest::collection::vec(text(), 0..3)).prop_map(|(id, tags)| Op::Tags(id, tags)),
        (id(), proptest::option::of(any::<i64>()), version()).prop_map(|(id, books, at)| Op::Books(id, books, at)),
        (id(), any::<bool>(), version()).prop_map(|(id, full, at)| Op::Full(id, full, at)),
        (id(), text(), version()).prop_map(|(id, title, at)| Op::Title(id, title, at)),
        (id(), any::<i64>(), version()).prop_map(|(id, time, at)| Op::Changed(id, time, at)),
        (id(), version()).prop_map(|(id, at)| Op::Seen(id, at)),
        (id(), any::<bool>(), version()).prop_map(|(id, deleted, at)| Op::Deleted(id, deleted, at)),
        (id(), version(), proptest::option::of(text()), any::<bool>(), -100..100i64)
            .prop_map(|(id, at, title, lent, pages)| Op::Book(id, at, title, lent, pages)),
        (0..2i64, any::<bool>(), -100..100i64).prop_map(|(house, new, amount)| Op::Add(house, new, amount)),
    ];
    proptest::collection::vec(op, 0..4)
}

fn changes(ops: Vec<Op>) -> Changes {
    let mut changes = Changes::new();
    for op in ops {
        match op {
            Op::Room(id, room) => {
                changes.at("shelves", ("shelf_id", id)).set("room", room);
            }
            Op::Height(id, height) => {
                changes.at("shelves", ("shelf_id", id)).set("height", height);
            }
            Op::Tags(id, tags) => {
                changes.at("shelves", ("shelf_id", id)).set("tags", serde_json::Value::from(tags));
            }
            Op::Books(id, books, at) => {
                changes.at("shelves", ("shelf_id", id)).set_versioned("books", books, Version(at));
            }
            Op::Full(id, crowded, at) => {
                changes.at("shelves", ("shelf_id", id)).set_versioned("crowded", crowded, Version(at));
            }
            Op::Title(id, title, at) => {
                changes.at("shelves", ("shelf_id", id)).set_versioned("last_title", title, Version(at));
            }
            Op::Changed(id, time, at) => {
                let row = changes.at("shelves", ("shelf_id", id));
                row.set_versioned("changed_at", Timestamp(time), Version(at));
            }
            Op::Seen(id, at) => {
                changes.at("shelves", ("shelf_id", id)).seen(Version(at));
            }
            Op::Deleted(id, true, at) => {
                changes.at("shelves", ("shelf_id", id)).delete(Version(at));
            }
            Op::Deleted(id, false, at) => {
                changes.at("shelves", ("shelf_id", id)).restore(Version(at));
            }
            Op::Book(id, at, title, lent, pages) => {
                let book = changes.once("books", (("shelf_id", id), ("version", at))).set("title", title);
                book.set("lent", lent).add("totals", (("house", 1), ("new", lent)), "pages", pages);
            }
            Op::Add(house, new, amount) => {
                changes.add("totals", (("house", house), ("new", new)), "books", amount);
            }
        }
    }
    changes
}
