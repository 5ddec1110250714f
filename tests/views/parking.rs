//! Parked aggregates: what was passed over is folded after all, once and in order.

use std::sync::Arc;

use headwater::projection::parking::{self, Retried};
use headwater::projection::worker::Worker;
use headwater::projection::{Changes, Events, ParkedAggregate, ParkedError, Projection, Tables, Views};
use headwater::query::Rows;
use headwater::testing::FoldedView;
use headwater::{Recorded, position::Sequence};
use std::time::Duration;

use crate::database::{Database, promises_of_both};
use crate::library::{Library, hurried, placed};
use crate::sample::{Shelf, ShelfEvent, Shelves, shape};
use crate::semantics::{everything, model};
use crate::worker::{Count, caught_up};

promises_of_both! {
    what_was_passed_over_is_folded_once_and_in_order_while_the_worker_goes_on,
    many_passed_over_events_are_folded_in_steps_while_more_come,
    an_event_that_fails_again_parks_its_aggregate_from_there,
    a_skipped_event_leaves_a_gap_that_is_told,
    who_is_not_parked_is_not_released,
}

/// Folds shelves as [`Shelves`] does, but panics at books of this title.
struct Afraid(&'static str);

impl Projection for Afraid {
    const NAME: &'static str = Shelves::NAME;
    type Source = Shelf;

    fn tables() -> Tables {
        Shelves::tables()
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        if let ShelfEvent::BookPlaced(placed) = &event.data {
            assert!(placed.title != self.0, "afraid of {}", self.0);
        }
        Shelves.project(event, rows);
    }
}

async fn retry<P: Projection>(with: P, views: &Views, library: &Library, id: &str) -> Result<Retried, ParkedError> {
    parking::retry(&Arc::new(with), views, &library.parts(None), hurried(), ("shelf", id)).await
}

async fn parked(views: &Views) -> Vec<ParkedAggregate> {
    parking::list(views, &shape()).await.expect("it answers").1
}

async fn is_the_fold(views: &Views, library: &Library) {
    let expected = FoldedView::of(&Shelves, &library.events);
    assert_eq!(everything(views).await, model(&expected));
}

fn books(of: &str, titles: &[&str]) -> Vec<(String, ShelfEvent)> {
    titles.iter().map(|title| (of.to_owned(), placed(title, 10, 1))).collect()
}

async fn what_was_passed_over_is_folded_once_and_in_order_while_the_worker_goes_on(database: Database) {
    let mut library = Library::new(&database.app);
    let views = &database.views;
    let worker = Worker::start(Afraid("ghosts"), views, library.parts(Some("one")), hurried()).await;
    let worker = worker.expect("it starts");
    library.write(books("a", &["one", "ghosts", "three"]), true);
    library.fill(0..20);
    caught_up(views, &library.positions()).await;
    assert_eq!(parked(views).await.len(), 1);
    let answer = views.ask(Count {}, &[], Duration::ZERO).await.expect("an answer");
    assert_eq!((answer.answer, answer.flags.parked), (Some(21), 1));

    // Its events, and those of others, go on coming until it is released by another process.
    let there = database.again().await;
    let parts = library.parts(None);
    let releasing =
        tokio::spawn(
            async move { parking::retry(&Arc::new(Shelves), &there, &parts, hurried(), ("shelf", "a")).await },
        );
    while !releasing.is_finished() {
        library.write(books("a", &["more"]), true);
        library.fill(0..3);
        // Hot, but not so that the machine does nothing else.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let retried = releasing.await.expect("no panic").expect("it is released");
    assert!(retried.folded >= 2 && retried.parked_again.is_none(), "{retried:?}");
    library.write(books("a", &["the last"]), true);
    caught_up(views, &library.positions()).await;
    is_the_fold(views, &library).await;
    assert_eq!(parked(views).await, []);
    let answer = views.ask(Count {}, &[], Duration::ZERO).await.expect("an answer");
    assert!(answer.flags.is_complete());
    drop(worker);
}

async fn many_passed_over_events_are_folded_in_steps_while_more_come(database: Database) {
    let mut library = Library::new(&database.app);
    let views = &database.views;
    let worker = Worker::start(Afraid("ghosts"), views, library.parts(Some("one")), hurried()).await;
    let worker = worker.expect("it starts");
    library.write(books("a", &["ghosts"]), true);
    for _ in 0..50 {
        library.write(books("a", &["more"; 50]), true);
    }
    caught_up(views, &library.positions()).await;
    assert_eq!(parked(views).await[0].events, 2_501);

    let there = database.again().await;
    let parts = library.parts(None);
    let releasing =
        tokio::spawn(
            async move { parking::retry(&Arc::new(Shelves), &there, &parts, hurried(), ("shelf", "a")).await },
        );
    while !releasing.is_finished() {
        library.write(books("a", &["more"]), true);
        // Hot, but not so that the machine does nothing else.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let retried = releasing.await.expect("no panic").expect("it is released");
    assert!(retried.folded >= 2_501 && retried.parked_again.is_none(), "{retried:?}");
    caught_up(views, &library.positions()).await;
    is_the_fold(views, &library).await;
    assert_eq!(parked(views).await, []);
    drop(worker);
}

async fn an_event_that_fails_again_parks_its_aggregate_from_there(database: Database) {
    let mut library = Library::new(&database.app);
    let views = &database.views;
    let worker = Worker::start(Afraid("ghosts"), views, library.parts(None), hurried()).await.expect("it starts");
    library.write(books("a", &["ghosts", "two", "spiders", "four"]), true);
    caught_up(views, &library.positions()).await;
    let before = parked(views).await;
    assert_eq!((before[0].version.0, before[0].events), (1, 4));

    let retried = retry(Afraid("spiders"), views, &library, "a").await.expect("it answers");
    assert_eq!((retried.folded, retried.skipped), (2, None));
    let reason = retried.parked_again.expect("it is parked again");
    assert!(reason.contains("afraid of spiders"), "{reason}");
    let after = parked(views).await;
    assert_eq!((after[0].version.0, after[0].events, &after[0].reason), (3, 2, &reason));
    assert_eq!(views.ask(Count {}, &[], Duration::ZERO).await.expect("an answer").answer, Some(2));

    let retried = retry(Shelves, views, &library, "a").await.expect("it answers");
    assert_eq!(retried, Retried { folded: 2, skipped: None, parked_again: None });
    is_the_fold(views, &library).await;
    drop(worker);
}

async fn a_skipped_event_leaves_a_gap_that_is_told(database: Database) {
    let mut library = Library::new(&database.app);
    let views = &database.views;
    let worker = Worker::start(Afraid("ghosts"), views, library.parts(None), hurried()).await.expect("it starts");
    library.write(books("a", &["one", "ghosts", "three", "four"]), true);
    caught_up(views, &library.positions()).await;
    let parts = library.parts(None);
    let skipped = parking::skip(&Arc::new(Afraid("ghosts")), views, &parts, hurried(), ("shelf", "a")).await;
    let expected = Retried { folded: 2, skipped: Some(Sequence(2)), parked_again: None };
    assert_eq!(skipped.expect("it answers"), expected);

    library.write(books("a", &["five"]), true);
    caught_up(views, &library.positions()).await;
    let answer = views.ask(Count {}, &[], Duration::ZERO).await.expect("an answer");
    assert_eq!((answer.answer, answer.flags.parked, answer.flags.partial), (Some(4), 0, true));
    let mut reading = views.store().read(&[shape()], Duration::from_mins(1)).await.expect("it answers");
    let mut rows = Rows::new(&mut *reading);
    let complete_to: i64 = rows.value("SELECT complete_to FROM shelves", ()).await.expect("one row");
    assert_eq!(complete_to, 1, "what follows the gap is not vouched for");
    drop(worker);
}

async fn who_is_not_parked_is_not_released(database: Database) {
    let mut library = Library::new(&database.app);
    let worker = Worker::start(Shelves, &database.views, library.parts(None), hurried()).await.expect("it starts");
    library.write(books("a", &["one"]), true);
    caught_up(&database.views, &library.positions()).await;
    let error = retry(Shelves, &database.views, &library, "a").await.expect_err("it is not parked");
    assert!(error.to_string().contains("shelf a is not parked"), "{error}");
    drop(worker);
}
