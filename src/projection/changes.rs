//! What an event changes in the tables of a view, as values.
//!
//! Because they are values, many events become few statements, and a projection can be proven: all
//! its events, in any order, three times, give the same tables.

use super::value::{Key, Value};
use crate::position::Version;

/// The changes that follow from one event.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub(crate) rows: Vec<RowChange>,
    pub(crate) once: Vec<OnceChange>,
    pub(crate) adds: Vec<Add>,
}

impl Changes {
    /// No changes yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { rows: Vec::new(), once: Vec::new(), adds: Vec::new() }
    }

    /// Changes the row with this key, which exists from then on.
    pub fn at(&mut self, table: &'static str, key: impl Into<Key>) -> &mut RowChange {
        let change = RowChange { table, key: key.into(), edits: Vec::new() };
        self.rows.push_mut(change)
    }

    /// Writes a row, unless there is one with this key already: then nothing of it happens.
    pub fn once(&mut self, table: &'static str, key: impl Into<Key>) -> &mut OnceChange {
        let change = OnceChange { table, key: key.into(), values: Vec::new(), adds: Vec::new() };
        self.once.push_mut(change)
    }

    /// Adds to a sum. Unlike an [add beside a row written once](OnceChange::add) it counts each time
    /// that the event is folded: it is exact as long as the view is only ever replayed to earliest, and
    /// does not survive the triple shuffle.
    pub fn add(&mut self, table: &'static str, key: impl Into<Key>, column: &'static str, amount: i64) -> &mut Self {
        self.adds.push(Add { table, key: key.into(), column, amount });
        self
    }
}

/// What happens to one row of a [`Table::rows`](super::Table::rows).
#[derive(Clone, Debug)]
pub struct RowChange {
    pub(crate) table: &'static str,
    pub(crate) key: Key,
    pub(crate) edits: Vec<Edit>,
}

#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Set(&'static str, Value),
    SetVersioned(&'static str, Value, Version),
    Seen(Version),
    Deleted(bool, Version),
}

impl RowChange {
    /// States a fact that never changes. Every event that states it states the same; null states
    /// nothing.
    pub fn set(&mut self, column: &'static str, value: impl Into<Value>) -> &mut Self {
        self.edits.push(Edit::Set(column, value.into()));
        self
    }

    /// Sets a [versioned](super::Table::versioned) column: the value with the highest version counts,
    /// whenever it arrives.
    pub fn set_versioned(&mut self, column: &'static str, value: impl Into<Value>, version: Version) -> &mut Self {
        self.edits.push(Edit::SetVersioned(column, value.into(), version));
        self
    }

    /// Notes that this version was folded into the row: keeps
    /// [`complete_to`](super::Table::complete_to), the version up to which nothing is missing.
    pub fn seen(&mut self, version: Version) -> &mut Self {
        self.edits.push(Edit::Seen(version));
        self
    }

    /// Hides the row from queries. It stays, so that what comes late finds it deleted: only a
    /// [`restore`](Self::restore) of a higher version brings it back.
    pub fn delete(&mut self, version: Version) -> &mut Self {
        self.edits.push(Edit::Deleted(true, version));
        self
    }

    /// Brings a row back that was [deleted](Self::delete) at a lower version.
    pub fn restore(&mut self, version: Version) -> &mut Self {
        self.edits.push(Edit::Deleted(false, version));
        self
    }
}

/// A row that is written once, with what is to be added if it was new.
#[derive(Clone, Debug)]
pub struct OnceChange {
    pub(crate) table: &'static str,
    pub(crate) key: Key,
    pub(crate) values: Vec<(&'static str, Value)>,
    pub(crate) adds: Vec<Add>,
}

impl OnceChange {
    /// Sets a column of the new row.
    pub fn set(&mut self, column: &'static str, value: impl Into<Value>) -> &mut Self {
        self.values.push((column, value.into()));
        self
    }

    /// Adds to a sum of another table, if the row was new.
    pub fn add(&mut self, table: &'static str, key: impl Into<Key>, column: &'static str, amount: i64) -> &mut Self {
        self.adds.push(Add { table, key: key.into(), column, amount });
        self
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Add {
    pub(crate) table: &'static str,
    pub(crate) key: Key,
    pub(crate) column: &'static str,
    pub(crate) amount: i64,
}
