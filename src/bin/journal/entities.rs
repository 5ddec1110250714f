//! What this journal keeps.

use headwater::journal::{Entity, Field, FieldType};

/// What a weather station measures, kept under the station's name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading;

impl Entity for Reading {
    const NAME: &'static str = "reading";
    const FIELDS: &'static [Field] = &[
        Field::required("sensor", FieldType::Text),
        Field::required("celsius", FieldType::Number),
        Field::required("measured_at", FieldType::Time),
        Field::optional("humidity", FieldType::Integer),
        Field::optional("calibrated", FieldType::Boolean),
    ];
}

/// What a share is bought and sold for, kept under its symbol. Prices are exact: in minor units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quote;

impl Entity for Quote {
    const NAME: &'static str = "quote";
    const FIELDS: &'static [Field] = &[
        Field::required("bid", FieldType::Integer),
        Field::required("ask", FieldType::Integer),
        Field::required("currency", FieldType::Text),
        Field::optional("volume", FieldType::Integer),
    ];
}
