//! What a journal keeps: an entity, its fields, and what a record of it must look like.

use std::fmt::Debug;

use crate::clock::Timestamp;
use serde_json::{Map, Value};

/// The column of a data frame that holds the key's version.
pub const VERSION: &str = "version";
/// The column that says when the record was saved.
pub const TIME: &str = "time";
/// The column for what is in a record besides the fields of its entity, as JSON.
pub const OTHER: &str = "other";

/// A kind of record, with the fields that every record of it has.
///
/// ```ignore
/// #[derive(Clone, Debug, Default, PartialEq)]
/// struct Reading;
///
/// impl Entity for Reading {
///     const NAME: &'static str = "reading";
///     const FIELDS: &'static [Field] =
///         &[Field::required("celsius", FieldType::Number), Field::optional("note", FieldType::Text)];
/// }
/// ```
pub trait Entity: Clone + Debug + Default + PartialEq + Send + Sync + 'static {
    /// The name, in topics and paths: lower case letters, digits and `_`.
    const NAME: &'static str;
    /// Its fields. A record may have others as well, of which nothing is asked.
    const FIELDS: &'static [Field];
}

/// A field of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldType,
    /// Whether a record without it is refused.
    pub required: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Text.
    Text,
    /// A whole number of 64 bits, signed.
    Integer,
    /// A number with a fraction.
    Number,
    /// Yes or no.
    Boolean,
    /// A moment, as RFC 3339 text.
    Time,
}

impl Field {
    /// A field that every record has.
    pub const fn required(name: &'static str, kind: FieldType) -> Self {
        Self { name, kind, required: true }
    }

    /// A field that a record may have, or null.
    pub const fn optional(name: &'static str, kind: FieldType) -> Self {
        Self { name, kind, required: false }
    }
}

impl FieldType {
    /// The rule that a value of another type breaks.
    const fn rule(self) -> &'static str {
        match self {
            Self::Text => "must be text",
            Self::Integer => "must be a whole number of at most 64 bits",
            Self::Number => "must be a number",
            Self::Boolean => "must be true or false",
            Self::Time => "must be a time as RFC 3339, for example \"2026-01-31T12:00:00Z\"",
        }
    }

    pub(super) fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Integer => value.is_i64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Time => value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok()),
        }
    }
}

/// A record that is none of its entity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is no JSON, or no object.
    #[error("a record must be a JSON object: {0}")]
    NoObject(String),
    /// A field is missing or holds something else.
    #[error("{field}: {rule}")]
    Field {
        /// The field.
        field: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// Whether no field has the name of a column that every data frame has.
pub const fn names_are_free(fields: &[Field]) -> bool {
    const fn is(one: &str, other: &str) -> bool {
        let (one, other) = (one.as_bytes(), other.as_bytes());
        let mut place = 0;
        while place < one.len() && place < other.len() && one[place] == other[place] {
            place += 1;
        }
        place == one.len() && place == other.len()
    }
    let mut place = 0;
    while place < fields.len() {
        let name = fields[place].name;
        if is(name, VERSION) || is(name, TIME) || is(name, OTHER) {
            return false;
        }
        place += 1;
    }
    true
}

/// Holds an object to the fields of an entity; the first field that breaks a rule is named.
pub fn check(fields: &[Field], object: &Map<String, Value>) -> Result<(), RecordError> {
    for &Field { name, kind, required } in fields {
        let broken = |rule| Err(RecordError::Field { field: name, rule });
        match object.get(name) {
            None if required => return broken("is missing"),
            None | Some(Value::Null) if !required => {}
            Some(value) if kind.fits(value) => {}
            _ => return broken(kind.rule()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: &[Field] = &[
        Field::required("station", FieldType::Text),
        Field::required("celsius", FieldType::Number),
        Field::required("count", FieldType::Integer),
        Field::optional("valid", FieldType::Boolean),
        Field::optional("measured_at", FieldType::Time),
    ];

    fn checked(changed: &Value) -> Result<(), RecordError> {
        let mut record = json!({ "station": "north", "celsius": 1.5, "count": 3 });
        for (name, value) in changed.as_object().expect("an object") {
            record[name] = value.clone();
        }
        check(FIELDS, record.as_object().expect("an object"))
    }

    #[test]
    fn a_record_with_every_required_field_is_one_of_its_entity() {
        assert_eq!(checked(&json!({})), Ok(()));
        let more = json!({ "celsius": 2, "valid": null, "measured_at": "2026-01-31T12:00:00Z", "other": [1] });
        assert_eq!(checked(&more), Ok(()));
    }

    #[test]
    fn no_field_has_the_name_of_another_column() {
        assert!(names_are_free(FIELDS));
        for name in [VERSION, TIME, OTHER] {
            assert!(!names_are_free(&[FIELDS[0], Field::optional(name, FieldType::Text)]));
        }
    }

    #[test]
    fn a_missing_required_field_is_refused_by_name() {
        let record = json!({ "station": "north", "count": 3 });
        let refused = check(FIELDS, record.as_object().expect("an object"));
        assert_eq!(refused, Err(RecordError::Field { field: "celsius", rule: "is missing" }));
    }

    #[test]
    fn a_field_of_another_type_is_refused_by_name() {
        for (name, value) in [
            ("station", json!(1)),
            ("station", json!(null)),
            ("celsius", json!("1.5")),
            ("count", json!(1.5)),
            ("count", json!(u64::MAX)),
            ("valid", json!(1)),
            ("measured_at", json!("yesterday")),
            ("measured_at", json!(0)),
        ] {
            let error = checked(&json!({ name: value })).expect_err("it does not fit").to_string();
            assert!(error.starts_with(&format!("{name}: must be")), "{error}");
        }
    }
}
