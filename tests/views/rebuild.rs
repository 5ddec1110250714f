//! Rebuilds: a new generation beside the live one, which takes its place in one step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use headwater::projection::rebuild::Rebuild;
use headwater::projection::replay;
use headwater::projection::worker::Worker;
use headwater::projection::{
    Changes, ColumnType, Events, Generation, Projection, RebuildError, Table, Tables, ViewError, Views, WorkerError,
    shape_of,
};
use headwater::query::{Query, QueryError, Rows};
use headwater::testing::FoldedView;
use headwater::{Recorded, verify};
use serde::Deserialize;

use crate::database::{Database, promises_of_both, run};
use crate::library::{Library, hurried, placed};
use crate::sample::{Shelf, ShelfEvent, Shelves};
use crate::semantics::{everything, model};
use crate::worker::caught_up;

promises_of_both! {
    a_rebuild_beside_a_working_view_compares_equal_and_takes_its_place,
    a_query_sees_one_generation_or_the_other_and_never_both,
    a_rebuild_that_is_broken_off_again_and_again_leaves_the_live_view_alone,
    an_unfinished_generation_is_gone_on_with_or_dropped,
    changed_tables_are_rebuilt_and_workers_of_the_old_shape_end,
    one_process_rebuilds_at_a_time,
    a_difference_is_found_and_named,
    what_is_partial_is_whole_after_a_rebuild,
}

#[test]
fn a_view_of_a_cluster_is_rebuilt() {
    let Some(library) = Library::on_kafka() else { return };
    run(Database::sqlite(), |database| rebuilt_beside_a_worker(database, library));
}

async fn begin<P: Projection>(projection: P, views: &Views, library: &Library) -> Result<Rebuild<P>, RebuildError> {
    Rebuild::begin(Arc::new(projection), views, library.parts(None), hurried()).await
}

async fn generations(views: &Views, view: &str) -> (Generation, Vec<i64>) {
    let generations = views.store().generations();
    let live = generations.live(view).await.expect("it answers");
    (live, generations.list(view).await.expect("it answers").into_iter().map(|it| it.0).collect())
}

async fn is_the_fold(views: &Views, library: &Library) {
    let expected = FoldedView::of(&Shelves, &library.events);
    assert_eq!(everything(views).await, model(&expected));
}

async fn a_rebuild_beside_a_working_view_compares_equal_and_takes_its_place(database: Database) {
    let library = Library::new(&database.app);
    rebuilt_beside_a_worker(database, library).await;
}

async fn rebuilt_beside_a_worker(database: Database, mut library: Library) {
    let views = &database.views;
    library.fill((0..400).map(|number| number % 37));
    // The worker and the rebuild are strangers to each other, as in two processes.
    let worker = Worker::start(Shelves, views, library.parts(Some("one")), hurried()).await.expect("it starts");
    caught_up(views, &library.positions()).await;

    let there = database.again().await;
    let told = Arc::new(AtomicU64::new(0));
    let of = told.clone();
    let rebuild = begin(Shelves, &there, &library).await.expect("it begins");
    let rebuild = rebuild.jobs(3).telling(Arc::new(move |more| {
        of.fetch_add(more, Ordering::SeqCst);
    }));
    let left = rebuild.left().await.expect("it answers");
    let (mut live, mut new) = rebuild.side_by_side().await.expect("side by side");
    library.fill(0..50);
    caught_up(views, &library.positions()).await;
    // The comparison is of the moment when it began, whatever came since.
    let compared = verify::compare(rebuild.shape(), live.as_mut(), new.as_mut()).await.expect("compared");
    drop((live, new));
    let counts: Vec<_> = compared.iter().map(|it| (it.table, it.equal, it.is_equal())).collect();
    assert_eq!(counts, [("shelves", 37, true), ("books", 400, true), ("totals", 1, true)], "{compared:?}");
    assert!(told.load(Ordering::SeqCst) >= 400 && left >= 400);
    assert_eq!(generations(views, "shelves").await, (Generation(1), vec![1, 2]));

    rebuild.exchange().await.expect("exchanged");
    assert_eq!(generations(views, "shelves").await, (Generation(2), vec![1, 2]));
    is_the_fold(views, &library).await;
    // The worker goes on with the new one by itself, also when the old one is gone.
    library.fill(0..30);
    caught_up(views, &library.positions()).await;
    is_the_fold(views, &library).await;
    there.store().generations().remove("shelves", Generation(1)).await.expect("dropped");
    library.fill(0..30);
    caught_up(views, &library.positions()).await;
    is_the_fold(views, &library).await;
    assert_eq!(generations(views, "shelves").await, (Generation(2), vec![2]));
    let error = there.store().generations().remove("shelves", Generation(2)).await.expect_err("it is live");
    assert!(error.to_string().contains("is live"), "{error}");
    drop(worker);
}

/// Two tables that say the same of every book.
struct Said(&'static str);

impl Projection for Said {
    const NAME: &'static str = "said";
    type Source = Shelf;

    fn tables() -> Tables {
        let one = Table::rows("one").key("shelf_id", ColumnType::Text).versioned("said", ColumnType::Text);
        let other = Table::rows("other").key("shelf_id", ColumnType::Text).versioned("said", ColumnType::Text);
        Tables::new().with(one).with(other)
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        for table in ["one", "other"] {
            rows.at(table, ("shelf_id", &event.aggregate_id)).set_versioned("said", self.0, event.version);
        }
    }
}

/// What both tables say, each thing once.
#[derive(Debug, Deserialize)]
struct WhatIsSaid {}

impl Query for WhatIsSaid {
    const NAME: &'static str = "WhatIsSaid";
    type Answer = (Vec<String>, i64);
    type Reads = Said;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<(Vec<String>, i64)>, QueryError> {
        let both = "FROM (SELECT said FROM one UNION ALL SELECT said FROM other) AS said_twice";
        let mut said = Vec::new();
        for either in ["min", "max"] {
            said.extend(rows.value::<Option<String>>(&format!("SELECT {either}(said) {both}"), ()).await?);
        }
        said.dedup();
        let count: Option<i64> = rows.value("SELECT count(*) FROM other", ()).await?;
        Ok(Some((said, count.unwrap_or(0))))
    }
}

async fn said(views: &Views, at: &[headwater::position::Position]) -> (Vec<String>, i64) {
    let answer = views.ask(WhatIsSaid {}, at, Duration::from_mins(1)).await.expect("an answer");
    answer.answer.expect("there is one")
}

async fn a_query_sees_one_generation_or_the_other_and_never_both(database: Database) {
    let mut library = Library::new(&database.app);
    library.fill(0..100);
    let worker = Worker::start(Said("old"), &database.views, library.parts(None), hurried()).await.expect("it starts");
    assert_eq!(said(&database.views, &library.positions()).await, (vec!["old".to_owned()], 100));
    let ended = Arc::new(AtomicBool::new(false));
    let asking = {
        let (views, ended) = (database.again().await, ended.clone());
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while !ended.load(Ordering::SeqCst) {
                seen.push(said(&views, &[]).await);
            }
            seen.push(said(&views, &[]).await);
            seen
        })
    };
    drop(worker);
    let rebuild = begin(Said("new"), &database.views, &library).await.expect("it begins");
    rebuild.exchange().await.expect("exchanged");
    ended.store(true, Ordering::SeqCst);
    let seen = asking.await.expect("it ends well");
    let (old, new) = ((vec!["old".to_owned()], 100), (vec!["new".to_owned()], 100));
    assert!(seen.iter().all(|it| *it == old || *it == new), "{seen:?}");
    assert_eq!(seen.last(), Some(&new));
}

/// What was dropped just now may still be at its last transaction.
async fn unclaimed<P: Projection>(attempt: impl AsyncFn() -> Result<Rebuild<P>, RebuildError>) -> Rebuild<P> {
    for _ in 0..6_000 {
        match attempt().await {
            Err(RebuildError::View(ViewError::Claimed { .. })) => tokio::time::sleep(Duration::from_millis(10)).await,
            begun => return begun.expect("it begins"),
        }
    }
    panic!("it stays claimed");
}

async fn a_rebuild_that_is_broken_off_again_and_again_leaves_the_live_view_alone(database: Database) {
    let mut library = Library::new(&database.app);
    library.fill((0..600).map(|number| number % 41));
    let worker = Worker::start(Shelves, &database.views, library.parts(None), hurried()).await.expect("it starts");
    caught_up(&database.views, &library.positions()).await;
    drop(worker);
    let mut broken_off = 0;
    for transactions in 1..6 {
        let rebuild = unclaimed(async || begin(Shelves, &database.views, &library).await).await;
        let (reached, reach) = tokio::sync::oneshot::channel();
        let (count, reached) = (AtomicU64::new(0), std::sync::Mutex::new(Some(reached)));
        let rebuild = rebuild.jobs(2).telling(Arc::new(move |_| {
            if count.fetch_add(1, Ordering::SeqCst) + 1 == transactions
                && let Some(reached) = reached.lock().expect("no panic").take()
            {
                let _ = reached.send(());
            }
        }));
        let building = tokio::spawn(rebuild.exchange());
        let reached = reach.await;
        assert!(reached.is_ok(), "it ended before {transactions} transactions: {:?}", building.await);
        building.abort();
        broken_off += u64::from(building.await.is_err());
        is_the_fold(&database.views, &library).await;
    }
    assert!(broken_off > 0, "none was broken off half-way");
    let rebuild = unclaimed(async || begin(Shelves, &database.views, &library).await).await;
    let generation = rebuild.generation();
    rebuild.exchange().await.expect("exchanged");
    let (live, _) = generations(&database.views, "shelves").await;
    assert_eq!(live, generation);
    is_the_fold(&database.views, &library).await;
}

async fn an_unfinished_generation_is_gone_on_with_or_dropped(database: Database) {
    let mut library = Library::new(&database.app);
    library.fill(0..50);
    let views = &database.views;
    let worker = Worker::start(Shelves, views, library.parts(None), hurried()).await.expect("it starts");
    caught_up(views, &library.positions()).await;
    let resume = async || Rebuild::resume(Arc::new(Shelves), views, library.parts(None), hurried()).await;
    let error = resume().await.expect_err("there is none");
    assert!(matches!(error, RebuildError::NothingToResume { .. }), "{error}");

    let rebuild = unclaimed(async || begin(Shelves, views, &library).await).await;
    rebuild.catch_up().await.expect("caught up");
    drop(rebuild);
    let rebuild = unclaimed(resume).await;
    let progress = rebuild.progress().await.expect("it answers");
    assert_eq!(progress.positions.iter().map(|at| at.sequence.0).sum::<i64>(), 50, "nothing is folded twice");
    drop(rebuild);
    let rebuild = unclaimed(async || begin(Shelves, views, &library).await).await;
    let progress = rebuild.progress().await.expect("it answers");
    assert_eq!(progress.positions.iter().map(|at| at.sequence.0).sum::<i64>(), 0);
    drop(rebuild);
    unclaimed(resume).await.exchange().await.expect("exchanged");
    is_the_fold(views, &library).await;
    drop(worker);
}

/// The shelves of a later release: one table less, one column more.
struct LaterShelves;

impl Projection for LaterShelves {
    const NAME: &'static str = Shelves::NAME;
    type Source = Shelf;

    fn tables() -> Tables {
        let shelves = Table::rows("shelves").key("shelf_id", ColumnType::Text);
        Tables::new().with(shelves.versioned("title", ColumnType::Text).complete_to())
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        let row = rows.at("shelves", ("shelf_id", &event.aggregate_id)).seen(event.version);
        if let ShelfEvent::BookPlaced(placed) = &event.data {
            row.set_versioned("title", &placed.title, event.version);
        }
    }
}

async fn changed_tables_are_rebuilt_and_workers_of_the_old_shape_end(database: Database) {
    let mut library = Library::new(&database.app);
    library.fill((0..60).map(|number| number % 7));
    let views = &database.views;
    let mut old = Worker::start(Shelves, views, library.parts(None), hurried()).await.expect("it starts");
    caught_up(views, &library.positions()).await;

    let later = database.again().await;
    let refused = Worker::start(LaterShelves, &later, library.parts(Some("later")), hurried()).await;
    let error = refused.expect_err("its tables have changed").to_string();
    assert!(error.contains("run `rebuild shelves`"), "{error}");
    let rebuild = begin(LaterShelves, &later, &library).await.expect("it begins");
    let error = rebuild.side_by_side().await.err().expect("nothing to compare");
    assert!(matches!(error, RebuildError::Incomparable { .. }), "{error}");
    is_the_fold(views, &library).await;
    rebuild.exchange().await.expect("exchanged");

    let ended = tokio::time::timeout(Duration::from_mins(1), old.ended()).await.expect("it ends by itself");
    assert!(matches!(ended, Err(WorkerError::View(ViewError::ShapeChanged { .. }))), "{ended:?}");
    let error = views.ask(crate::worker::Count {}, &[], Duration::ZERO).await.expect_err("another shape");
    assert!(matches!(error, QueryError::View(ViewError::ShapeChanged { .. })), "{error}");
    let worker = Worker::start(LaterShelves, &later, library.parts(None), hurried()).await.expect("it starts");
    library.write(vec![("s1".to_owned(), placed("late", 1, 1))], true);
    let shape = Arc::new(shape_of::<LaterShelves>().expect("sound"));
    loop {
        let mut reading =
            later.store().read(std::slice::from_ref(&shape), Duration::from_mins(1)).await.expect("it answers");
        let mut rows = Rows::new(&mut *reading);
        let title: Option<String> =
            rows.value("SELECT title FROM shelves WHERE shelf_id = 's1'", ()).await.expect("it answers");
        if title.as_deref() == Some("late") {
            break;
        }
        drop(reading);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(worker);
}

async fn one_process_rebuilds_at_a_time(database: Database) {
    let library = Library::new(&database.app);
    let worker = Worker::start(Shelves, &database.views, library.parts(None), hurried()).await.expect("it starts");
    let rebuild = begin(Shelves, &database.views, &library).await.expect("it begins");
    let other = database.again().await;
    let error = begin(Shelves, &other, &library).await.expect_err("it is claimed");
    assert!(matches!(error, RebuildError::View(ViewError::Claimed { .. })) && error.is_temporary(), "{error}");
    rebuild.exchange().await.expect("exchanged");
    drop(worker);
}

async fn a_difference_is_found_and_named(database: Database) {
    let mut library = Library::new(&database.app);
    library.fill(0..9);
    let worker = Worker::start(Said("old"), &database.views, library.parts(None), hurried()).await.expect("it starts");
    said(&database.views, &library.positions()).await;
    let rebuild = begin(Said("new"), &database.views, &library).await.expect("it begins");
    let (mut live, mut new) = rebuild.side_by_side().await.expect("side by side");
    let compared = verify::compare(rebuild.shape(), live.as_mut(), new.as_mut()).await.expect("compared");
    for table in &compared {
        assert!(!table.is_equal() && table.live_hash != table.new_hash, "{table:?}");
        assert_eq!((table.equal, table.different, table.only_live, table.only_new), (0, 9, 0, 0));
        assert_eq!(table.examples[0], "shelf_id \"s0\"");
    }
    drop(worker);
}

async fn what_is_partial_is_whole_after_a_rebuild(database: Database) {
    let mut library = Library::new(&database.app);
    library.fill(0..20);
    let views = &database.views;
    let worker = Worker::start(Said("x"), views, library.parts(None), hurried()).await.expect("it starts");
    said(views, &library.positions()).await;
    let plan = replay::plan::<Said>(views, &library.parts(None), &"1000h".parse().expect("a target")).await;
    replay::apply::<Said>(views, &plan.expect("a plan")).await.expect("applied");
    let is_partial = async || {
        views.ask(WhatIsSaid {}, &library.positions(), Duration::from_mins(1)).await.expect("an answer").flags.partial
    };
    assert!(is_partial().await);
    begin(Said("x"), views, &library).await.expect("it begins").exchange().await.expect("exchanged");
    assert!(!is_partial().await);
    drop(worker);
}
