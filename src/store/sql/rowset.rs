//! The rows of one statement, column by column: what both databases bind their parameters from.

use std::borrow::Cow;

use super::ddl::version_of;
use super::seen::Mended;
use crate::clock::Timestamp;
use crate::projection::{
    COMPLETE_TO, ColumnType, KeyPart, OnceDelta, RowDelta, RowKey, SumKey, Table, Value, Versions,
};

/// The values of a column.
#[derive(Debug)]
pub enum Data<'a> {
    Text(Vec<Option<Cow<'a, str>>>),
    Integer(Vec<Option<i64>>),
    Boolean(Vec<Option<bool>>),
    Json(Vec<Option<String>>),
}

/// A column with its values, one for each row.
#[derive(Debug)]
pub struct DataColumn<'a> {
    pub name: Cow<'static, str>,
    pub data: Data<'a>,
}

/// Rows to be written.
#[derive(Debug)]
pub struct Rowset<'a> {
    pub columns: Vec<DataColumn<'a>>,
    pub len: usize,
}

impl<'a> Data<'a> {
    const fn empty(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Text => Self::Text(Vec::new()),
            ColumnType::Integer | ColumnType::Timestamp => Self::Integer(Vec::new()),
            ColumnType::Boolean => Self::Boolean(Vec::new()),
            ColumnType::Json => Self::Json(Vec::new()),
        }
    }

    fn push_key(&mut self, part: &'a KeyPart) {
        match (self, part) {
            (Self::Text(column), KeyPart::Text(text)) => column.push(Some(Cow::Borrowed(text))),
            (Self::Integer(column), KeyPart::Integer(number)) => column.push(Some(*number)),
            (Self::Boolean(column), KeyPart::Boolean(yes)) => column.push(Some(*yes)),
            _ => unreachable!("a key is checked against its columns' types"),
        }
    }

    fn push(&mut self, value: Option<&'a Value>) {
        match (self, value) {
            (Self::Text(column), Some(Value::Text(text))) => column.push(Some(Cow::Borrowed(text))),
            (Self::Integer(column), Some(Value::Integer(number) | Value::Timestamp(Timestamp(number)))) => {
                column.push(Some(*number));
            }
            (Self::Boolean(column), Some(Value::Boolean(yes))) => column.push(Some(*yes)),
            (Self::Json(column), Some(Value::Json(json))) => column.push(Some(json.to_string())),
            (Self::Text(column), _) => column.push(None),
            (Self::Integer(column), _) => column.push(None),
            (Self::Boolean(column), _) => column.push(None),
            (Self::Json(column), _) => column.push(None),
        }
    }
}

impl<'a> Rowset<'a> {
    fn new(len: usize) -> Self {
        Self { columns: Vec::new(), len }
    }

    fn integers(&mut self, name: impl Into<Cow<'static, str>>, values: impl Iterator<Item = i64>) {
        let data = Data::Integer(values.map(Some).collect());
        self.columns.push(DataColumn { name: name.into(), data });
    }

    fn keys(&mut self, table: &Table, keys: impl Iterator<Item = &'a RowKey> + Clone) {
        for (place, column) in table.keys.iter().enumerate() {
            let mut data = Data::empty(column.kind);
            for key in keys.clone() {
                data.push_key(&key[place]);
            }
            self.columns.push(DataColumn { name: column.name.into(), data });
        }
    }

    fn values(&mut self, name: &'static str, kind: ColumnType, values: impl Iterator<Item = Option<&'a Value>>) {
        let mut data = Data::empty(kind);
        for value in values {
            data.push(value);
        }
        self.columns.push(DataColumn { name: name.into(), data });
    }

    /// Only the keys.
    pub fn of_keys(table: &Table, keys: &[&'a RowKey]) -> Self {
        let mut rows = Self::new(keys.len());
        rows.keys(table, keys.iter().copied());
        rows
    }

    /// Beside the keys, what was seen of rows with gaps.
    pub fn mended(&mut self, rows: &'a [Mended<'_>]) {
        self.integers(COMPLETE_TO, rows.iter().map(|row| row.complete_to));
        let ahead = rows.iter().map(|row| Some(Cow::Borrowed(row.ahead.as_str())));
        self.columns.push(DataColumn { name: "ahead__v".into(), data: Data::Text(ahead.collect()) });
    }

    /// Changes of a table of rows.
    pub fn of_rows(table: &Table, deltas: &[(&'a RowKey, &'a RowDelta)]) -> Self {
        let mut rows = Self::new(deltas.len());
        rows.keys(table, deltas.iter().map(|(key, _)| *key));
        for (place, column) in table.facts.iter().enumerate() {
            rows.values(column.name, column.kind, deltas.iter().map(|(_, row)| row.facts[place].as_ref()));
        }
        for (place, column) in table.versioned.iter().enumerate() {
            let values = deltas.iter().map(|(_, row)| row.versioned[place].as_ref());
            rows.values(column.name, column.kind, values.clone().map(|value| value.map(|(_, value)| value)));
            rows.integers(version_of(column.name), values.map(|value| value.map_or(0, |(version, _)| version.0)));
        }
        let deleted = deltas.iter().map(|(_, row)| match row.deleted {
            Some((version, true)) => version.0,
            Some((version, false)) => -version.0,
            None => 0,
        });
        rows.integers("deleted__v", deleted);
        if table.complete {
            rows.integers(COMPLETE_TO, deltas.iter().map(|(_, row)| row.seen.complete_to().0));
            rows.integers("seen__from", deltas.iter().map(|(_, row)| joins_from(&row.seen)));
            rows.integers("seen__max", deltas.iter().map(|(_, row)| row.seen.highest().0));
        }
        rows
    }

    /// Rows that are written if they are new.
    pub fn of_once(table: &Table, deltas: &[(&'a RowKey, &'a OnceDelta)]) -> Self {
        let mut rows = Self::new(deltas.len());
        rows.keys(table, deltas.iter().map(|(key, _)| *key));
        for (place, column) in table.facts.iter().enumerate() {
            rows.values(column.name, column.kind, deltas.iter().map(|(_, row)| Some(&row.values[place])));
        }
        rows
    }

    /// Adds to a table of sums.
    pub fn of_sums(table: &Table, sums: &[(&'a SumKey, &'a [i64])]) -> Self {
        let mut rows = Self::new(sums.len());
        rows.keys(table, sums.iter().map(|((key, _), _)| key));
        let sources = sums.iter().map(|((_, source), _)| Some(Cow::Owned(source.to_string())));
        rows.columns.push(DataColumn { name: "source__p".into(), data: Data::Text(sources.collect()) });
        for (place, sum) in table.sums.iter().enumerate() {
            rows.integers(*sum, sums.iter().map(|(_, amounts)| amounts[place]));
        }
        rows
    }
}

/// The version before which nothing may be missing for this row's range to be joined in SQL; with a gap
/// within it, never.
fn joins_from(seen: &Versions) -> i64 {
    if seen.is_empty() {
        return 0;
    }
    seen.as_range().map_or(i64::MAX, |(from, _)| from.0)
}
