//! How many rows a second the databases take. Prints; run it with
//! `cargo test --release --test views throughput -- --ignored --nocapture --test-threads 1`.

use headwater::clock;
use headwater::position::Version;
use headwater::projection::{Applied, Batch, Changes};

use crate::database::{Database, run};
use crate::sample::{onward, shape, source, sources, stored};

const ROWS: i64 = 20_000;
const BATCHES: i64 = 20;

/// Versioned upserts, then rows written once that count, in batches of 20,000.
async fn measure(database: Database) {
    let store = database.views.store();
    store.open(&shape(), &sources(1)).await.expect("made");
    let upsert = |changes: &mut Changes, number: i64, version: i64| {
        let row = changes.at("shelves", ("shelf_id", format!("{:06}", number * 7919 % 100_000)));
        row.set_versioned("books", version, Version(version)).set_versioned("crowded", true, Version(version));
    };
    let once = |changes: &mut Changes, number: i64, version: i64| {
        let key = (("shelf_id", format!("{number:06}")), ("version", version));
        changes.once("books", key).set("pages", 5).add("totals", (("house", 1), ("new", true)), "pages", 5);
    };
    for (what, change) in [("versioned upserts", &upsert as &dyn Fn(&mut Changes, i64, i64)), ("rows once", &once)] {
        let mut took = std::time::Duration::ZERO;
        for round in 1..=BATCHES {
            let mut batch = Batch::new(&shape());
            for number in 0..ROWS {
                let mut changes = Changes::new();
                change(&mut changes, round * ROWS + number, round);
                batch.absorb(source(0), changes).expect("the changes fit");
            }
            batch.advance(source(0), onward(&stored(&database.views, 0).await, ROWS));
            let begun = clock::instant();
            assert_eq!(store.apply(&batch).await.expect("it answers"), Applied::Done);
            took += begun.elapsed();
        }
        let rows = f64::from(i32::try_from(ROWS * BATCHES).expect("few"));
        println!(
            "{}: {what}: {:.0} rows/s",
            database.address.split(':').next().unwrap_or(""),
            rows / took.as_secs_f64()
        );
    }
}

#[test]
#[ignore = "measures; it has no promise to keep"]
fn throughput_of_sqlite() {
    run(Database::sqlite(), measure);
}

#[test]
#[ignore = "measures; it has no promise to keep"]
fn throughput_of_postgres() {
    run(Database::postgres(), measure);
}
