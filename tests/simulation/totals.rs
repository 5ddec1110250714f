//! A view of tallies with every kind of table: rows that change, rows written once, sums.

use headwater::Recorded;
use headwater::position::Version;
use headwater::projection::{Changes, ColumnType, Projection, Table, Tables};

use crate::tally::{Added, Event, Passed, Tally};

/// The event of the tally `t7` that cannot be folded.
const UNREADABLE: Version = Version(4);

pub struct Totals;

impl Projection for Totals {
    const NAME: &'static str = "totals";
    type Source = Tally;

    fn tables() -> Tables {
        let tallies = Table::rows("tallies").key("id", ColumnType::Text).versioned("total", ColumnType::Integer);
        let entries = Table::once("entries").key("id", ColumnType::Text).key("version", ColumnType::Integer);
        let sums = Table::sums("sums").key("parity", ColumnType::Boolean).sum("added").sum("events").sum("tallies");
        let openings = Table::once("openings").key("id", ColumnType::Text);
        let tables = Tables::new().with(openings);
        tables.with(tallies.complete_to()).with(entries.column("amount", ColumnType::Integer)).with(sums)
    }

    fn project(&self, event: &Recorded<Event>, rows: &mut Changes) {
        let (id, version) = (event.aggregate_id.as_str(), event.version);
        if id == "t7" && version == UNREADABLE {
            // A mistake in its code: the tally is parked.
            rows.at("nowhere", ("id", id)).seen(version);
        }
        rows.once("openings", ("id", id)).add("sums", ("parity", false), "tallies", 1);
        let amount = match &event.data {
            Event::Added(Added { amount, total }) => {
                rows.at("tallies", ("id", id)).set_versioned("total", *total, version);
                *amount
            }
            Event::Passed(Passed { amount }) => *amount,
        };
        rows.at("tallies", ("id", id)).seen(version);
        let entry = rows.once("entries", (("id", id), ("version", version)));
        entry.set("amount", amount).add("sums", ("parity", amount % 2 == 0), "added", amount);
        rows.add("sums", ("parity", amount % 2 == 0), "events", 1);
    }
}
