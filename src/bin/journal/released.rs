//! What was once released stays readable: the bytes of every release are in `tests/data/released`.

use headwater::journal::{Delete, Deleted, Record, Save, Saved, Series, SeriesCommand};
use headwater::testing::Golden;
use serde_json::json;

use crate::entities::Reading;

fn golden() -> Golden {
    Golden::new("journal", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/released"))
}

fn reading(celsius: f64) -> Record<Reading> {
    let at = "2026-01-01T00:00:00Z";
    Record::of(&json!({"sensor": "a", "celsius": celsius, "measured_at": at, "note": "more"})).expect("a record")
}

#[test]
fn commands_to_a_key_stay_readable() {
    let many = vec![reading(-3.5), reading(4.0)].try_into().expect("some");
    let commands: [SeriesCommand<Reading>; 3] =
        [Save { records: reading(1.0).into() }.into(), Save { records: many }.into(), Delete {}.into()];
    golden().commands::<Series<Reading>>(&commands);
}

#[test]
fn events_of_a_key_stay_readable() {
    let saved = Saved { record: reading(1.0).text().to_owned(), count: 1 };
    golden().events::<Series<Reading>>(&[saved.into(), Deleted {}.into()]);
}
