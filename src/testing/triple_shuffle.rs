//! The proof of a projection: all its events, in any order, three times, give the same tables.
//!
//! What passes it depends neither on the order in which partitions are folded nor on repeats, so it may
//! be rebuilt by many workers side by side, and replayed onto itself.

use super::folded::FoldedView;
use crate::event::Recorded;
use crate::projection::{Events, Projection, TableContents};

const ROUNDS: usize = 16;

/// Folds the events once in order, then each of them three times in shuffled orders that follow from
/// `seed`, and compares what queries would see.
///
/// # Panics
/// If any order gives other tables; says which row differs, and how.
#[track_caller]
pub fn triple_shuffle<P: Projection>(projection: &P, events: &[Recorded<Events<P>>], seed: u64) {
    let expected = FoldedView::of(projection, events).contents();
    let mut dice = Dice(seed);
    let mut order: Vec<Recorded<Events<P>>> = events.iter().flat_map(|event| vec![event.clone(); 3]).collect();
    for round in 0..ROUNDS {
        dice.shuffle(&mut order);
        let shuffled = FoldedView::of(projection, &order).contents();
        for (table, expected) in &expected {
            if let Some(difference) = difference(expected, &shuffled[table]) {
                let name = P::NAME;
                panic!(
                    "projection {name}, table {table}: it depends on the order of events, or on how often they come \
                     (seed {seed}, round {round})\n{difference}"
                );
            }
        }
    }
}

fn difference(expected: &TableContents, found: &TableContents) -> Option<String> {
    let keys = expected.keys().chain(found.keys());
    let key = keys.into_iter().find(|key| expected.get(*key) != found.get(*key))?;
    let show = |row: Option<&Vec<_>>| row.map_or_else(|| "no row".to_owned(), |row| format!("{row:?}"));
    let name: Vec<String> = key.iter().map(ToString::to_string).collect();
    let (once, shuffled) = (show(expected.get(key)), show(found.get(key)));
    Some(format!("row {}\n  in order: {once}\n  shuffled: {shuffled}", name.join(", ")))
}

/// Splitmix64: small, and the same on every machine. Source: Steele, Lea, Flood, "Fast Splittable
/// Pseudorandom Number Generators", 2014.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut roll = self.0;
        roll = (roll ^ (roll >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        roll = (roll ^ (roll >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let sides = u64::try_from(sides).unwrap_or(u64::MAX).max(1);
        usize::try_from((roll ^ (roll >> 31)) % sides).unwrap_or(0)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.roll(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::aggregate::{Aggregate, Context, Decision, EventContext};
    use crate::clock::Timestamp;
    use crate::projection::{Changes, ColumnType, Key, Table, Tables, Value};
    use crate::schema::{Message, MessageSchema};
    use crate::testing::history;

    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    struct Door {}

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    enum DoorEvent {
        Built { width: i64 },
        Passed,
        Closed,
        Removed,
    }

    impl Message for Door {
        const SCHEMAS: &'static [MessageSchema] = &[];
    }

    impl Message for DoorEvent {
        const SCHEMAS: &'static [MessageSchema] = &[];
    }

    impl Aggregate for Door {
        const NAME: &'static str = "door";
        type Id = String;
        type Command = DoorEvent;
        type Event = DoorEvent;
        type Refusal = Infallible;

        fn decide(&self, command: DoorEvent, _: &Context<'_>) -> Result<Decision<DoorEvent>, Infallible> {
            Ok(Decision::event(command))
        }

        fn evolve(&mut self, _: &DoorEvent, _: &EventContext<'_>) {}
    }

    /// `honest`, or with the mistake of that name.
    struct Doors(&'static str);

    impl Projection for Doors {
        const NAME: &'static str = "doors";
        type Source = Door;

        fn tables() -> Tables {
            let doors = Table::rows("doors")
                .key("door_id", ColumnType::Text)
                .column("width", ColumnType::Integer)
                .versioned("open", ColumnType::Boolean)
                .complete_to();
            let passages = Table::once("passages").key("door_id", ColumnType::Text).key("version", ColumnType::Integer);
            let traffic = Table::sums("traffic").key("house", ColumnType::Integer).sum("passages");
            Tables::new().with(doors).with(passages).with(traffic)
        }

        fn project(&self, event: &Recorded<DoorEvent>, rows: &mut Changes) {
            let id = &event.aggregate_id;
            let door = rows.at("doors", ("door_id", id)).seen(event.version);
            match event.data {
                DoorEvent::Built { width } => {
                    door.set("width", width).set_versioned("open", true, event.version);
                }
                DoorEvent::Closed if self.0 == "a fact that changes" => {
                    door.set("width", event.version);
                }
                DoorEvent::Closed => {
                    door.set_versioned("open", false, event.version);
                }
                DoorEvent::Removed => {
                    door.delete(event.version);
                }
                DoorEvent::Passed if self.0 == "counts repeats" => {
                    rows.add("traffic", ("house", 1), "passages", 1);
                }
                DoorEvent::Passed => {
                    let passage = rows.once("passages", (("door_id", id), ("version", event.version)));
                    passage.add("traffic", ("house", 1), "passages", 1);
                }
            }
        }
    }

    fn events() -> Vec<Recorded<DoorEvent>> {
        use DoorEvent::{Built, Closed, Passed, Removed};
        let mut events = history::<Door>("front", [Built { width: 90 }, Passed, Closed, Passed]);
        events.extend(history::<Door>("back", [Built { width: 80 }, Closed, Removed]));
        events
    }

    #[test]
    fn an_honest_projection_passes_and_shows_its_rows() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row {
            door_id: String,
            width: i64,
            open: bool,
            complete_to: i64,
        }
        triple_shuffle(&Doors("honest"), &events(), 7);
        let view = FoldedView::of(&Doors("honest"), &events());
        let front = Row { door_id: "front".to_owned(), width: 90, open: false, complete_to: 4 };
        assert_eq!(view.get::<Row>("doors", ("door_id", "front")), Some(front));
        assert_eq!(view.get::<Row>("doors", ("door_id", "back")), None, "it was removed");
        assert_eq!(view.all::<std::collections::BTreeMap<String, i64>>("traffic")[0]["passages"], 2);
    }

    /// Every kind of column in every place where it may stand.
    struct Kinds;

    impl Projection for Kinds {
        const NAME: &'static str = "kinds";
        type Source = Door;

        fn tables() -> Tables {
            let kinds = [ColumnType::Text, ColumnType::Integer, ColumnType::Boolean, ColumnType::Timestamp];
            let keyed = |mut table: Table| {
                for (name, kind) in ["text", "number", "truth", "moment"].into_iter().zip(kinds) {
                    table = table.key(name, kind);
                }
                table
            };
            let mut rows = keyed(Table::rows("all_rows")).complete_to();
            let mut once = keyed(Table::once("all_once"));
            for (place, kind) in kinds.into_iter().chain([ColumnType::Json]).enumerate() {
                rows = rows.column(FACTS[place], kind).versioned(VERSIONED[place], kind);
                once = once.column(FACTS[place], kind);
            }
            Tables::new().with(rows).with(once).with(keyed(Table::sums("all_sums")).sum("events").sum("widths"))
        }

        fn project(&self, event: &Recorded<DoorEvent>, rows: &mut Changes) {
            let id = event.aggregate_id.as_str();
            let key = Key(vec![
                ("text", id.into()),
                ("number", 7_i64.into()),
                ("truth", true.into()),
                ("moment", Timestamp(9).into()),
            ]);
            let of = |number: i64| -> [Value; 5] {
                let json = serde_json::json!({"door": id, "numbers": [number, null]});
                [
                    format!("{id} {number}").into(),
                    number.into(),
                    (number % 2 == 0).into(),
                    Timestamp(number).into(),
                    json.into(),
                ]
            };
            let row = rows.at("all_rows", key.clone()).seen(event.version);
            for (place, value) in of(event.version.0).into_iter().enumerate() {
                row.set_versioned(VERSIONED[place], value, event.version);
            }
            if let DoorEvent::Built { width } = event.data {
                for (place, value) in of(width).into_iter().enumerate() {
                    row.set(FACTS[place], value);
                }
            }
            match event.data {
                DoorEvent::Removed => row.delete(event.version),
                DoorEvent::Passed => row.restore(event.version),
                _ => row,
            };
            let mut once_key = key.clone();
            once_key.0[1].1 = event.version.into();
            let once = rows.once("all_once", once_key);
            for (place, value) in of(event.version.0).into_iter().enumerate() {
                once.set(FACTS[place], value);
            }
            once.add("all_sums", key.clone(), "events", 1).add("all_sums", key, "widths", event.version.0);
        }
    }

    const FACTS: [&str; 5] = ["fact_text", "fact_number", "fact_truth", "fact_moment", "fact_json"];
    const VERSIONED: [&str; 5] = ["last_text", "last_number", "last_truth", "last_moment", "last_json"];

    #[test]
    fn every_kind_of_column_passes_in_every_place() {
        use DoorEvent::{Built, Closed, Passed, Removed};
        let mut all = events();
        all.extend(history::<Door>("side", [Built { width: 70 }, Removed, Passed, Closed, Removed, Passed]));
        for seed in 0..8 {
            triple_shuffle(&Kinds, &all, seed);
        }
        let view = FoldedView::of(&Kinds, &all);
        let rows = view.all::<std::collections::BTreeMap<String, serde_json::Value>>("all_rows");
        let side = rows.iter().find(|row| row["text"] == "side").expect("it was restored");
        assert_eq!((&side["last_number"], &side["fact_number"]), (&6.into(), &70.into()));
        assert_eq!(side["last_json"], r#"{"door":"side","numbers":[6,null]}"#);
        assert_eq!((&side["last_truth"], &side["fact_moment"]), (&true.into(), &70.into()));
        let sums = view.all::<std::collections::BTreeMap<String, serde_json::Value>>("all_sums");
        assert_eq!(sums.len(), 3);
        assert!(sums.iter().any(|row| row["text"] == "side" && row["events"] == 6 && row["widths"] == 21), "{sums:?}");
    }

    #[test]
    #[should_panic(expected = "table traffic: it depends on the order of events, or on how often they come")]
    fn a_projection_that_counts_repeats_is_caught() {
        triple_shuffle(&Doors("counts repeats"), &events(), 7);
    }

    #[test]
    #[should_panic(expected = "table doors: it depends on the order of events")]
    fn a_fact_that_changes_is_caught() {
        triple_shuffle(&Doors("a fact that changes"), &events(), 7);
    }
}
