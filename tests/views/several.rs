//! Projections that fold several aggregates, and queries that read several views.

use std::convert::Infallible;
use std::time::Duration;

use headwater::position::Position;
use headwater::projection::worker::Worker;
use headwater::projection::{Changes, ColumnType, Events, OneOf2, Projection, Table, Tables};
use headwater::query::{Projections, Query, QueryError, Rows};
use headwater::schema::{Message, MessageSchema};
use headwater::testing::{history, triple_shuffle};
use headwater::{Aggregate, Context, Decision, EventContext, Recorded};
use serde::{Deserialize, Serialize};

use crate::database::{Database, promises_of_both};
use crate::library::{Library, hurried, placed};
use crate::sample::{Shelf, ShelfEvent, Shelves};

promises_of_both! {
    one_projection_folds_two_aggregates_and_one_query_reads_two_views,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Hall {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct HallOpened {
    shelf: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum HallEvent {
    HallOpened(HallOpened),
}

impl Message for Hall {
    const SCHEMAS: &'static [MessageSchema] =
        &[MessageSchema::new("Hall", r#"{"type": "record", "name": "Hall", "fields": []}"#)];
}

impl Message for HallEvent {
    const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new(
        "HallOpened",
        r#"{"type": "record", "name": "HallOpened", "fields": [{"name": "shelf", "type": "string"}]}"#,
    )];
}

impl Aggregate for Hall {
    const NAME: &'static str = "hall";
    type Id = String;
    type Command = HallEvent;
    type Event = HallEvent;
    type Refusal = Infallible;

    fn decide(&self, command: HallEvent, _: &Context<'_>) -> Result<Decision<HallEvent>, Infallible> {
        Ok(Decision::event(command))
    }

    fn evolve(&mut self, _: &HallEvent, _: &EventContext<'_>) {}
}

/// Where each shelf stands, and how many books are on it: from two aggregates onto one row.
struct Places;

impl Projection for Places {
    const NAME: &'static str = "places";
    type Source = (Hall, Shelf);

    fn tables() -> Tables {
        let places = Table::rows("places").key("shelf_id", ColumnType::Text).column("hall", ColumnType::Text);
        Tables::new().with(places.versioned("books", ColumnType::Integer))
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        match &event.data {
            OneOf2::First(HallEvent::HallOpened(opened)) => {
                rows.at("places", ("shelf_id", &opened.shelf)).set("hall", &event.aggregate_id);
            }
            OneOf2::Second(ShelfEvent::BookPlaced(placed)) => {
                let row = rows.at("places", ("shelf_id", &event.aggregate_id));
                row.set_versioned("books", placed.books, event.version);
            }
            OneOf2::Second(ShelfEvent::ShelfRemoved(_)) => {}
        }
    }
}

#[derive(Debug, Deserialize)]
struct Guide {}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    shelf_id: String,
    hall: Option<String>,
    title: Option<String>,
}

impl Query for Guide {
    const NAME: &'static str = "Guide";
    type Answer = Vec<Entry>;
    type Reads = (Places, Shelves);

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<Vec<Entry>>, QueryError> {
        let sql = "SELECT p.shelf_id, p.hall, s.last_title AS title FROM places p \
                   LEFT JOIN shelves s ON s.shelf_id = p.shelf_id ORDER BY p.shelf_id";
        rows.all(sql, ()).await.map(Some)
    }
}

async fn one_projection_folds_two_aggregates_and_one_query_reads_two_views(database: Database) {
    let mut library = Library::new(&database.app);
    library.write(vec![("a".to_owned(), placed("first", 1, 1)), ("b".to_owned(), placed("second", 1, 1))], true);
    let hall = library.write_first::<Hall>("east", &HallEvent::HallOpened(HallOpened { shelf: "a".to_owned() }));
    let views = &database.views;
    let places = Worker::start(Places, views, library.parts(None), hurried()).await.expect("it starts");
    let shelves = Worker::start(Shelves, views, library.parts(None), hurried()).await.expect("it starts");

    // A position of the hall only one of the views folds; those of the shelves both do.
    let at: Vec<Position> = library.positions().into_iter().chain([hall.clone()]).collect();
    let answer = views.ask(Guide {}, &at, Duration::from_mins(1)).await.expect("an answer");
    let entry = |id: &str, hall: Option<&str>, title: &str| Entry {
        shelf_id: id.to_owned(),
        hall: hall.map(str::to_owned),
        title: Some(title.to_owned()),
    };
    assert_eq!(answer.answer, Some(vec![entry("a", Some("east"), "first"), entry("b", None, "second")]));
    assert!(answer.positions.contains(&hall));
    assert_eq!(answer.positions.len(), 8, "each partition of each aggregate once: {:?}", answer.positions);
    drop((places, shelves));
}

#[test]
fn a_projection_of_two_aggregates_survives_the_triple_shuffle() {
    let halls = history::<Hall>("east", [HallEvent::HallOpened(HallOpened { shelf: "a".to_owned() })]);
    let shelves = history::<Shelf>("a", (1..=5).map(|number| placed("book", 1, number)));
    let halls = halls.into_iter().map(|event| event.map(OneOf2::First));
    let events: Vec<_> = halls.chain(shelves.into_iter().map(|event| event.map(OneOf2::Second))).collect();
    triple_shuffle(&Places, &events, 3);
}

#[test]
fn two_views_with_a_table_of_one_name_cannot_be_read_together() {
    struct Other;
    impl Projection for Other {
        const NAME: &'static str = "other";
        type Source = Hall;

        fn tables() -> Tables {
            Places::tables()
        }

        fn project(&self, _: &Recorded<HallEvent>, _: &mut Changes) {}
    }
    let error = <(Places, Other)>::shapes().expect_err("both have a table called places");
    assert!(error.to_string().contains("view other, table places: view places has a table of this name"), "{error}");
}
