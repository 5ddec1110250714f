//! The projection worker over the embedded log: whatever fails, the view is the fold of the events.

use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater::position::Position;
use headwater::projection::worker::{Flow, Worker, WorkerSettings, WorkerStatus};
use headwater::projection::{Changes, Events, Generation, Projection, Tables, Views};
use headwater::query::{Query, QueryError, Rows};
use headwater::testing::FoldedView;
use headwater::{Aggregate, Recorded};
use serde::Deserialize;

use crate::database::{Database, promises_of_both, runtime};
use crate::flaky::Flaky;
use crate::library::{Library, hurried, placed, removed};
use crate::sample::{Shelf, ShelfEvent, Shelves, shape};
use crate::semantics::{everything, model};

promises_of_both! {
    events_become_rows_and_nothing_aborted_does,
    a_database_that_fails_before_and_after_commits_loses_and_doubles_nothing,
    a_worker_killed_again_and_again_loses_and_doubles_nothing,
    workers_share_the_partitions_and_hand_them_over,
    a_gap_stops_its_partition_and_no_other,
    an_unreadable_record_stops_its_partition,
    an_aggregate_whose_event_fails_is_parked_and_the_others_flow,
}

/// The same on a real cluster, where fetching, rebalancing and markers are none of ours.
mod kafka {
    use super::{a_worker_killed_again, events_become_rows, workers_share_the_partitions};
    use crate::database::{Database, run};
    use crate::library::Library;

    #[test]
    fn events_become_rows_and_nothing_aborted_does() {
        let Some(library) = Library::on_kafka() else { return };
        run(Database::sqlite(), |database| events_become_rows(database, library));
    }

    #[test]
    fn a_worker_killed_again_and_again_loses_and_doubles_nothing() {
        let Some(library) = Library::on_kafka() else { return };
        run(Database::sqlite(), |database| a_worker_killed_again(database, library));
    }

    #[test]
    fn workers_share_the_partitions_and_hand_them_over() {
        let Some(library) = Library::on_kafka() else { return };
        run(Database::sqlite(), |database| workers_share_the_partitions(database, library));
    }
}

/// Long enough for any machine; nothing waits this long unless it fails.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Deserialize)]
pub struct Count {}

impl Query for Count {
    const NAME: &'static str = "Count";
    type Answer = i64;
    type Reads = Shelves;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<i64>, QueryError> {
        rows.value("SELECT count(*) FROM books", ()).await.map(Some)
    }
}

/// Waits until the view has reached all that was written.
pub async fn caught_up(views: &Views, at: &[Position]) {
    views.ask(Count {}, at, PATIENCE).await.expect("the view gets there");
}

async fn start(views: &Views, library: &Library, instance: &str) -> Worker {
    Worker::start(Shelves, views, library.parts(Some(instance)), hurried()).await.expect("it starts")
}

async fn stop(mut worker: Worker) {
    worker.stop();
    worker.ended().await.expect("it ends well");
}

/// Waits until the worker says something of itself.
async fn until(worker: &Worker, is_so: impl Fn(&WorkerStatus) -> bool) -> WorkerStatus {
    for _ in 0..6_000 {
        let status = worker.status();
        if is_so(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to that: {:?}", worker.status());
}

async fn is_the_fold(views: &Views, library: &Library) {
    let expected = FoldedView::of(&Shelves, &library.events);
    assert_eq!(everything(views).await, model(&expected));
}

async fn events_become_rows_and_nothing_aborted_does(database: Database) {
    let library = Library::new(&database.app);
    events_become_rows(database, library).await;
}

async fn events_become_rows(database: Database, mut library: Library) {
    library.fill((0..200).map(|number| number % 13));
    library.write(vec![("s3".to_owned(), removed())], true);
    let worker = start(&database.views, &library, "one").await;
    caught_up(&database.views, &library.positions()).await;
    is_the_fold(&database.views, &library).await;

    library.fill(0..30);
    caught_up(&database.views, &library.positions()).await;
    is_the_fold(&database.views, &library).await;
    let status = until(&worker, |status| status.partitions.iter().all(|it| it.lag == Some(0))).await;
    assert!(status.is_ready(), "{:?}", status.waits_for());
    stop(worker).await;
}

async fn a_database_that_fails_before_and_after_commits_loses_and_doubles_nothing(database: Database) {
    let mut library = Library::new(&database.app);
    let (flaky, calls) = Flaky::over(&database.views);
    let worker = start(&flaky, &library, "one").await;
    for round in 0..10 {
        library.fill((0..40).map(|number| (number * 7 + round) % 11));
        caught_up(&database.views, &library.positions()).await;
    }
    assert!(calls.load(Ordering::SeqCst) > 10, "it did fail");
    is_the_fold(&database.views, &library).await;
    stop(worker).await;
}

async fn a_worker_killed_again_and_again_loses_and_doubles_nothing(database: Database) {
    let library = Library::new(&database.app);
    a_worker_killed_again(database, library).await;
}

async fn a_worker_killed_again(database: Database, mut library: Library) {
    library.fill((0..400).map(|number| number % 17));
    let books = || async {
        let progress = database.views.store().progress(&shape()).await;
        progress.map_or(0, |progress| progress.positions.iter().map(|it| it.sequence.0).sum())
    };
    for life in 0..8 {
        let (before, parts) = (books().await, library.parts(Some("one")));
        // A runtime of its own, which ends in the middle of whatever it does.
        let host = runtime();
        let (address, app) = (database.address.clone(), database.app.clone());
        let worker = host.spawn(async move {
            let views = Views::connect(&address, &app).await.expect("it answers");
            Worker::start(Shelves, &views, parts, hurried()).await.expect("it starts")
        });
        let worker = worker.await.expect("no panic");
        for _ in 0..6_000 {
            if books().await >= (before + 1 + life).min(400) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        host.shutdown_background();
        drop(worker);
    }
    let worker = start(&database.views, &library, "one").await;
    caught_up(&database.views, &library.positions()).await;
    is_the_fold(&database.views, &library).await;
    stop(worker).await;
}

async fn workers_share_the_partitions_and_hand_them_over(database: Database) {
    let library = Library::new(&database.app);
    workers_share_the_partitions(database, library).await;
}

async fn workers_share_the_partitions(database: Database, mut library: Library) {
    library.fill(0..100);
    let one = start(&database.views, &library, "one").await;
    until(&one, |status| status.partitions.len() == 4).await;
    let two = start(&database.views, &library, "two").await;
    until(&two, |status| status.partitions.len() == 2).await;
    until(&one, |status| status.partitions.len() == 2).await;
    library.fill(0..100);
    caught_up(&database.views, &library.positions()).await;
    stop(one).await;
    until(&two, |status| status.partitions.len() == 4).await;
    library.fill(0..100);
    caught_up(&database.views, &library.positions()).await;
    is_the_fold(&database.views, &library).await;
    stop(two).await;
}

/// What a stopped partition says, and that the others go on.
async fn stopped(database: &Database, library: &mut Library, id: &str) -> String {
    let worker = start(&database.views, library, "one").await;
    let partition = library.partition_of(id);
    let is_stopped = |flow: &Flow| matches!(flow, Flow::Stopped(_));
    let status = until(&worker, |status| status.partitions.iter().any(|it| is_stopped(&it.flow))).await;
    assert!(!status.is_ready());
    let other = library.elsewhere(id);
    library.write(vec![(other.clone(), placed("b", 1, 1))], true);
    let reached: Vec<Position> = library.positions();
    let reached: Vec<Position> =
        reached.into_iter().filter(|it| it.partition == library.partition_of(&other)).collect();
    caught_up(&database.views, &reached).await;
    stop(worker).await;
    let flow = status.partitions.into_iter().find(|it| it.source.partition == partition).map(|it| it.flow);
    let Some(Flow::Stopped(reason)) = flow else { panic!("it is not that partition that stopped: {flow:?}") };
    let place = library.topology.aggregate(Shelf::NAME).events.partition(partition);
    assert!(reason.contains(&place.to_string()), "{reason}");
    reason
}

async fn a_gap_stops_its_partition_and_no_other(database: Database) {
    let mut library = Library::new(&database.app);
    library.write(vec![("a".to_owned(), placed("b", 1, 1))], true);
    library.write_numbered("a", 2, 3);
    let reason = stopped(&database, &mut library, "a").await;
    assert!(reason.contains("sequence 3 follows 1") && reason.contains("aggregate a"), "{reason}");
    is_the_fold(&database.views, &library).await;
}

async fn an_unreadable_record_stops_its_partition(database: Database) {
    let mut library = Library::new(&database.app);
    library.write(vec![("a".to_owned(), placed("b", 1, 1))], true);
    library.write_raw(library.partition_of("a"), "a", b"nonsense".to_vec());
    let reason = stopped(&database, &mut library, "a").await;
    assert!(reason.contains("offset 2") && reason.contains("undecodable"), "{reason}");
    is_the_fold(&database.views, &library).await;
}

/// Fails on one shelf: by a panic, or by a change that does not fit.
struct Clumsy;

impl Projection for Clumsy {
    const NAME: &'static str = "shelves";
    type Source = Shelf;

    fn tables() -> Tables {
        Shelves::tables()
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        Shelves.project(event, rows);
        let ShelfEvent::BookPlaced(placed) = &event.data else { return };
        assert!(placed.title != "panics", "a book called {}", placed.title);
        if placed.title == "does not fit" {
            rows.at("shelves", ("shelf_id", &event.aggregate_id)).set("colour", "red");
        }
    }
}

async fn an_aggregate_whose_event_fails_is_parked_and_the_others_flow(database: Database) {
    let mut library = Library::new(&database.app);
    for (id, title) in [("a", "fine"), ("b", "fine"), ("a", "panics"), ("b", "does not fit"), ("c", "fine")] {
        library.write(vec![(id.to_owned(), placed(title, 1, 1))], true);
    }
    let parts = library.parts(Some("one"));
    let worker = Worker::start(Clumsy, &database.views, parts, hurried()).await.expect("it starts");
    caught_up(&database.views, &library.positions()).await;
    stop(worker).await;

    // A restarted worker knows what is parked.
    library.write(vec![("a".to_owned(), placed("fine again", 1, 2)), ("c".to_owned(), placed("fine", 1, 2))], true);
    let settings = WorkerSettings { attempts: 1, ..hurried() };
    let worker = Worker::start(Clumsy, &database.views, library.parts(Some("one")), settings).await;
    let worker = worker.expect("it starts");
    caught_up(&database.views, &library.positions()).await;
    let answer = database.views.ask(Count {}, &[], PATIENCE).await.expect("an answer");
    assert_eq!((answer.answer, answer.flags.parked), (Some(4), 2), "two books of c, one of a and of b");

    let parked = database.views.store().parked(&shape(), Generation::FIRST, 10).await.expect("it answers");
    let of = |id: &str| parked.iter().find(|it| it.aggregate_id == id).expect("it is parked");
    assert_eq!((of("a").events, of("b").events), (2, 1));
    assert!(of("a").reason.contains("it panicked: a book called panics"), "{}", of("a").reason);
    assert!(of("b").reason.contains("table shelves: there is no column colour"), "{}", of("b").reason);
    stop(worker).await;
}
