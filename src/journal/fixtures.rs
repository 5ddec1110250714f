//! What the tests speak of: readings, and what happens to them.

use serde_json::json;

use super::entity::{Entity, Field, FieldType};
use super::record::Record;
use super::series::{Deleted, Saved, SeriesEvent};

/// A temperature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading;

impl Entity for Reading {
    const NAME: &'static str = "reading";
    const FIELDS: &'static [Field] =
        &[Field::required("celsius", FieldType::Number), Field::optional("sensor", FieldType::Text)];
}

pub fn record(celsius: f64) -> Record<Reading> {
    Record::of(&json!({ "celsius": celsius })).expect("a record")
}

pub fn saved(celsius: f64, count: i64) -> SeriesEvent {
    Saved { record: record(celsius).text().to_owned(), count }.into()
}

pub fn deleted() -> SeriesEvent {
    Deleted {}.into()
}
