//! The view: everything that ever happened under a key.

use std::marker::PhantomData;

use crate::event::Recorded;
use crate::projection::{Changes, ColumnType, Projection, Table, Tables};

use super::entity::Entity;
use super::series::{Series, SeriesEvent};

/// Folds what happens to entity `E` into the table `records`, one row for each version of a key.
///
/// Each row says how many records count with it, so that what counts at any version, or was there at any
/// time, is told by one row. A deletion is a row without a record, with which none count.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordsView<E>(PhantomData<fn() -> E>);

impl<E: Entity> Projection for RecordsView<E> {
    const NAME: &'static str = E::NAME;
    type Source = Series<E>;

    fn tables() -> Tables {
        let records = Table::once("records")
            .key("key", ColumnType::Text)
            .key("version", ColumnType::Integer)
            .column("time", ColumnType::Timestamp)
            .column("counted", ColumnType::Integer)
            .column("record", ColumnType::Text)
            .index(&["key", "time", "version"]);
        Tables::new().with(records)
    }

    fn project(&self, event: &Recorded<SeriesEvent>, rows: &mut Changes) {
        let (record, count) = match &event.data {
            SeriesEvent::Saved(saved) => (Some(saved.record.as_str()), saved.count),
            SeriesEvent::Deleted(_) => (None, 0),
        };
        rows.once("records", (("key", &event.aggregate_id), ("version", event.version)))
            .set("time", event.occurred_at)
            .set("counted", count)
            .set("record", record);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{FoldedView, history, triple_shuffle};
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::super::fixtures::{Reading, deleted, saved};
    use super::*;

    const VIEW: RecordsView<Reading> = RecordsView(PhantomData);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        version: i64,
        counted: i64,
        record: Option<String>,
    }

    fn under(key: &str, events: impl IntoIterator<Item = SeriesEvent>) -> Vec<Recorded<SeriesEvent>> {
        history::<Series<Reading>>(key, events)
    }

    #[test]
    fn every_record_and_every_deletion_is_a_row() {
        let events = under("a", [saved(1.0, 1), saved(2.0, 2), deleted(), saved(3.0, 1)]);
        let rows = FoldedView::of(&VIEW, &events).all::<Row>("records");
        let shown: Vec<_> = rows.iter().map(|row| (row.version, row.counted, row.record.is_some())).collect();
        assert_eq!(shown, [(1, 1, true), (2, 2, true), (3, 0, false), (4, 1, true)]);
    }

    fn life() -> impl Strategy<Value = Vec<SeriesEvent>> {
        proptest::collection::vec(any::<Option<u8>>(), 0..20).prop_map(|steps| {
            let mut count = 0;
            let step = |step: Option<u8>| {
                count = if step.is_some() { count + 1 } else { 0 };
                step.map_or_else(deleted, |celsius| saved(celsius.into(), count))
            };
            steps.into_iter().map(step).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_view_does_not_depend_on_order_or_repeats(one in life(), other in life(), seed: u64) {
            let mut events = under("a", one);
            events.extend(under("b", other));
            triple_shuffle(&VIEW, &events, seed);
        }
    }
}
