//! Replays: to the first event, and to anywhere else.

use std::time::Duration;

use headwater::Recorded;
use headwater::clock::Timestamp;
use headwater::position::{Offset, Position};
use headwater::projection::replay::{self, OffsetTarget, Plan, Target};
use headwater::projection::worker::Worker;
use headwater::projection::{Changes, ColumnType, Events, Projection, ReplayError, Table, Tables, Views, shape_of};
use headwater::query::{Query, QueryError, Rows};
use serde::Deserialize;

use crate::database::{Database, promises_of_both};
use crate::library::{Library, hurried, placed};
use crate::sample::{Shelf, ShelfEvent, Shelves};
use crate::semantics::everything;
use crate::worker::caught_up;

promises_of_both! {
    a_replay_to_earliest_gives_the_same_tables,
    every_target_is_found,
    a_view_that_was_set_elsewhere_is_partial_and_keeps_the_highest_versions,
    a_replay_to_where_it_is_changes_nothing,
    tables_that_count_are_only_replayed_from_the_first_event,
    a_plan_made_before_another_reset_is_stale,
}

/// Only rows that change: they may be folded onto themselves.
struct Titles;

impl Projection for Titles {
    const NAME: &'static str = "titles";
    type Source = Shelf;

    fn tables() -> Tables {
        let titles = Table::rows("titles").key("shelf_id", ColumnType::Text).versioned("title", ColumnType::Text);
        Tables::new().with(titles.complete_to())
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        let row = rows.at("titles", ("shelf_id", &event.aggregate_id)).seen(event.version);
        if let ShelfEvent::BookPlaced(placed) = &event.data {
            row.set_versioned("title", &placed.title, event.version);
        }
    }
}

#[derive(Debug, Deserialize)]
struct TitleOf {
    shelf_id: String,
}

#[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
struct Title {
    title: Option<String>,
    complete_to: i64,
}

impl Query for TitleOf {
    const NAME: &'static str = "TitleOf";
    type Answer = Title;
    type Reads = Titles;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<Title>, QueryError> {
        rows.one("SELECT title, complete_to FROM titles WHERE shelf_id = ?", (self.shelf_id,)).await
    }
}

async fn title(views: &Views, at: &[Position]) -> (Option<Title>, bool) {
    let title = TitleOf { shelf_id: "a".to_owned() };
    let answer = views.ask(title, at, Duration::from_mins(1)).await.expect("an answer");
    (answer.answer, answer.flags.partial)
}

async fn plan<P: Projection>(database: &Database, library: &Library, target: &str) -> Result<Plan, ReplayError> {
    let target: Target = target.parse().expect("a target");
    replay::plan::<P>(&database.views, &library.parts(None), &target).await
}

async fn a_replay_to_earliest_gives_the_same_tables(database: Database) {
    let mut library = Library::new(&database.app);
    library.fill((0..300).map(|number| number % 23));
    let worker = Worker::start(Shelves, &database.views, library.parts(None), hurried()).await.expect("it starts");
    caught_up(&database.views, &library.positions()).await;
    let before = everything(&database.views).await;

    let plan = plan::<Shelves>(&database, &library, "earliest").await.expect("a plan");
    assert!(plan.empties && plan.moves.len() == 4);
    assert!(plan.moves.iter().all(|it| it.target.0 == 0 && it.delta() == -it.current.0), "{plan:?}");
    assert_eq!(everything(&database.views).await, before, "a plan changes nothing");
    replay::apply::<Shelves>(&database.views, &plan).await.expect("applied");
    // The worker is idle, and notices by itself. Queries are not answered before it is back.
    loop {
        let found = database.views.ask(crate::worker::Count {}, &library.positions(), Duration::from_mins(1)).await;
        match found {
            Ok(_) => break,
            Err(QueryError::Replaying { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(everything(&database.views).await, before);
    drop(worker);
}

/// Five books on one shelf, an hour apart.
fn five_books(database: &Database) -> (Library, Vec<Timestamp>) {
    let mut library = Library::new(&database.app);
    let mut times = Vec::new();
    for number in 1..=5 {
        let now = library.clock.now().plus(Duration::from_hours(1));
        library.clock.set(now);
        times.push(now);
        library.write(vec![("a".to_owned(), placed(&format!("book {number}"), 1, number))], true);
    }
    (library, times)
}

async fn every_target_is_found(database: Database) {
    let (library, times) = five_books(&database);
    let shape = shape_of::<Titles>().expect("sound");
    let mut worker = Worker::start(Titles, &database.views, library.parts(None), hurried()).await.expect("it starts");
    title(&database.views, &library.positions()).await;
    worker.stop();
    worker.ended().await.expect("it ends well");
    let partition = library.partition_of("a");
    let sequence_at = |plan: &Plan| {
        let moved = plan.moves.iter().find(|it| it.partition.partition == partition).expect("it is moved");
        (moved.sequence.0, moved.target.0)
    };
    // Each event is followed by a marker, which takes an offset.
    let third = times[2].to_string();
    let targets = [
        ("earliest".to_owned(), (0, 0)),
        ("latest".to_owned(), (5, 10)),
        (third, (2, 4)),
        ("2099-01-01T00:00:00Z".to_owned(), (5, 10)),
        ("30m".to_owned(), (4, 8)),
        ("90m".to_owned(), (3, 6)),
        ("1000h".to_owned(), (0, 0)),
    ];
    for (target, expected) in targets {
        let plan = plan::<Titles>(&database, &library, &target).await.expect("a plan");
        assert_eq!(sequence_at(&plan), expected, "{target}");
        assert_eq!(plan.moves.len(), 4);
    }
    // Offsets, as Kafka's own tool knows them; they stay within what is held.
    let offset = |of: &str, offset| Target::Offsets(vec![OffsetTarget { of: of.to_owned(), partition, offset }]);
    let topic = library.topology.aggregate("shelf").events;
    let targets = [
        (Target::Current, (5, 9..=10), 4),
        (Target::Shift(-4), (3, 5..=6), 4),
        (Target::Shift(-1000), (0, 0..=0), 4),
        (Target::Shift(1000), (5, 10..=10), 4),
        (offset("shelf", Offset(4)), (2, 4..=4), 1),
        (offset(topic.as_str(), Offset(999)), (5, 10..=10), 1),
    ];
    for (target, (sequence, offsets), moved) in targets {
        let plan = replay::plan::<Titles>(&database.views, &library.parts(None), &target).await.expect("a plan");
        let (found, offset) = sequence_at(&plan);
        assert!(found == sequence && offsets.contains(&offset), "{target:?}: {plan:?}");
        assert_eq!(plan.moves.len(), moved, "{target:?}");
    }
    let foreign = replay::plan::<Titles>(&database.views, &library.parts(None), &offset("account", Offset(1))).await;
    assert!(matches!(foreign, Err(ReplayError::Target(_))), "{foreign:?}");
    for (sequence, offsets) in [(0, 0..=0), (1, 1..=2), (3, 5..=6), (5, 9..=10)] {
        let plan = plan::<Titles>(&database, &library, &format!("shelf/{partition}:{sequence}")).await.expect("a plan");
        assert_eq!(plan.moves.len(), 1, "the others stay");
        let (found, offset) = sequence_at(&plan);
        assert!(found == sequence && offsets.contains(&offset), "{sequence}: {plan:?}");
    }
    for foreign in ["account/0:1", "shelf/9:1", &format!("shelf/{partition}:6")] {
        let error = plan::<Titles>(&database, &library, foreign).await.expect_err(foreign);
        assert!(matches!(error, ReplayError::Target(_)), "{error}");
    }
    assert_eq!(database.views.store().progress(&shape).await.expect("it answers").positions.len(), 4);
}

async fn a_view_that_was_set_elsewhere_is_partial_and_keeps_the_highest_versions(database: Database) {
    let (mut library, _) = five_books(&database);
    let worker = Worker::start(Titles, &database.views, library.parts(None), hurried()).await.expect("it starts");
    let partition = library.partition_of("a");
    let fifth = Title { title: Some("book 5".to_owned()), complete_to: 5 };
    assert_eq!(title(&database.views, &library.positions()).await, (Some(fifth), false));

    let back = plan::<Titles>(&database, &library, &format!("shelf/{partition}:2")).await.expect("a plan");
    replay::apply::<Titles>(&database.views, &back).await.expect("applied");
    // While it folds 3 and 4 again, 5 counts.
    let fifth = Title { title: Some("book 5".to_owned()), complete_to: 5 };
    assert_eq!(title(&database.views, &library.positions()).await, (Some(fifth), true));

    drop(worker);
    let beyond = Library::positions(&library)[0].clone();
    library.write(vec![("a".to_owned(), placed("never seen", 1, 6))], true);
    caught_up_titles(&database, &beyond).await;
    let on = plan::<Titles>(&database, &library, "latest").await.expect("a plan");
    replay::apply::<Titles>(&database.views, &on).await.expect("applied");
    library.write(vec![("a".to_owned(), placed("book 7", 1, 7))], true);
    let worker = Worker::start(Titles, &database.views, library.parts(None), hurried()).await.expect("it starts");
    let (found, partial) = title(&database.views, &library.positions()).await;
    assert_eq!(found.as_ref().and_then(|it| it.title.as_deref()), Some("book 7"));
    assert!(partial && found.is_some_and(|it| it.complete_to == 5 || it.complete_to == 7));
    drop(worker);
}

async fn caught_up_titles(database: &Database, at: &Position) {
    title(&database.views, std::slice::from_ref(at)).await;
}

async fn a_replay_to_where_it_is_changes_nothing(database: Database) {
    let (library, _) = five_books(&database);
    let worker = Worker::start(Titles, &database.views, library.parts(None), hurried()).await.expect("it starts");
    let before = title(&database.views, &library.positions()).await;
    let stay = plan::<Titles>(&database, &library, "current").await.expect("a plan");
    assert!(stay.moves.iter().all(|it| it.delta() == 0), "{stay:?}");
    replay::apply::<Titles>(&database.views, &stay).await.expect("applied");
    assert_eq!(title(&database.views, &library.positions()).await, before, "and it is not partial");
    drop(worker);
}

async fn tables_that_count_are_only_replayed_from_the_first_event(database: Database) {
    let library = Library::new(&database.app);
    let worker = Worker::start(Shelves, &database.views, library.parts(None), hurried()).await.expect("it starts");
    for target in ["latest", "2h", "shelf/0:0"] {
        let error = plan::<Shelves>(&database, &library, target).await.expect_err(target);
        assert!(matches!(error, ReplayError::NotRepeatable { table: "books", .. }), "{error}");
        assert!(error.to_string().contains("--to earliest"), "{error}");
    }
    drop(worker);
}

async fn a_plan_made_before_another_reset_is_stale(database: Database) {
    let mut library = Library::new(&database.app);
    library.fill(0..10);
    let worker = Worker::start(Shelves, &database.views, library.parts(None), hurried()).await.expect("it starts");
    caught_up(&database.views, &library.positions()).await;
    let first = plan::<Shelves>(&database, &library, "earliest").await.expect("a plan");
    let second = plan::<Shelves>(&database, &library, "earliest").await.expect("a plan");
    replay::apply::<Shelves>(&database.views, &first).await.expect("applied");
    let error = replay::apply::<Shelves>(&database.views, &second).await.expect_err("stale");
    assert!(matches!(error, ReplayError::Stale { .. }), "{error}");
    drop(worker);
}
