//! Keys and records, valid from construction.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use super::entity::{self, Entity, RecordError};

/// What records are saved under: text of 1 to 200 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 1 to {most} characters, none of them a control character", most = Key::MOST)]
pub struct KeyError;

impl Key {
    const MOST: usize = 200;

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        let fits = (1..=Self::MOST).contains(&text.chars().count()) && !text.contains(char::is_control);
        if fits { Ok(Self(text)) } else { Err(KeyError) }
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record of entity `E`: a JSON object with the fields that `E` asks for, kept as its text.
#[derive(Clone, PartialEq)]
pub struct Record<E> {
    text: Box<str>,
    entity: PhantomData<fn() -> E>,
}

impl<E: Entity> Record<E> {
    /// The record that this object is.
    pub fn new(object: &Map<String, Value>) -> Result<Self, RecordError> {
        entity::check(E::FIELDS, object)?;
        let text = serde_json::to_string(object).map_err(|error| RecordError::NoObject(error.to_string()))?;
        Ok(Self { text: text.into(), entity: PhantomData })
    }

    /// The record that a value is: an object, or anything that is one in JSON.
    pub fn of(value: &impl Serialize) -> Result<Self, RecordError> {
        match serde_json::to_value(value) {
            Ok(Value::Object(object)) => Self::new(&object),
            Ok(_) => Err(RecordError::NoObject("it is none".to_owned())),
            Err(error) => Err(RecordError::NoObject(error.to_string())),
        }
    }

    /// As JSON text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl<E: Entity> FromStr for Record<E> {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let object = serde_json::from_str(text).map_err(|error| RecordError::NoObject(error.to_string()))?;
        Self::new(&object)
    }
}

impl<E> From<Record<E>> for String {
    fn from(record: Record<E>) -> Self {
        record.text.into_string()
    }
}

impl<E> fmt::Debug for Record<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<E> Serialize for Record<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, E: Entity> Deserialize<'de> for Record<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<E>(PhantomData<E>);
        impl<E: Entity> de::Visitor<'_> for Text<E> {
            type Value = Record<E>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a JSON object as text")
            }

            fn visit_str<F: de::Error>(self, text: &str) -> Result<Record<E>, F> {
                text.parse().map_err(F::custom)
            }
        }
        deserializer.deserialize_str(Text(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::Reading;
    use super::*;

    #[test]
    fn a_key_is_short_text_without_control_characters() {
        for text in ["a", "station/north", "北", &"k".repeat(200)] {
            assert_eq!(text.parse::<Key>().expect("a key").as_str(), text);
        }
        for text in ["", "a\nb", "\0", &"k".repeat(201)] {
            assert_eq!(text.parse::<Key>(), Err(KeyError), "{text:?}");
        }
    }

    #[test]
    fn a_record_keeps_all_that_it_is_given_in_its_order() {
        let text = r#"{"sensor":"b","celsius":0.30000000000000004,"and":{"more":[1,null]}}"#;
        assert_eq!(text.parse::<Record<Reading>>().expect("a record").text(), text);
    }

    #[test]
    fn what_is_no_object_is_no_record() {
        for text in ["", "[]", "1", "null", "{", "{} {}"] {
            let error = text.parse::<Record<Reading>>().expect_err("no object");
            assert!(matches!(error, RecordError::NoObject(_)), "{text}: {error}");
        }
    }
}
