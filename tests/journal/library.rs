//! The journal as library calls.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use headwater::clock::{Moment, Timestamp};
use headwater::journal::{Entity, Entry, Field, FieldType, Journal, JournalError, RecordsView, Series};
use headwater::settings::{LogSetting, Settings};
use headwater::{App, Connected};
use serde_json::{Value, json};
use tempfile::TempDir;

#[derive(Clone, Debug, Default, PartialEq)]
struct Reading;

impl Entity for Reading {
    const NAME: &'static str = "reading";
    const FIELDS: &'static [Field] =
        &[Field::required("celsius", FieldType::Number), Field::optional("note", FieldType::Text)];
}

struct Weather {
    app: Connected,
    readings: Journal<Reading>,
    folder: TempDir,
}

impl Weather {
    async fn open() -> Self {
        Self::open_in(tempfile::tempdir().expect("a folder")).await
    }

    async fn open_in(folder: TempDir) -> Self {
        let settings = Settings { log: LogSetting::Embedded(folder.path().to_owned()), ..Settings::default() };
        let app = App::new("weather").aggregate::<Series<Reading>>().projection(RecordsView::<Reading>::default());
        let app = app.connect(settings).await.expect("connected");
        Self { readings: Journal::new(app.calls().clone()), app, folder }
    }

    /// Ends, and begins again with what is on disk.
    async fn open_again(self) -> Self {
        let Self { app, readings, folder } = self;
        drop(readings);
        app.close().await.expect("closed");
        Self::open_in(folder).await
    }

    async fn save(&self, key: &str, celsius: f64) -> i64 {
        self.readings.save(key, &json!({ "celsius": celsius })).await.expect("saved").version
    }

    async fn last(&self, key: &str) -> Option<f64> {
        self.readings.last(key).await.expect("read").as_ref().map(celsius)
    }

    async fn many(&self, key: &str, limit: usize) -> Vec<f64> {
        self.readings.many(key, limit).await.expect("read").iter().map(celsius).collect()
    }

    async fn count(&self, key: &str) -> i64 {
        self.readings.count(key).await.expect("read")
    }

    async fn at(&self, key: &str, time: Timestamp) -> Option<f64> {
        self.readings.at(key, Moment(time)).await.expect("read").as_ref().map(celsius)
    }

    async fn time_of(&self, key: &str) -> Timestamp {
        self.readings.last(key).await.expect("read").expect("a record").time.0
    }
}

fn celsius(entry: &Entry) -> f64 {
    let record: Value = serde_json::from_str(entry.record.get()).expect("JSON");
    record["celsius"].as_f64().expect("a number")
}

#[tokio::test]
async fn what_was_saved_is_read_at_once_the_newest_first() {
    let weather = Weather::open().await;
    for number in 1..=5 {
        assert_eq!(weather.save("north", f64::from(number)).await, i64::from(number));
        assert_eq!(weather.last("north").await, Some(f64::from(number)));
    }
    assert_eq!(weather.many("north", 3).await, [5.0, 4.0, 3.0]);
    assert_eq!(weather.many("north", 100).await, [5.0, 4.0, 3.0, 2.0, 1.0]);
    assert_eq!(weather.count("north").await, 5);
    assert_eq!((weather.last("south").await, weather.count("south").await), (None, 0));
}

#[tokio::test]
async fn all_records_of_a_save_are_saved_or_none() {
    let weather = Weather::open().await;
    let records = [1.0, 2.0, 3.0].map(|celsius| json!({ "celsius": celsius }));
    let receipt = weather.readings.save_many("north", &records).await.expect("saved");
    assert_eq!((receipt.version, weather.many("north", 9).await), (3, vec![3.0, 2.0, 1.0]));

    let records = [json!({ "celsius": 4.0 }), json!({ "note": "no thermometer" })];
    let refused = weather.readings.save_many("north", &records).await.expect_err("the second one has no celsius");
    assert_eq!(refused.to_string(), "record 2: celsius: is missing");
    assert_eq!(weather.count("north").await, 3);
    let none: &[Value] = &[];
    assert!(matches!(weather.readings.save_many("north", none).await, Err(JournalError::Records(_))));
}

#[tokio::test]
async fn a_missing_or_wrongly_typed_field_is_refused_by_name() {
    let weather = Weather::open().await;
    for (record, rule) in [
        (json!({}), "record 1: celsius: is missing"),
        (json!({ "celsius": null }), "record 1: celsius: must be a number"),
        (json!({ "celsius": "-3.5" }), "record 1: celsius: must be a number"),
        (json!({ "celsius": 1, "note": 7 }), "record 1: note: must be text"),
        (json!([1]), "record 1: a record must be a JSON object: it is none"),
    ] {
        assert_eq!(weather.readings.save("north", &record).await.expect_err("refused").to_string(), rule);
    }
    assert_eq!(weather.count("north").await, 0);
}

#[tokio::test]
async fn after_a_delete_nothing_is_there_and_a_later_save_starts_anew() {
    let weather = Weather::open().await;
    weather.save("north", 1.0).await;
    weather.save("north", 2.0).await;
    let before = weather.time_of("north").await;
    assert_eq!(weather.readings.delete("north").await.expect("deleted").version, 3);

    assert_eq!((weather.last("north").await, weather.count("north").await), (None, 0));
    assert_eq!(weather.many("north", 9).await, Vec::<f64>::new());
    assert_eq!(weather.at("north", before).await, Some(2.0), "before it, all is as it was");

    assert_eq!(weather.readings.delete("north").await.expect("accepted").version, 3, "there is nothing to delete");
    assert_eq!(weather.save("north", 3.0).await, 4);
    assert_eq!((weather.many("north", 9).await, weather.count("north").await), (vec![3.0], 1));
    assert_eq!(weather.at("north", before).await, Some(2.0));
}

#[tokio::test]
async fn at_a_time_is_what_was_the_newest_then_and_of_one_time_the_highest_version() {
    let weather = Weather::open().await;
    // All of one command have its time.
    let both = |one: f64, other: f64| [one, other].map(|celsius| json!({ "celsius": celsius }));
    weather.readings.save_many("north", &both(1.0, 2.0)).await.expect("saved");
    let first = weather.time_of("north").await;
    let mut second = first;
    // The log counts milliseconds.
    while second == first {
        weather.save("elsewhere", 0.0).await;
        weather.readings.save_many("north", &both(2.0, 3.0)).await.expect("saved");
        second = weather.time_of("north").await;
    }
    let micro = Duration::from_micros(1);
    assert_eq!(weather.at("north", first.minus(micro)).await, None);
    assert!([Some(2.0), Some(3.0)].contains(&weather.at("north", first).await), "never the first of two");
    assert_eq!(weather.at("north", second.minus(micro)).await, weather.at("north", first).await);
    assert_eq!(weather.at("north", second).await, Some(3.0));
    assert_eq!(weather.at("north", second.plus(Duration::from_hours(1))).await, Some(3.0));
}

#[tokio::test]
async fn many_reads_over_pages() {
    let weather = Weather::open().await;
    let record = |number: u32| json!({ "celsius": number });
    for part in [0..9_000, 9_000..18_000, 18_000..25_000] {
        let records: Vec<_> = part.map(record).collect();
        weather.readings.save_many("north", &records).await.expect("saved");
    }
    let read = weather.many("north", usize::MAX).await;
    assert_eq!(read, (0..25_000).rev().map(f64::from).collect::<Vec<_>>());
    assert_eq!(weather.many("north", 15_000).await, read[..15_000]);
}

#[tokio::test]
async fn records_saved_side_by_side_are_all_there() {
    let weather = Weather::open().await;
    let save = |number: u32| {
        let readings = weather.readings.clone();
        async move { readings.save(&format!("station-{}", number % 7), &json!({ "celsius": number })).await }
    };
    let under_way = stream::iter(0..700).map(save).buffer_unordered(100);
    let saved: Vec<_> = under_way.try_collect().await.expect("all are saved");
    assert_eq!(saved.len(), 700);
    for station in 0..7 {
        let mut numbers = weather.many(&format!("station-{station}"), 1000).await;
        numbers.sort_by(f64::total_cmp);
        assert_eq!(numbers, (0..100).map(|number| f64::from(7 * number + station)).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn after_a_restart_everything_is_there_at_once() {
    let weather = Weather::open().await;
    weather.save("north", 1.0).await;
    let weather = weather.open_again().await;
    assert_eq!((weather.last("north").await, weather.count("north").await), (Some(1.0), 1));
    assert_eq!(weather.save("north", 2.0).await, 2);
    weather.app.close().await.expect("closed");
}
