//! What an event changes in the tables of a view, as values.
//!
//! Because they are values, many events become few statements, and a projection can be proven: all
//! its events, in any order, three times, give the same tables.

use super::value::{Key, Value};
use crate::position::Version;

/// The changes that follow from one event.
///
/// They hold in whatever order events come, and however often. A [fact](RowChange::set) stays; of a
/// [versioned](RowChange::set_versioned) column the highest version counts; a row that was
/// [deleted](RowChange::delete) stays deleted when its creation comes late:
///
/// ```
/// use std::sync::Arc;
///
/// use headwater::position::{Partition, Version};
/// use headwater::projection::{Batch, Changes, ColumnType, Shape, SourcePartition, Table, Tables};
/// use headwater::testing::FoldedView;
///
/// # #[derive(Debug, PartialEq, serde::Deserialize)]
/// # struct Row { name: Option<String>, balance: i64, complete_to: i64 }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let accounts = Table::rows("accounts")
///     .key("account_id", ColumnType::Text)
///     .column("name", ColumnType::Text)
///     .versioned("balance", ColumnType::Integer)
///     .complete_to();
/// let shape = Arc::new(Shape::check("accounts", vec!["account"], Tables::new().with(accounts))?);
/// let mut view = FoldedView::empty(&shape);
/// let mut fold = |changes| -> Result<FoldedView, Box<dyn std::error::Error>> {
///     let mut batch = Batch::new(&shape);
///     batch.absorb(SourcePartition { aggregate: "account", partition: Partition(0) }, changes)?;
///     view.apply(batch);
///     Ok(view.clone())
/// };
///
/// // Version 3 comes before version 1: its balance stays, and nobody vouches for what is missing.
/// let mut third = Changes::new();
/// third.at("accounts", ("account_id", "000001")).set_versioned("balance", 800, Version(3)).seen(Version(3));
/// fold(third)?;
/// let mut first = Changes::new();
/// first
///     .at("accounts", ("account_id", "000001"))
///     .set("name", "Emmet")
///     .set_versioned("balance", 100, Version(1))
///     .seen(Version(1));
/// let seen: Option<Row> = fold(first)?.get("accounts", ("account_id", "000001"));
/// assert_eq!(seen, Some(Row { name: Some("Emmet".to_owned()), balance: 800, complete_to: 1 }));
///
/// // With version 2 the gap is closed.
/// let mut second = Changes::new();
/// second.at("accounts", ("account_id", "000001")).seen(Version(2));
/// let seen: Option<Row> = fold(second)?.get("accounts", ("account_id", "000001"));
/// assert_eq!(seen.map(|row| row.complete_to), Some(3));
///
/// // Deleted is deleted, whatever comes late; only a higher version brings it back.
/// let mut deleted = Changes::new();
/// deleted.at("accounts", ("account_id", "000001")).delete(Version(4));
/// assert_eq!(fold(deleted)?.get::<Row>("accounts", ("account_id", "000001")), None);
/// # Ok(())
/// # }
/// ```
///
/// A row [written once](Self::once) keeps its first form, and a repeat of it adds nothing either.
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
    ///
    /// A view that must not show what stands behind a gap withholds it: a ledger joins its entries with the
    /// row of their account and asks for `entry.version <= account.complete_to`. After a gap, whether because
    /// events came in another order, an event was [skipped](super::parking::skip) or a
    /// [replay](super::replay) passed some over, the entries behind it are there and are not shown until
    /// the gap is closed.
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
