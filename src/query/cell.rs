//! Reads a row of cells into a Rust type, through serde.
//!
//! The databases differ in what they call a boolean; this is where they become the same.

use std::fmt;

use serde::de::value::{MapDeserializer, StringDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::projection::Cell;

/// Why a row cannot be read.
#[derive(Debug)]
pub struct RowError(String);

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RowError {}

impl serde::de::Error for RowError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

pub fn read<T: DeserializeOwned>(cell: Cell) -> Result<T, RowError> {
    T::deserialize(Reader { cell, column: None })
}

pub fn read_row<T: DeserializeOwned>(columns: &[String], row: Vec<Cell>) -> Result<T, RowError> {
    let fields = columns.iter().zip(row).map(|(column, cell)| {
        let name: &str = column;
        (name, Reader { cell, column: Some(name) })
    });
    T::deserialize(MapDeserializer::new(fields))
}

struct Reader<'a> {
    cell: Cell,
    column: Option<&'a str>,
}

impl Reader<'_> {
    /// Says which column it was that did not fit.
    fn named<T>(column: Option<&str>, result: Result<T, RowError>) -> Result<T, RowError> {
        match column {
            Some(column) => result.map_err(|RowError(reason)| RowError(format!("column {column}: {reason}"))),
            None => result,
        }
    }

    fn json<'de, V: Visitor<'de>>(
        self,
        read: impl FnOnce(serde_json::Value) -> Result<V::Value, serde_json::Error>,
        other: impl FnOnce(Self) -> Result<V::Value, RowError>,
    ) -> Result<V::Value, RowError> {
        let Cell::Text(text) = &self.cell else { return other(self) };
        let value = serde_json::from_str(text).and_then(read).map_err(|error| RowError(error.to_string()));
        Self::named(self.column, value)
    }
}

impl IntoDeserializer<'_, RowError> for Reader<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = RowError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        let value = match self.cell {
            Cell::Null => visitor.visit_unit(),
            Cell::Text(text) => visitor.visit_string(text),
            Cell::Integer(number) => visitor.visit_i64(number),
            Cell::Real(number) => visitor.visit_f64(number),
            Cell::Boolean(yes) => visitor.visit_bool(yes),
        };
        Self::named(self.column, value)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self.cell {
            // SQLite has no booleans: they are 0 and 1.
            Cell::Integer(number @ (0 | 1)) => Self::named(self.column, visitor.visit_bool(number == 1)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        if self.cell == Cell::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, RowError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        match self.cell {
            Cell::Text(text) if !text.starts_with(['{', '"']) => {
                let text: StringDeserializer<RowError> = text.into_deserializer();
                Self::named(self.column, text.deserialize_enum(name, variants, visitor))
            }
            _ => self.json::<V>(
                |json| json.deserialize_enum(name, variants, visitor),
                |_| Err(RowError(format!("there is no {name} in it"))),
            ),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self.cell {
            Cell::Text(_) => self.json::<V>(|json| json.deserialize_map(visitor), |_| Err(not_text())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self.cell {
            Cell::Text(_) => self.json::<V>(|json| json.deserialize_seq(visitor), |_| Err(not_text())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, RowError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, RowError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct identifier
    }
}

fn not_text() -> RowError {
    RowError("there is no JSON in it".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::query::Json;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Deposit,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Line {
        active: bool,
        amount: i64,
        kind: Kind,
        note: Option<String>,
        tags: Vec<String>,
        fields: BTreeMap<String, i64>,
        anything: Json<serde_json::Value>,
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn a_row_of_either_database_is_read_into_a_struct() {
        let columns = ["active", "amount", "kind", "note", "tags", "fields", "anything", "more"].map(str::to_owned);
        for active in [Cell::Boolean(true), Cell::Integer(1)] {
            let row = vec![
                active,
                Cell::Integer(-5),
                text("deposit"),
                Cell::Null,
                text("[\"a\"]"),
                text("{\"a\": 1}"),
                text("[1, \"x\"]"),
                Cell::Real(0.5),
            ];
            let line: Line = read_row(&columns, row).expect("it fits");
            let expected = Line {
                active: true,
                amount: -5,
                kind: Kind::Deposit,
                note: None,
                tags: vec!["a".to_owned()],
                fields: BTreeMap::from([("a".to_owned(), 1)]),
                anything: Json(serde_json::json!([1, "x"])),
            };
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn what_does_not_fit_names_the_column() {
        #[derive(Debug, Deserialize)]
        struct Amount {
            #[expect(dead_code, reason = "only read")]
            amount: i64,
        }
        let columns = ["amount".to_owned()];
        for cell in [text("five"), Cell::Null, Cell::Real(0.5)] {
            let error = read_row::<Amount>(&columns, vec![cell]).expect_err("no integer").to_string();
            assert!(error.contains("column amount"), "{error}");
        }
    }
}
