//! What queries see, and how long they wait.

use std::time::Duration;

use headwater::position::{Offset, Position, Sequence, Version};
use headwater::projection::{Applied, Changes, Generation, Move, Reset, Value};
use headwater::query::{Query, QueryError, Rows};
use serde::{Deserialize, Serialize};

use crate::database::{Database, promises_of_both};
use crate::sample::{Shelves, batch, shape, source, sources, stored};

promises_of_both! {
    the_same_sql_gives_the_same_answer,
    an_answer_names_its_positions_and_what_is_missing,
    a_query_waits_for_a_position,
    a_query_gives_up_in_time,
    a_foreign_position_is_bad_input,
    a_replaying_view_does_not_answer,
    a_query_cannot_write,
    a_mistake_in_sql_is_told_with_the_statement,
    more_rows_than_fit_are_refused,
    a_runaway_statement_is_cut_off,
}

/// Counts, sums and compares with every type.
#[derive(Clone, Debug, Deserialize)]
struct Summary {
    room: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    shelf_id: String,
    crowded: Option<bool>,
    share: f64,
}

#[derive(Debug, PartialEq, Serialize)]
struct Found {
    lines: Vec<Line>,
    count: i64,
    books: Option<i64>,
    pages: i64,
}

impl Query for Summary {
    const NAME: &'static str = "Summary";
    type Answer = Found;
    type Reads = Shelves;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<Found>, QueryError> {
        if self.room.as_deref() == Some("") {
            return Err(QueryError::invalid("room", "must not be empty"));
        }
        let room: Value = self.room.into();
        let lines = rows
            .all(
                "SELECT shelf_id, crowded, books / 2.0 AS share FROM shelves -- whose?\n\
                 WHERE (? IS NULL OR room = ?) AND books > ? ORDER BY shelf_id LIMIT ?",
                (room.clone(), room, 0, 10),
            )
            .await?;
        let count = rows.value("SELECT count(*) FROM shelves WHERE NOT crowded", ()).await?;
        let books = rows.value("SELECT sum(books) FROM shelves", ()).await?;
        let pages: Option<i64> = rows.value("SELECT sum(pages) FROM totals WHERE new = ?", (true,)).await?;
        Ok(Some(Found { lines, count, books, pages: pages.unwrap_or_default() }))
    }
}

fn all() -> Summary {
    Summary { room: None }
}

fn position(sequence: i64) -> Position {
    Position { aggregate: "shelf".to_owned(), partition: source(0).partition, sequence: Sequence(sequence) }
}

async fn filled(database: &Database) {
    let store = database.views.store();
    store.open(&shape(), &sources(2)).await.expect("made");
    let shelf = |id: &str, room: &str, books: i64, crowded: bool| {
        let mut changes = Changes::new();
        let row = changes.at("shelves", ("shelf_id", id)).set("room", room);
        row.set_versioned("books", books, Version(1)).set_versioned("crowded", crowded, Version(1));
        changes.add("totals", (("house", 1), ("new", true)), "pages", books * 100);
        changes
    };
    let changes = vec![shelf("a", "hall", 3, true), shelf("B", "attic", 5, false), shelf("c", "hall", 0, false)];
    assert_eq!(store.apply(&batch(0, 0, changes.clone())).await.expect("it answers"), Applied::Done);
    assert_eq!(store.apply(&batch(1, 0, changes)).await.expect("it answers"), Applied::Done);
}

async fn the_same_sql_gives_the_same_answer(database: Database) {
    filled(&database).await;
    let line = |id: &str, crowded: bool, share: f64| Line { shelf_id: id.to_owned(), crowded: Some(crowded), share };
    let answer = database.views.ask(all(), &[], Duration::ZERO).await.expect("an answer").answer;
    // Capitals come first: text compares byte by byte.
    let lines = vec![line("B", false, 2.5), line("a", true, 1.5)];
    assert_eq!(answer, Some(Found { lines, count: 2, books: Some(8), pages: 1600 }));
    let hall = Summary { room: Some("hall".to_owned()) };
    let answer = database.views.ask(hall, &[], Duration::ZERO).await.expect("an answer").answer.expect("found");
    assert_eq!(answer.lines, [line("a", true, 1.5)]);
    let error = database.views.ask(Summary { room: Some(String::new()) }, &[], Duration::ZERO).await;
    assert!(error.expect_err("empty").is_bad_input());
}

async fn an_answer_names_its_positions_and_what_is_missing(database: Database) {
    filled(&database).await;
    let answer = database.views.ask(all(), &[position(3)], Duration::ZERO).await.expect("an answer");
    let positions: Vec<String> = answer.positions.iter().map(ToString::to_string).collect();
    assert_eq!(positions, ["shelf/0:3", "shelf/1:3"]);
    assert!(answer.flags.is_complete());

    let mut parks = batch(0, 3, vec![Changes::new()]);
    let first = headwater::projection::ParkedEvent {
        offset: Offset(3),
        sequence: Sequence(4),
        version: Version(2),
        reason: "it fails".to_owned(),
        at: headwater::clock::Timestamp(0),
    };
    parks.park(source(0), "a", Offset(3), Some(first));
    assert_eq!(database.views.store().apply(&parks).await.expect("it answers"), Applied::Done);
    let answer = database.views.ask(all(), &[], Duration::ZERO).await.expect("an answer");
    assert_eq!(answer.flags.parked, 1);
}

async fn a_query_waits_for_a_position(database: Database) {
    filled(&database).await;
    // Another connection writes, as another process would.
    let writer = database.again().await;
    let view = database.views.clone();
    let waiting = tokio::spawn(async move { view.ask(all(), &[position(4)], Duration::from_mins(1)).await });
    let late = batch(0, 3, vec![Changes::new()]);
    assert_eq!(writer.store().apply(&late).await.expect("it answers"), Applied::Done);
    let answer = waiting.await.expect("no panic").expect("it came");
    assert_eq!(answer.positions[0], position(4));
}

async fn a_query_gives_up_in_time(database: Database) {
    filled(&database).await;
    let error = database.views.ask(all(), &[position(4)], Duration::from_millis(30)).await.expect_err("too early");
    assert!(matches!(error, QueryError::NotYet { view: "shelves", reached: Sequence(3), .. }), "{error}");
    assert!(error.is_temporary());
}

async fn a_foreign_position_is_bad_input(database: Database) {
    filled(&database).await;
    for foreign in ["account/0:1", "shelf/7:1"] {
        let foreign: Position = foreign.parse().expect("a position");
        let error = database.views.ask(all(), &[foreign], Duration::from_mins(1)).await.expect_err("foreign");
        assert!(matches!(error, QueryError::Foreign { .. }) && error.is_bad_input(), "{error}");
    }
}

async fn a_replaying_view_does_not_answer(database: Database) {
    filled(&database).await;
    let at = stored(&database.views, 0).await;
    let to = Move { source: at.source, epoch: at.epoch, next_offset: Offset(0), sequence: Sequence(0) };
    let reset = Reset { generation: Generation::FIRST, empty: true, moves: vec![to] };
    assert_eq!(database.views.store().reset(&shape(), &reset).await.expect("it answers"), Applied::Done);
    let error = database.views.ask(all(), &[], Duration::ZERO).await.expect_err("replaying");
    assert!(matches!(error, QueryError::Replaying { at: 0, to: 3, .. }), "{error}");
    assert!(error.is_temporary());

    let mut back = batch(0, 0, vec![Changes::new(), Changes::new(), Changes::new()]);
    let advance = crate::sample::onward(&stored(&database.views, 0).await, 3);
    back.advance(source(0), advance);
    assert_eq!(database.views.store().apply(&back).await.expect("it answers"), Applied::Done);
    database.views.ask(all(), &[], Duration::ZERO).await.expect("it is back where it was");
}

#[derive(Debug, Deserialize)]
struct Raw {
    sql: String,
}

impl Query for Raw {
    const NAME: &'static str = "Raw";
    type Answer = i64;
    type Reads = Shelves;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<i64>, QueryError> {
        let all: Vec<std::collections::BTreeMap<String, serde_json::Value>> = rows.all(&self.sql, ()).await?;
        Ok(Some(i64::try_from(all.len()).expect("few")))
    }
}

async fn raw(database: &Database, sql: &str) -> Result<Option<i64>, QueryError> {
    let raw = Raw { sql: sql.to_owned() };
    database.views.ask(raw, &[], Duration::ZERO).await.map(|answer| answer.answer)
}

async fn a_query_cannot_write(database: Database) {
    filled(&database).await;
    for sql in ["DELETE FROM books", "UPDATE shelves__rows SET books = 1", "DROP TABLE books"] {
        raw(&database, sql).await.expect_err(sql);
    }
    assert_eq!(raw(&database, "SELECT * FROM shelves WHERE books = 1").await.expect("an answer"), Some(0));
}

async fn a_mistake_in_sql_is_told_with_the_statement(database: Database) {
    filled(&database).await;
    let error = raw(&database, "SELECT colour FROM shelves").await.expect_err("no such column");
    assert!(error.to_string().contains("colour") && error.to_string().contains("in: SELECT"), "{error}");
    assert!(!error.is_temporary() && !error.is_bad_input());
    let error = raw(&database, "SELECT * FROM shelves WHERE books = ?").await.expect_err("nothing was given");
    assert!(error.to_string().contains("has 1 parameters"), "{error}");
    assert_eq!(raw(&database, "SELECT * FROM shelves").await.expect("the connection is as good as before"), Some(3));
}

async fn more_rows_than_fit_are_refused(database: Database) {
    filled(&database).await;
    let many = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100001) SELECT n FROM n";
    let error = raw(&database, many).await.expect_err("too many");
    assert!(matches!(error, QueryError::TooMany { .. }), "{error}");
}

async fn a_runaway_statement_is_cut_off(database: Database) {
    filled(&database).await;
    let endless = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n";
    let store = database.views.store();
    let mut reading = store.read(&[shape()], Duration::from_mins(1)).await.expect("it answers");
    let cut_off = Rows::new(&mut *reading).value::<i64>(endless, ()).await.expect_err("it has no end");
    assert!(cut_off.is_temporary(), "{cut_off}");
    drop(reading);
    assert_eq!(raw(&database, "SELECT * FROM shelves").await.expect("the connection is as good as before"), Some(3));
}
