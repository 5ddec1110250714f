//! What is done with a row that is there already: the tails of the `INSERT` statements.

use super::ddl::{Dialect, list, quoted, version_of};
use crate::projection::{COMPLETE_TO, Table};

/// Brings a row of a table of rows up to date.
pub fn merge_row(table: &Table, dialect: Dialect) -> String {
    let greatest = dialect.greatest();
    let mut sets = Vec::new();
    for column in &table.facts {
        let name = quoted(column.name);
        sets.push(format!("{name} = COALESCE(excluded.{name}, t.{name})"));
    }
    for column in &table.versioned {
        let (name, version) = (quoted(column.name), quoted(&version_of(column.name)));
        // Not `>`: a corrected projection may be replayed onto the rows of its predecessor.
        sets.push(format!(
            "{name} = CASE WHEN excluded.{version} >= t.{version} THEN excluded.{name} ELSE t.{name} END"
        ));
        sets.push(format!("{version} = {greatest}(t.{version}, excluded.{version})"));
    }
    sets.push(
        "deleted__v = CASE WHEN abs(excluded.deleted__v) >= abs(t.deleted__v) THEN excluded.deleted__v \
         ELSE t.deleted__v END"
            .to_owned(),
    );
    if table.complete {
        let complete = format!(
            "CASE WHEN excluded.seen__from <= t.{COMPLETE_TO} + 1 \
             THEN {greatest}(t.{COMPLETE_TO}, excluded.seen__max) \
             ELSE {greatest}(t.{COMPLETE_TO}, excluded.{COMPLETE_TO}) END"
        );
        let highest = format!("{greatest}(t.seen__max, excluded.seen__max)");
        sets.push(format!("{COMPLETE_TO} = {complete}"));
        sets.push(format!("seen__max = {highest}, seen__from = excluded.seen__from"));
        sets.push(format!("ahead__v = CASE WHEN {complete} >= {highest} THEN '' ELSE t.ahead__v END"));
    }
    format!("ON CONFLICT ({}) DO UPDATE SET {}", keys(table), sets.join(", "))
}

/// Leaves a row that was written once as it is.
pub fn keep_row(table: &Table) -> String {
    format!("ON CONFLICT ({}) DO NOTHING", keys(table))
}

/// Adds to a partition's share of a sum.
pub fn add_to_sums(table: &Table) -> String {
    let sums = table.sums.iter().map(|sum| {
        let sum = quoted(sum);
        format!("{sum} = t.{sum} + excluded.{sum}")
    });
    let sums = sums.collect::<Vec<_>>().join(", ");
    format!("ON CONFLICT ({}, source__p) DO UPDATE SET {sums}", keys(table))
}

pub fn keys(table: &Table) -> String {
    list(table.keys.iter().map(|key| key.name))
}
