//! A small domain for these tests: shelves with books, and a view of them with every kind of table.

use std::convert::Infallible;
use std::sync::Arc;

use headwater::position::{Offset, Partition, Sequence};
use headwater::projection::{
    Advance, Batch, Changes, ColumnType, Epoch, Events, Projection, Shape, SourcePartition, StoredPosition, Table,
    Tables, Views, shape_of,
};
use headwater::schema::{Message, MessageSchema};
use headwater::{Aggregate, Context, Decision, EventContext, Recorded};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Shelf {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BookPlaced {
    pub title: String,
    pub pages: i64,
    pub books: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShelfRemoved {
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ShelfEvent {
    BookPlaced(BookPlaced),
    ShelfRemoved(ShelfRemoved),
}

impl Message for Shelf {
    const SCHEMAS: &'static [MessageSchema] =
        &[MessageSchema::new("Shelf", r#"{"type": "record", "name": "Shelf", "fields": []}"#)];
}

impl Message for ShelfEvent {
    const SCHEMAS: &'static [MessageSchema] = &[
        MessageSchema::new(
            "BookPlaced",
            r#"{"type": "record", "name": "BookPlaced", "fields": [
                {"name": "title", "type": "string"},
                {"name": "pages", "type": "long"},
                {"name": "books", "type": "long"}
            ]}"#,
        ),
        MessageSchema::new(
            "ShelfRemoved",
            r#"{"type": "record", "name": "ShelfRemoved", "fields": [
                {"name": "reason", "type": ["null", "string"], "default": null}
            ]}"#,
        ),
    ];
}

impl Aggregate for Shelf {
    const NAME: &'static str = "shelf";
    type Id = String;
    type Command = ShelfEvent;
    type Event = ShelfEvent;
    type Refusal = Infallible;

    fn decide(&self, command: ShelfEvent, _: &Context<'_>) -> Result<Decision<ShelfEvent>, Infallible> {
        Ok(Decision::event(command))
    }

    fn evolve(&mut self, _: &ShelfEvent, _: &EventContext<'_>) {}
}

/// What every column type and every kind of table looks like.
pub struct Shelves;

impl Projection for Shelves {
    const NAME: &'static str = "shelves";
    type Source = Shelf;

    fn tables() -> Tables {
        let shelves = Table::rows("shelves")
            .key("shelf_id", ColumnType::Text)
            .column("room", ColumnType::Text)
            .column("height", ColumnType::Integer)
            .column("tags", ColumnType::Json)
            .versioned("books", ColumnType::Integer)
            .versioned("crowded", ColumnType::Boolean)
            .versioned("last_title", ColumnType::Text)
            .versioned("changed_at", ColumnType::Timestamp)
            .complete_to()
            .index(&["room"]);
        let books = Table::once("books")
            .key("shelf_id", ColumnType::Text)
            .key("version", ColumnType::Integer)
            .column("title", ColumnType::Text)
            .column("pages", ColumnType::Integer)
            .column("lent", ColumnType::Boolean);
        let totals = Table::sums("totals")
            .key("house", ColumnType::Integer)
            .key("new", ColumnType::Boolean)
            .sum("books")
            .sum("pages");
        Tables::new().with(shelves).with(books).with(totals)
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        let id = &event.aggregate_id;
        let row = rows.at("shelves", ("shelf_id", id)).seen(event.version);
        row.set_versioned("changed_at", event.occurred_at, event.version);
        match &event.data {
            ShelfEvent::BookPlaced(placed) => {
                row.set_versioned("books", placed.books, event.version);
                row.set_versioned("last_title", &placed.title, event.version);
                rows.once("books", (("shelf_id", id), ("version", event.version)))
                    .set("title", &placed.title)
                    .set("pages", placed.pages)
                    .add("totals", (("house", 1), ("new", true)), "books", 1)
                    .add("totals", (("house", 1), ("new", true)), "pages", placed.pages);
            }
            ShelfEvent::ShelfRemoved(_) => {
                row.delete(event.version);
            }
        }
    }
}

pub fn shape() -> Arc<Shape> {
    Arc::new(shape_of::<Shelves>().expect("the tables are sound"))
}

pub fn source(partition: i32) -> SourcePartition {
    SourcePartition { aggregate: Shelf::NAME, partition: Partition(partition) }
}

pub fn sources(partitions: i32) -> Vec<SourcePartition> {
    (0..partitions).map(source).collect()
}

/// Where a partition of a view stands.
pub async fn stored(views: &Views, partition: i32) -> StoredPosition {
    let progress = views.store().progress(&shape()).await.expect("it answers");
    let found = progress.positions.iter().find(|position| position.source == source(partition));
    *found.expect("the partition is there")
}

/// From where a partition stands to `events` further on.
pub fn onward(from: &StoredPosition, events: i64) -> Advance {
    Advance {
        expected: from.next_offset,
        next: Offset(from.next_offset.0 + events),
        sequence: Sequence(from.sequence.0 + events),
        epoch: from.epoch,
    }
}

/// A batch of one partition with these changes, each that of one event, in the first epoch.
pub fn batch(partition: i32, from: i64, changes: Vec<Changes>) -> Batch {
    let mut batch = Batch::new(&shape());
    let events = i64::try_from(changes.len()).expect("few");
    for changes in changes {
        batch.absorb(source(partition), changes).expect("the changes fit");
    }
    let advance = Advance {
        expected: Offset(from),
        next: Offset(from + events),
        sequence: Sequence(from + events),
        epoch: Epoch(0),
    };
    batch.advance(source(partition), advance);
    batch
}

/// A row of `shelves`, as queries see it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ShelfRow {
    pub shelf_id: String,
    pub room: Option<String>,
    pub height: Option<i64>,
    pub tags: Option<Vec<String>>,
    pub books: Option<i64>,
    pub crowded: Option<bool>,
    pub last_title: Option<String>,
    pub changed_at: Option<i64>,
    pub complete_to: i64,
}

/// A row of `books`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BookRow {
    pub shelf_id: String,
    pub version: i64,
    pub title: Option<String>,
    pub pages: Option<i64>,
    pub lent: Option<bool>,
}

/// A row of `totals`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TotalRow {
    pub house: i64,
    pub new: bool,
    pub books: i64,
    pub pages: i64,
}

/// Everything that queries see, in the order of the keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Everything {
    pub shelves: Vec<ShelfRow>,
    pub books: Vec<BookRow>,
    pub totals: Vec<TotalRow>,
}
