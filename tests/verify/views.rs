//! A view that is not the fold of its events is found, down to the column.

use std::sync::Arc;

use headwater::event::Recorded;
use headwater::position::{Offset, Partition, Sequence, Version};
use headwater::projection::{
    Advance, Batch, Changes, ColumnType, Epoch, ParkedEvent, Projection, Shape, SourcePartition, Table, Tables, Views,
    shape_of,
};
use headwater::verify::{self, Database, Findings, Report, Rule, ViewCounts};

use crate::story::{World, a, b, healthy, noon};
use crate::tally::{Added, Event, Tally};

struct Tallies;

impl Projection for Tallies {
    const NAME: &'static str = "tallies";
    type Source = Tally;

    fn tables() -> Tables {
        let tallies = Table::rows("tallies").key("id", ColumnType::Text).versioned("total", ColumnType::Integer);
        let added = Table::once("added").key("id", ColumnType::Text).key("version", ColumnType::Integer);
        let sums = Table::sums("sums").key("ledger", ColumnType::Integer).sum("amount");
        Tables::new().with(tallies.complete_to()).with(added.column("amount", ColumnType::Integer)).with(sums)
    }

    fn project(&self, event: &Recorded<Event>, rows: &mut Changes) {
        let id = &event.aggregate_id;
        let row = rows.at("tallies", ("id", id)).seen(event.version);
        if let Event::Added(Added { amount, total }) = &event.data {
            row.set_versioned("total", *total, event.version);
            let added = rows.once("added", (("id", id), ("version", event.version)));
            added.set("amount", *amount).add("sums", ("ledger", 1), "amount", *amount);
        }
    }
}

/// The healthy story's view, on SQLite, folded by hand.
struct Viewed {
    world: World,
    runtime: tokio::runtime::Runtime,
    views: Views,
    shape: Arc<Shape>,
    batch: Batch,
    _folder: tempfile::TempDir,
}

const SOURCE: SourcePartition = SourcePartition { aggregate: "tally", partition: Partition(0) };

impl Viewed {
    fn new() -> Self {
        let world = World::new();
        let story = healthy(&world);
        world.write(&story);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let address = format!("sqlite:{}", folder.path().display());
        let views = runtime.block_on(Views::connect(&address, "test")).expect("connected");
        let shape = Arc::new(shape_of::<Tallies>().expect("a shape"));
        let other = SourcePartition { partition: Partition(1), ..SOURCE };
        runtime.block_on(views.store().open(&shape, &[SOURCE, other])).expect("opened");
        let mut batch = Batch::new(&shape);
        for (offset, (id, head, data)) in (0..).zip(story.events) {
            let mut changes = Changes::new();
            let event = Recorded {
                aggregate: "tally",
                aggregate_id: id,
                id: head.id,
                version: head.version,
                partition: Partition(0),
                sequence: head.sequence,
                offset: Offset(offset),
                occurred_at: head.occurred_at,
                causation_id: head.causation_id,
                correlation_id: head.correlation_id,
                data,
            };
            Tallies.project(&event, &mut changes);
            batch.absorb(SOURCE, changes).expect("absorbed");
        }
        Self { world, runtime, views, shape, batch, _folder: folder }
    }

    /// One more change that no event leads to.
    fn plant(&mut self, change: impl FnOnce(&mut Changes)) {
        let mut changes = Changes::new();
        change(&mut changes);
        self.batch.absorb(SOURCE, changes).expect("absorbed");
    }

    /// Writes the rows, with these offsets, and audits them.
    fn audited(mut self, next: i64, sequence: i64) -> (Report, ViewCounts) {
        let advance =
            Advance { expected: Offset(0), next: Offset(next), sequence: Sequence(sequence), epoch: Epoch(0) };
        self.batch.advance(SOURCE, advance);
        self.runtime.block_on(self.views.store().apply(&self.batch)).expect("applied");
        let mut findings = Findings::default();
        let registry = self.world.registry();
        let log = self.world.log();
        let on = Database { log: &log, views: &self.views, runtime: self.runtime.handle(), registry: &registry };
        let counts = verify::view(&self.world.scope(), &on, &Tallies, &mut findings).expect("audited");
        (Report::new(findings, Vec::new(), Vec::new(), vec![counts.clone()], Vec::new()), counts)
    }
}

#[track_caller]
fn finds(report: &Report, place: &str, words: &str) {
    let found = report
        .violations
        .iter()
        .any(|it| it.rule == Rule::Views && it.place.to_string() == place && it.what.contains(words));
    assert!(found && !report.ok, "not found among {:#?}", report.violations);
}

#[test]
fn a_view_that_is_the_fold_of_its_events_is_sound_and_its_rows_are_counted() {
    let (report, counts) = Viewed::new().audited(6, 6);
    assert!(report.ok, "{:#?}", report.violations);
    // Two tallies, five additions, one sum.
    assert_eq!((counts.events, counts.rows, counts.parked, counts.partial), (6, 8, 0, false));
}

#[test]
fn a_view_that_nobody_has_made_is_sound() {
    let viewed = Viewed::new();
    let folder = tempfile::tempdir().expect("a folder");
    let address = format!("sqlite:{}", folder.path().display());
    let views = viewed.runtime.block_on(Views::connect(&address, "test")).expect("connected");
    let mut findings = Findings::default();
    let registry = viewed.world.registry();
    let log = viewed.world.log();
    let on = Database { log: &log, views: &views, runtime: viewed.runtime.handle(), registry: &registry };
    let counts = verify::view(&viewed.world.scope(), &on, &Tallies, &mut findings);
    assert_eq!((counts.expect("audited").rows, findings.violations().len()), (0, 0));
}

#[test]
fn a_column_that_is_different_is_found() {
    let mut viewed = Viewed::new();
    viewed.plant(|rows| {
        rows.at("tallies", ("id", a())).set_versioned("total", 99, Version(9));
    });
    let (report, _) = viewed.audited(6, 6);
    let place = format!("view tallies, table tallies, row id {:?}", a());
    finds(&report, &place, "total is 99, and its events make it 12");
}

#[test]
fn a_row_too_many_and_a_sum_that_it_led_to_are_found() {
    let mut viewed = Viewed::new();
    viewed.plant(|rows| {
        let added = rows.once("added", (("id", b()), ("version", 77)));
        added.set("amount", 5).add("sums", ("ledger", 1), "amount", 5);
    });
    let (report, _) = viewed.audited(6, 6);
    let place = format!("view tallies, table added, row id {:?}, version 77", b());
    finds(&report, &place, "no event leads to it");
    finds(&report, "view tallies, table sums, row ledger 1", "amount is 25, and its events make it 20");
}

#[test]
fn a_row_that_is_missing_is_found() {
    let mut viewed = Viewed::new();
    viewed.plant(|rows| {
        rows.at("tallies", ("id", b())).delete(Version(9));
    });
    let (report, _) = viewed.audited(6, 6);
    finds(&report, &format!("view tallies, table tallies, row id {:?}", b()), "the row is missing");
}

#[test]
fn offsets_that_say_less_or_more_than_the_rows_hold_are_found() {
    let (report, _) = Viewed::new().audited(5, 5);
    finds(&report, &format!("view tallies, table added, row id {:?}, version 2", b()), "no event leads to it");
    let (report, _) = Viewed::new().audited(6, 7);
    finds(&report, "view tallies", "end at sequence 7; they end at 6");
}

#[test]
fn events_of_a_parked_aggregate_are_not_missed_and_it_is_said_that_it_stands_still() {
    let mut viewed = Viewed::new();
    let parked_at = 3;
    let story = healthy(&viewed.world);
    let mut batch = Batch::new(&viewed.shape);
    for (offset, (id, head, data)) in (0..).zip(story.events) {
        if id == a() && offset >= parked_at {
            let first = ParkedEvent {
                offset: Offset(offset),
                sequence: head.sequence,
                version: head.version,
                reason: "it fails".to_owned(),
                at: noon(),
            };
            batch.park(SOURCE, &id, Offset(offset), (offset == parked_at).then_some(first));
            continue;
        }
        let mut changes = Changes::new();
        let row = changes.at("tallies", ("id", &id)).seen(head.version);
        if let Event::Added(Added { amount, total }) = data {
            row.set_versioned("total", total, head.version);
            let added = changes.once("added", (("id", &id), ("version", head.version)));
            added.set("amount", amount).add("sums", ("ledger", 1), "amount", amount);
        }
        batch.absorb(SOURCE, changes).expect("absorbed");
    }
    viewed.batch = batch;
    let (report, counts) = viewed.audited(6, 6);
    assert!(report.ok, "{:#?}", report.violations);
    assert_eq!(counts.parked, 1);
}
