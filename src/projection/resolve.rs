//! Finds the place of each name in the shape, and refuses what does not belong there.
//!
//! What is refused here parks the aggregate it happened to; what a database would refuse later would
//! stop the whole view. So the limits of every database are held here.

use super::error::ChangeError;
use super::tables::{Column, Shape, Table, TableKind};
use super::value::{Key, KeyPart, RowKey, Value};
use crate::clock::Timestamp;
use crate::position::Version;

/// An index entry of `PostgreSQL` holds at most 2,704 bytes.
const KEY_BYTES: usize = 2_000;

pub fn table<'a>(shape: &'a Shape, name: &'static str, kind: TableKind) -> Result<(usize, &'a Table), ChangeError> {
    let wrong = |reason: String| ChangeError { view: shape.view, table: name.to_owned(), reason };
    let found = shape.tables.iter().enumerate().find(|(_, table)| table.name == name);
    let (place, table) = found.ok_or_else(|| {
        let names: Vec<_> = shape.tables.iter().map(|table| table.name).collect();
        wrong(format!("there is no such table, only {}", names.join(", ")))
    })?;
    if table.kind == kind {
        return Ok((place, table));
    }
    let uses = match table.kind {
        TableKind::Rows => "rows that change, with `at`",
        TableKind::Once => "rows written once, with `once`",
        TableKind::Sums => "sums, with `add`",
    };
    Err(wrong(format!("it is a table of {uses}")))
}

pub fn key(table: &Table, key: Key) -> Result<RowKey, String> {
    let Key(mut given) = key;
    let mut parts = Vec::with_capacity(table.keys.len());
    let mut bytes = 0;
    for column in &table.keys {
        let place = given.iter().position(|(name, _)| *name == column.name);
        let (_, value) = given.swap_remove(place.ok_or_else(|| format!("the key lacks column {}", column.name))?);
        let part = match checked(column, value)? {
            Value::Text(text) => {
                bytes += text.len();
                KeyPart::Text(text)
            }
            Value::Integer(number) | Value::Timestamp(Timestamp(number)) => KeyPart::Integer(number),
            Value::Boolean(yes) => KeyPart::Boolean(yes),
            Value::Null | Value::Json(_) => return Err(format!("key column {} is null", column.name)),
        };
        parts.push(part);
    }
    if let Some((name, _)) = given.first() {
        return Err(format!("the key has no column {name}"));
    }
    if bytes > KEY_BYTES {
        return Err(format!("the key has {bytes} bytes of text, more than {KEY_BYTES}"));
    }
    Ok(parts.into())
}

pub fn value(columns: &[Column], name: &'static str, value: Value) -> Result<(usize, Value), String> {
    let place = columns.iter().position(|column| column.name == name).ok_or_else(|| {
        let names: Vec<_> = columns.iter().map(|column| column.name).collect();
        format!("there is no column {name} to be set so, only {}", names.join(", "))
    })?;
    Ok((place, checked(&columns[place], value)?))
}

pub fn sum(table: &Table, name: &'static str) -> Result<usize, String> {
    let place = table.sums.iter().position(|sum| *sum == name);
    place.ok_or_else(|| format!("there is no sum {name}, only {}", table.sums.join(", ")))
}

pub fn version(version: Version) -> Result<Version, String> {
    if version > Version::NONE { Ok(version) } else { Err(format!("version {version}: versions begin at 1")) }
}

pub fn complete(table: &Table) -> Result<(), String> {
    if table.complete { Ok(()) } else { Err("`seen` needs `complete_to()` in `tables`".to_owned()) }
}

fn checked(column: &Column, value: Value) -> Result<Value, String> {
    match value.column_type() {
        Some(kind) if kind != column.kind => {
            let (holds, given) = (column.kind.as_str(), kind.as_str());
            return Err(format!("column {} holds {holds}, not {given}", column.name));
        }
        _ => {}
    }
    let nul = match &value {
        Value::Text(text) => text.contains('\0'),
        Value::Json(json) => holds_nul(json),
        _ => false,
    };
    if nul { Err(format!("column {}: no database holds a text with a NUL character", column.name)) } else { Ok(value) }
}

fn holds_nul(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(holds_nul),
        serde_json::Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}
