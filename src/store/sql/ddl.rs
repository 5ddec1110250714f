//! The tables of one generation of a view, as SQL.

use xxhash_rust::xxh3::xxh3_64;

use crate::projection::{COMPLETE_TO, Column, ColumnType, Shape, Table, TableKind};

/// What the two databases call things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    pub const fn greatest(self) -> &'static str {
        match self {
            Self::Postgres => "GREATEST",
            Self::Sqlite => "max",
        }
    }

    /// Empties tables.
    pub fn empty(self, tables: &[String]) -> Vec<String> {
        match self {
            Self::Postgres => vec![format!("TRUNCATE {}", tables.join(", "))],
            Self::Sqlite => tables.iter().map(|table| format!("DELETE FROM {table}")).collect(),
        }
    }

    /// Text compares byte by byte, as in `SQLite`, so that an order is the same on both.
    const fn text(self) -> &'static str {
        match self {
            Self::Postgres => "TEXT COLLATE \"C\"",
            Self::Sqlite => "TEXT",
        }
    }

    const fn column(self, kind: ColumnType) -> &'static str {
        match (self, kind) {
            (_, ColumnType::Text) => self.text(),
            (_, ColumnType::Integer | ColumnType::Timestamp) => "BIGINT",
            (_, ColumnType::Boolean) => "BOOLEAN",
            (Self::Postgres, ColumnType::Json) => "JSONB",
            (Self::Sqlite, ColumnType::Json) => "TEXT",
        }
    }

    /// Rows that change find room for their next form on the same page, which spares the indexes.
    const fn options(self, changes: bool) -> &'static str {
        match (self, changes) {
            (Self::Postgres, true) => " WITH (fillfactor = 70)",
            (Self::Postgres, false) => "",
            (Self::Sqlite, _) => " WITHOUT ROWID",
        }
    }
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// The table that is written to.
pub fn stored_name(table: &Table) -> String {
    match table.kind {
        TableKind::Rows => format!("{}__rows", table.name),
        TableKind::Once => table.name.to_owned(),
        TableKind::Sums => format!("{}__sums", table.name),
    }
}

/// Everything a generation consists of; `schema` is `"name".` or empty.
pub fn create(shape: &Shape, dialect: Dialect, schema: &str) -> Vec<String> {
    let mut statements = own_tables(dialect, schema);
    for table in &shape.tables {
        statements.push(stored_table(table, dialect, schema));
        statements.extend(rows_with_gaps(table, dialect));
        statements.extend(seen_by_queries(table, schema));
    }
    statements
}

fn own_tables(dialect: Dialect, schema: &str) -> Vec<String> {
    let text = dialect.text();
    let (changing, growing) = (dialect.options(true), dialect.options(false));
    vec![
        format!(
            "CREATE TABLE {schema}headwater_positions (aggregate {text} NOT NULL, partition BIGINT NOT NULL, \
             next_offset BIGINT NOT NULL, sequence BIGINT NOT NULL, epoch BIGINT NOT NULL, \
             replaying_to BIGINT NOT NULL, PRIMARY KEY (aggregate, partition)){changing}"
        ),
        format!(
            "CREATE TABLE {schema}headwater_parked (aggregate {text} NOT NULL, aggregate_id {text} NOT NULL, \
             partition BIGINT NOT NULL, first_offset BIGINT NOT NULL, sequence BIGINT NOT NULL, \
             version BIGINT NOT NULL, last_offset BIGINT NOT NULL, events BIGINT NOT NULL, reason {text} NOT NULL, \
             parked_at BIGINT NOT NULL, PRIMARY KEY (aggregate, aggregate_id)){growing}"
        ),
        format!("CREATE TABLE {schema}headwater_shape (shape {text} NOT NULL, partial BOOLEAN NOT NULL)"),
    ]
}

fn stored_table(table: &Table, dialect: Dialect, schema: &str) -> String {
    let mut columns = Vec::new();
    let column = |column: &Column| format!("{} {}", quoted(column.name), dialect.column(column.kind));
    columns.extend(table.keys.iter().map(|key| format!("{} NOT NULL", column(key))));
    columns.extend(table.facts.iter().map(column));
    let mut key: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
    match table.kind {
        TableKind::Rows => {
            for versioned in &table.versioned {
                columns.push(column(versioned));
                columns.push(format!("{} BIGINT NOT NULL", quoted(&version_of(versioned.name))));
            }
            columns.push("deleted__v BIGINT NOT NULL".to_owned());
            if table.complete {
                columns.push(format!("{COMPLETE_TO} BIGINT NOT NULL"));
                columns.push("seen__from BIGINT NOT NULL, seen__max BIGINT NOT NULL".to_owned());
                columns.push(format!("ahead__v {} NOT NULL DEFAULT ''", dialect.text()));
            }
        }
        TableKind::Once => {}
        TableKind::Sums => {
            columns.push(format!("source__p {} NOT NULL", dialect.text()));
            columns.extend(table.sums.iter().map(|sum| format!("{} BIGINT NOT NULL", quoted(sum))));
            key.push("source__p");
        }
    }
    let name = quoted(&stored_name(table));
    let (columns, key) = (columns.join(", "), list(key));
    let options = dialect.options(table.kind != TableKind::Once);
    format!("CREATE TABLE {schema}{name} ({columns}, PRIMARY KEY ({key})){options}")
}

/// On `SQLite`, an index of the rows that miss a version, of which there are normally none.
fn rows_with_gaps(table: &Table, dialect: Dialect) -> Option<String> {
    let wanted = table.complete && dialect == Dialect::Sqlite;
    let (name, stored) = (quoted(&format!("{}__0gaps", table.name)), quoted(&stored_name(table)));
    let keys = list(table.keys.iter().map(|key| key.name));
    wanted.then(|| format!("CREATE INDEX {name} ON {stored} ({keys}) WHERE seen__max > {COMPLETE_TO}"))
}

fn seen_by_queries(table: &Table, schema: &str) -> Option<String> {
    let keys = list(table.keys.iter().map(|key| key.name));
    let (view, stored) = (quoted(table.name), quoted(&stored_name(table)));
    let select = match table.kind {
        TableKind::Once => return None,
        TableKind::Rows => {
            let columns = list(table.columns().map(|column| column.name).chain(table.complete.then_some(COMPLETE_TO)));
            format!("SELECT {columns} FROM {schema}{stored} WHERE deleted__v <= 0")
        }
        TableKind::Sums => {
            let sums = table.sums.iter().map(|sum| {
                let sum = quoted(sum);
                format!("CAST(SUM({sum}) AS BIGINT) AS {sum}")
            });
            let sums = sums.collect::<Vec<_>>().join(", ");
            format!("SELECT {keys}, {sums} FROM {schema}{stored} GROUP BY {keys}")
        }
    };
    Some(format!("CREATE VIEW {schema}{view} AS {select}"))
}

pub fn version_of(column: &str) -> String {
    format!("{column}__v")
}

/// The further indexes, made if they are not there.
pub fn indexes(shape: &Shape, dialect: Dialect, schema: &str) -> Vec<String> {
    let mut statements = Vec::new();
    for table in &shape.tables {
        for columns in &table.indexes {
            let name = quoted(&index_name(table.name, columns));
            let (stored, columns) = (quoted(&stored_name(table)), list(columns.iter().copied()));
            // SQLite names the schema before the index, PostgreSQL before the table.
            let (of_index, of_table) = match dialect {
                Dialect::Postgres => ("", schema),
                Dialect::Sqlite => (schema, ""),
            };
            statements.push(format!("CREATE INDEX IF NOT EXISTS {of_index}{name} ON {of_table}{stored} ({columns})"));
        }
    }
    statements
}

/// `PostgreSQL` cuts names off after 63 bytes, and two indexes could seem to be one.
fn index_name(table: &str, columns: &[&str]) -> String {
    let name = format!("{table}__{}", columns.join("__"));
    if name.len() <= 63 { name } else { format!("{table}__{:016x}", xxh3_64(name.as_bytes())) }
}

/// Every table that a reset to the first event empties.
pub fn emptied(shape: &Shape) -> Vec<String> {
    shape.tables.iter().map(stored_name).chain(["headwater_parked".to_owned()]).collect()
}
