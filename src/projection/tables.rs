//! The shape of a view: its tables and their columns, as a value.
//!
//! A shape is checked once, before anything runs; what is wrong in it is an error that names the view,
//! the table and the column. Its text is stored beside the rows: a view of another shape is never
//! written to, it is rebuilt.

use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64;

use super::error::{ShapeError, ViewError};
use super::names::problem_of_name;
use super::source::Stream;
use super::value::ColumnType;
use super::views::SourcePartition;
use crate::log::TopicPartition;
use crate::position::Partition;
use crate::topology::Topology;

/// The tables of a view.
#[derive(Clone, Debug, Default)]
pub struct Tables(Vec<Table>);

impl Tables {
    /// No tables yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One more table.
    #[must_use]
    pub fn with(mut self, table: Table) -> Self {
        self.0.push(table);
        self
    }
}

/// What may be done with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Rows that change, in any order of events: [`Changes::at`](super::Changes::at).
    Rows,
    /// Rows that are written once and never change: [`Changes::once`](super::Changes::once).
    Once,
    /// Sums of what was added: [`Changes::add`](super::Changes::add).
    Sums,
}

impl TableKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Once => "once",
            Self::Sums => "sums",
        }
    }
}

/// A column with its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnType,
}

/// A table: its key, and its columns by how they come to their values.
///
/// Every column but the key may be null, because events arrive in any order: a row exists from the
/// first change that names it. Sums are 0 where nothing was added.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name in queries.
    pub name: &'static str,
    /// What may be done with it.
    pub kind: TableKind,
    /// The columns that name a row, in the order of its index.
    pub keys: Vec<Column>,
    /// Columns of facts that never change.
    pub facts: Vec<Column>,
    /// Columns whose value with the highest version counts.
    pub versioned: Vec<Column>,
    /// Columns of sums.
    pub sums: Vec<&'static str>,
    /// Whether rows keep `complete_to`.
    pub complete: bool,
    /// Further indexes, each a list of columns.
    pub indexes: Vec<Vec<&'static str>>,
}

impl Table {
    const fn new(name: &'static str, kind: TableKind) -> Self {
        Self {
            name,
            kind,
            keys: Vec::new(),
            facts: Vec::new(),
            versioned: Vec::new(),
            sums: Vec::new(),
            complete: false,
            indexes: Vec::new(),
        }
    }

    /// A table of rows that change.
    #[must_use]
    pub const fn rows(name: &'static str) -> Self {
        Self::new(name, TableKind::Rows)
    }

    /// A table of rows that are written once: a repeat does nothing, nor do its adds.
    #[must_use]
    pub const fn once(name: &'static str) -> Self {
        Self::new(name, TableKind::Once)
    }

    /// A table of sums. Each source partition keeps its own share, so that no row is a queue; they are
    /// summed when read.
    #[must_use]
    pub const fn sums(name: &'static str) -> Self {
        Self::new(name, TableKind::Sums)
    }

    /// One more column of the key; at least one is needed.
    #[must_use]
    pub fn key(mut self, name: &'static str, kind: ColumnType) -> Self {
        self.keys.push(Column { name, kind });
        self
    }

    /// A column of a fact that never changes.
    #[must_use]
    pub fn column(mut self, name: &'static str, kind: ColumnType) -> Self {
        self.facts.push(Column { name, kind });
        self
    }

    /// A column whose value with the highest version counts. Only for [`rows`](Self::rows); all of a
    /// row's versioned columns belong to one aggregate instance, whose version it is.
    #[must_use]
    pub fn versioned(mut self, name: &'static str, kind: ColumnType) -> Self {
        self.versioned.push(Column { name, kind });
        self
    }

    /// The column `complete_to`: the version up to which [`seen`](super::RowChange::seen) missed
    /// nothing. Only for [`rows`](Self::rows).
    #[must_use]
    pub const fn complete_to(mut self) -> Self {
        self.complete = true;
        self
    }

    /// A column of a sum, an integer. Only for [`sums`](Self::sums).
    #[must_use]
    pub fn sum(mut self, name: &'static str) -> Self {
        self.sums.push(name);
        self
    }

    /// An index besides the key's. Adding or removing one does not change the shape. Not for sums.
    #[must_use]
    pub fn index(mut self, columns: &[&'static str]) -> Self {
        self.indexes.push(columns.to_vec());
        self
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.keys.iter().chain(&self.facts).chain(&self.versioned)
    }

    fn problem(&self) -> Option<String> {
        let names = self.columns().map(|column| column.name).chain(self.sums.iter().copied());
        let names: Vec<_> = names.chain(self.complete.then_some(COMPLETE_TO)).collect();
        if let Some(problem) = std::iter::once(&self.name).chain(&names).find_map(|name| problem_of_name(name)) {
            return Some(problem);
        }
        if let Some(twice) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
            return Some(format!("column {} is there twice", twice.1));
        }
        if self.keys.is_empty() {
            return Some("it has no key; name at least one key column".to_owned());
        }
        if let Some(column) = self.keys.iter().find(|column| column.kind == ColumnType::Json) {
            return Some(format!("column {} cannot be a key: json has no order", column.name));
        }
        self.misplaced().or_else(|| {
            let unknown = self.indexes.iter().flatten().find(|name| !names.contains(name))?;
            Some(format!("there is no column {unknown} to be indexed"))
        })
    }

    fn misplaced(&self) -> Option<String> {
        let rows = self.kind == TableKind::Rows;
        let sums = self.kind == TableKind::Sums;
        let problem = if !rows && (!self.versioned.is_empty() || self.complete) {
            "versioned columns and complete_to belong to tables of rows"
        } else if sums && !self.facts.is_empty() {
            "a table of sums holds its key and sums, no other columns"
        } else if sums && !self.indexes.is_empty() {
            "a table of sums has no further indexes"
        } else if sums && self.sums.is_empty() {
            "it has no sum"
        } else if !sums && !self.sums.is_empty() {
            "sums belong to tables of sums; join them when reading"
        } else {
            return None;
        };
        Some(problem.to_owned())
    }
}

/// The column that [`Table::complete_to`] adds.
pub(crate) const COMPLETE_TO: &str = "complete_to";

/// The checked shape of a view.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The view's name, its projection's.
    pub view: &'static str,
    /// The aggregates that it follows.
    pub sources: Vec<&'static str>,
    /// What of them it follows.
    pub stream: Stream,
    /// Its tables.
    pub tables: Vec<Table>,
}

impl Shape {
    /// Checks the tables of a view that follows events.
    pub fn check(view: &'static str, sources: Vec<&'static str>, tables: Tables) -> Result<Self, ShapeError> {
        let Tables(tables) = tables;
        let wrong = |table: &str, reason: String| ShapeError { view, table: table.to_owned(), reason };
        if let Some(reason) = problem_of_name(view) {
            return Err(wrong("", reason));
        }
        if tables.is_empty() {
            return Err(wrong("", "it has no tables".to_owned()));
        }
        for (place, table) in tables.iter().enumerate() {
            if let Some(reason) = table.problem() {
                return Err(wrong(table.name, reason));
            }
            if tables[..place].iter().any(|other| other.name == table.name) {
                return Err(wrong(table.name, "it is there twice".to_owned()));
            }
        }
        if let Some(twice) = sources.iter().enumerate().find(|(place, name)| sources[..*place].contains(name)) {
            return Err(wrong("", format!("it folds {} twice", twice.1)));
        }
        Ok(Self { view, sources, stream: Stream::Events, tables })
    }

    /// The partition of the topic that is followed for one of its sources.
    #[must_use]
    pub fn place(&self, topology: &Topology, source: SourcePartition) -> TopicPartition {
        self.stream.topic(topology.aggregate(source.aggregate)).partition(source.partition)
    }

    /// The shape as text, the same for the same shape; indexes do not belong to it.
    #[must_use]
    pub fn text(&self) -> String {
        let what = match self.stream {
            Stream::Events => "",
            Stream::Attempts => "attempts of ",
        };
        let mut text = format!("fold {what}{}\n", self.sources.join(", "));
        for table in &self.tables {
            let _ = write!(text, "{} {}:", table.kind.as_str(), table.name);
            for (what, columns) in [("key", &table.keys), ("", &table.facts), ("versioned", &table.versioned)] {
                for column in columns {
                    let _ = write!(text, " {what} {} {},", column.name, column.kind.as_str());
                }
            }
            for sum in &table.sums {
                let _ = write!(text, " sum {sum},");
            }
            text.push_str(if table.complete { " complete_to\n" } else { "\n" });
        }
        text
    }

    /// Holds the text of a stored shape to this one.
    pub(crate) fn require(&self, stored: String) -> Result<(), ViewError> {
        let now = self.text();
        if stored == now { Ok(()) } else { Err(ViewError::ShapeChanged { view: self.view.to_owned(), stored, now }) }
    }

    /// A hash of the shape, to tell two apart at a glance.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", xxh3_64(self.text().as_bytes()))
    }

    /// Whether events may be folded again onto the rows that are there.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.tables.iter().all(|table| table.kind == TableKind::Rows)
    }

    /// The partitions that it folds, of topics with so many each.
    pub(crate) fn partitions(&self, of_each: i32) -> Vec<SourcePartition> {
        let of = |partition| {
            self.sources.iter().map(move |&aggregate| SourcePartition { aggregate, partition: Partition(partition) })
        };
        (0..of_each).flat_map(of).collect()
    }

    pub(crate) fn source(&self, aggregate: &str) -> Option<&'static str> {
        self.sources.iter().copied().find(|source| *source == aggregate)
    }
}

#[cfg(test)]
mod tests {
    use super::ColumnType::{Integer, Json, Text};
    use super::*;

    fn check(table: Table) -> Result<Shape, String> {
        Shape::check("accounts", vec!["account"], Tables::new().with(table)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_mistake_names_view_table_and_column() {
        let cases = [
            (Table::rows("accounts"), "no key"),
            (Table::rows("Accounts").key("id", Text), "\"Accounts\" is no name"),
            (Table::rows("accounts").key("id", Text).column("id", Text), "column id is there twice"),
            (Table::rows("accounts").key("id", Json), "column id cannot be a key"),
            (Table::rows("accounts").key("id", Text).column("a__v", Text), "the name a__v is the engine's"),
            (Table::rows("accounts").key("id", Text).column("order", Text), "order is a reserved word"),
            (Table::rows("accounts").key("id", Text).sum("count"), "sums belong to tables of sums"),
            (Table::once("ledger").key("id", Text).versioned("at", Integer), "belong to tables of rows"),
            (Table::sums("stats").key("id", Text), "it has no sum"),
            (Table::rows("accounts").key("id", Text).index(&["name"]), "no column name to be indexed"),
        ];
        for (table, expected) in cases {
            let name = table.name;
            let error = check(table).expect_err(expected);
            assert!(error.contains("view accounts") && error.contains(name) && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_index_does_not_change_the_shape_and_a_column_does() {
        let shape = |table| check(table).expect("sound").fingerprint();
        let plain = shape(Table::rows("accounts").key("id", Text).column("name", Text));
        assert_eq!(shape(Table::rows("accounts").key("id", Text).column("name", Text).index(&["name"])), plain);
        assert_ne!(shape(Table::rows("accounts").key("id", Text).versioned("name", Text)), plain);
    }
}
