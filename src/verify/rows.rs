//! The rows of a table as a database gives them, page by page, and what differs from a row as folded.

use crate::clock::Timestamp;
use crate::projection::{
    COMPLETE_TO, Cell, Column, ColumnType, KeyPart, Row, RowKey, Selected, Table, Value, ViewError, key_value,
};

/// How many rows there are.
pub(super) fn count(table: &Table) -> String {
    format!("SELECT COUNT(*) FROM {}", quoted(table.name))
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(quoted).collect::<Vec<_>>().join(", ")
}

/// Reads a table in the order of its key, each page from the last key of the one before.
pub(super) struct Paging<'a> {
    table: &'a Table,
    after: Option<RowKey>,
    is_over: bool,
}

impl<'a> Paging<'a> {
    /// The most rows of a page.
    pub const ROWS: usize = 5_000;

    pub const fn new(table: &'a Table) -> Self {
        Self { table, after: None, is_over: false }
    }

    /// The next statement, with its parameters; none when all is read.
    pub fn next(&self) -> Option<(String, Vec<Value>)> {
        if self.is_over {
            return None;
        }
        let table = self.table;
        let columns = list(column_names(table));
        let keys = list(table.keys.iter().map(|column| column.name));
        let (condition, parameters) = match &self.after {
            None => (String::new(), Vec::new()),
            Some(key) => {
                let marks = vec!["?"; table.keys.len()].join(", ");
                let values = table.keys.iter().zip(key).map(|(column, part)| key_value(column.kind, part)).collect();
                (format!(" WHERE ({keys}) > ({marks})"), values)
            }
        };
        let (name, rows) = (quoted(table.name), Self::ROWS);
        Some((format!("SELECT {columns} FROM {name}{condition} ORDER BY {keys} LIMIT {rows}"), parameters))
    }

    /// What the statement gave: each row with its key.
    pub fn take(&mut self, page: Selected) -> Result<Vec<(RowKey, Vec<Cell>)>, ViewError> {
        self.is_over = page.rows.len() < Self::ROWS;
        let table = self.table;
        let mut rows = Vec::with_capacity(page.rows.len());
        for row in page.rows {
            let parts = table.keys.iter().zip(&row).map(|(column, cell)| key_part(column, cell));
            let key = parts.collect::<Option<RowKey>>().ok_or_else(|| {
                ViewError::Failed(format!(
                    "table {}: the key of a row is not of the kind it must be: {row:?}",
                    table.name
                ))
            })?;
            rows.push((key, row));
        }
        self.after = rows.last().map(|(key, _)| key.clone());
        Ok(rows)
    }
}

/// The columns of a row, in the order in which a row is folded.
fn column_names(table: &Table) -> impl Iterator<Item = &'static str> {
    let columns = table.columns().map(|column| column.name).collect::<Vec<_>>();
    let complete = table.complete.then_some(COMPLETE_TO);
    columns.into_iter().chain(table.sums.clone()).chain(complete)
}

fn key_part(column: &Column, cell: &Cell) -> Option<KeyPart> {
    match (column.kind, cell) {
        (ColumnType::Text, Cell::Text(text)) => Some(KeyPart::Text(text.clone())),
        (ColumnType::Integer | ColumnType::Timestamp, Cell::Integer(number)) => Some(KeyPart::Integer(*number)),
        (ColumnType::Boolean, Cell::Boolean(yes)) => Some(KeyPart::Boolean(*yes)),
        (ColumnType::Boolean, Cell::Integer(number)) => Some(KeyPart::Boolean(*number != 0)),
        _ => None,
    }
}

/// Whether a cell holds a value. Databases differ in how they give truth values, and in how they write JSON.
fn holds(cell: &Cell, value: &Value) -> bool {
    match (value, cell) {
        (Value::Null, Cell::Null) => true,
        (Value::Text(text), Cell::Text(found)) => text == found,
        (Value::Integer(number) | Value::Timestamp(Timestamp(number)), Cell::Integer(found)) => number == found,
        (Value::Boolean(yes), Cell::Boolean(found)) => yes == found,
        (Value::Boolean(yes), Cell::Integer(found)) => i64::from(*yes) == *found,
        (Value::Json(json), Cell::Text(found)) => {
            serde_json::from_str(found).is_ok_and(|it: serde_json::Value| it == *json)
        }
        _ => false,
    }
}

/// The first column that is not as folded.
pub(super) fn difference(table: &Table, row: &[Cell], folded: &Row) -> Option<String> {
    let columns: Vec<&str> = column_names(table).collect();
    if columns.len() != row.len() || row.len() != folded.len() {
        let (cells, values) = (row.len(), folded.len());
        return Some(format!("the row has {cells} columns and its events make {values}"));
    }
    let mut cells = columns.iter().zip(row).zip(folded);
    let ((column, cell), (_, value)) = cells.find(|((_, cell), (_, value))| !holds(cell, value))?;
    Some(format!("{column} is {}, and its events make it {}", shown_cell(cell), shown_value(value)))
}

fn shown_cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => "nothing".to_owned(),
        Cell::Text(text) => format!("{text:?}"),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Boolean(yes) => yes.to_string(),
    }
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) | Value::Timestamp(Timestamp(number)) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Json(json) => json.to_string(),
    }
}

/// A key for people: `account_id "000001", version 7`.
pub(super) fn shown_key(table: &Table, key: &RowKey) -> String {
    let parts = table.keys.iter().zip(key).map(|(column, part)| format!("{} {part}", column.name));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Table {
        Table::rows("ledger")
            .key("account", ColumnType::Text)
            .key("version", ColumnType::Integer)
            .column("details", ColumnType::Json)
            .versioned("open", ColumnType::Boolean)
            .complete_to()
    }

    fn row(open: Cell) -> Vec<Cell> {
        let details = Cell::Text(r#"{"b":1, "a":2}"#.to_owned());
        vec![Cell::Text("a".to_owned()), Cell::Integer(7), details, open, Cell::Integer(7)]
    }

    #[test]
    fn pages_go_on_behind_the_last_key_until_one_is_not_full() {
        let table = ledger();
        let mut paging = Paging::new(&table);
        let (sql, parameters) = paging.next().expect("a first page");
        assert_eq!(
            sql,
            r#"SELECT "account", "version", "details", "open", "complete_to" FROM "ledger" ORDER BY "account", "version" LIMIT 5000"#
        );
        assert!(parameters.is_empty());
        let full = Selected { columns: Vec::new(), rows: vec![row(Cell::Boolean(true)); Paging::ROWS] };
        paging.take(full).expect("rows");
        let (sql, parameters) = paging.next().expect("a second page");
        assert!(sql.contains(r#"WHERE ("account", "version") > (?, ?)"#), "{sql}");
        assert_eq!(parameters, [Value::Text("a".to_owned()), Value::Integer(7)]);
        let last = Selected { columns: Vec::new(), rows: vec![row(Cell::Boolean(true))] };
        paging.take(last).expect("rows");
        assert_eq!(paging.next(), None);
    }

    #[test]
    fn a_row_is_the_same_however_a_database_writes_truth_and_json() {
        let folded: Row = vec![
            ("account", "a".into()),
            ("version", 7_i64.into()),
            ("details", serde_json::json!({"a": 2, "b": 1}).into()),
            ("open", true.into()),
            (COMPLETE_TO, 7_i64.into()),
        ];
        assert_eq!(difference(&ledger(), &row(Cell::Boolean(true)), &folded), None);
        assert_eq!(difference(&ledger(), &row(Cell::Integer(1)), &folded), None);
        let found = difference(&ledger(), &row(Cell::Null), &folded).expect("a difference");
        assert_eq!(found, "open is nothing, and its events make it true");
    }

    #[test]
    fn a_table_is_named_as_a_name() {
        assert_eq!(count(&ledger()), r#"SELECT COUNT(*) FROM "ledger""#);
    }
}
