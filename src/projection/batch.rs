//! Many events' changes as one: what a transaction has to do to the tables.
//!
//! Merging is where the meaning of a change lies: a fact stays, the highest version counts, what was
//! seen is a set, a row written once keeps its first form, sums add up. The databases do the same
//! against the rows they hold; the in-memory model of the test kit is this and nothing else.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::changes::{Add, Changes, Edit, OnceChange, RowChange};
use super::error::ChangeError;
use super::resolve;
use super::tables::{Shape, Table, TableKind};
use super::value::{RowKey, Value};
use super::versions::Versions;
use super::views::{Epoch, Generation, ParkedAggregate, SourcePartition};
use crate::clock::{Timestamp, is_planted};
use crate::position::{Offset, Sequence, Version};

/// How far a partition goes on with a batch, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The next offset as stored before. Something else is there if another owner was faster.
    pub expected: Offset,
    /// The next offset afterwards.
    pub next: Offset,
    /// The sequence of the last event folded.
    pub sequence: Sequence,
    /// The epoch in which the batch was made. Another one is stored after a reset.
    pub epoch: Epoch,
}

/// The event that parked its aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Its offset.
    pub offset: Offset,
    /// Its number within its partition.
    pub sequence: Sequence,
    /// Its number within its aggregate.
    pub version: Version,
    /// Why it could not be folded.
    pub reason: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// What a batch adds to the parked events of one aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parking {
    /// The event that parked it, if that is in this batch.
    pub first: Option<ParkedEvent>,
    /// How many of its events are passed over, the first one included.
    pub events: i64,
    /// The offset of the last of them.
    pub last_offset: Offset,
}

/// A parked aggregate whose events are folded after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// As it is parked. If it is released and more was passed over meanwhile, nothing is done.
    pub parked: ParkedAggregate,
    /// The event that it stays parked at; none if it is released.
    pub again: Option<ParkedEvent>,
    /// How many of its events are passed over no more.
    pub folded: i64,
    /// Whether an event was left out for good, so that the view is partial.
    pub skips: bool,
}

/// The changes of many events, merged, with the offsets they lead to.
#[derive(Clone, Debug)]
pub struct Batch {
    shape: Arc<Shape>,
    generation: Generation,
    tables: Vec<TableDelta>,
    advances: BTreeMap<SourcePartition, Advance>,
    parked: BTreeMap<(SourcePartition, String), Parking>,
    release: Option<Box<Release>>,
    events: usize,
}

/// What happens to one table.
#[derive(Clone, Debug)]
pub(crate) enum TableDelta {
    Rows(HashMap<RowKey, RowDelta>),
    Once(HashMap<RowKey, OnceDelta>),
    Sums(HashMap<SumKey, Box<[i64]>>),
}

/// A sum is kept for each source partition, so that no two workers write one row.
pub(crate) type SumKey = (RowKey, SourcePartition);

/// What happens to one row; columns in the table's order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowDelta {
    pub(crate) facts: Box<[Option<Value>]>,
    pub(crate) versioned: Box<[Option<(Version, Value)>]>,
    pub(crate) seen: Versions,
    pub(crate) deleted: Option<(Version, bool)>,
}

/// A row that is written if it is new.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OnceDelta {
    pub(crate) values: Box<[Value]>,
    pub(crate) adds: Vec<ResolvedAdd>,
    pub(crate) source: SourcePartition,
}

/// An add whose table and column are places in the shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedAdd {
    pub(crate) table: usize,
    pub(crate) key: RowKey,
    pub(crate) column: usize,
    pub(crate) amount: i64,
}

impl TableDelta {
    pub(crate) fn empty(table: &Table) -> Self {
        match table.kind {
            TableKind::Rows => Self::Rows(HashMap::new()),
            TableKind::Once => Self::Once(HashMap::new()),
            TableKind::Sums => Self::Sums(HashMap::new()),
        }
    }

    /// The same, after which `later` happens.
    pub(crate) fn merge(&mut self, later: Self) {
        match (self, later) {
            (Self::Rows(rows), Self::Rows(later)) => {
                for (key, delta) in later {
                    merge_row(rows, key, delta);
                }
            }
            (Self::Once(rows), Self::Once(later)) => {
                for (key, delta) in later {
                    rows.entry(key).or_insert(delta);
                }
            }
            (Self::Sums(sums), Self::Sums(later)) => {
                for (key, amounts) in later {
                    merge_sums(sums, key, amounts);
                }
            }
            _ => unreachable!("both are deltas of one table, which is of one kind"),
        }
    }

    /// Adds to a sum of a table of sums.
    pub(crate) fn add(&mut self, width: usize, add: ResolvedAdd, source: SourcePartition) {
        let Self::Sums(sums) = self else { unreachable!("adds are resolved to tables of sums") };
        let mut amounts = vec![0; width].into_boxed_slice();
        amounts[add.column] = add.amount;
        merge_sums(sums, (add.key, source), amounts);
    }
}

fn merge_row(rows: &mut HashMap<RowKey, RowDelta>, key: RowKey, delta: RowDelta) {
    match rows.entry(key) {
        Entry::Occupied(row) => row.into_mut().merge(delta),
        Entry::Vacant(row) => {
            row.insert(delta);
        }
    }
}

fn merge_sums(sums: &mut HashMap<SumKey, Box<[i64]>>, key: SumKey, amounts: Box<[i64]>) {
    match sums.entry(key) {
        Entry::Occupied(mut sum) => {
            for (sum, amount) in sum.get_mut().iter_mut().zip(&amounts) {
                *sum = sum.saturating_add(*amount);
            }
        }
        Entry::Vacant(sum) => {
            sum.insert(amounts);
        }
    }
}

impl RowDelta {
    fn none(table: &Table) -> Self {
        Self {
            facts: vec![None; table.facts.len()].into(),
            versioned: vec![None; table.versioned.len()].into(),
            seen: Versions::none(),
            deleted: None,
        }
    }

    fn merge(&mut self, later: Self) {
        for (fact, later) in self.facts.iter_mut().zip(later.facts) {
            if later.is_some() {
                *fact = later;
            }
        }
        for (value, later) in self.versioned.iter_mut().zip(later.versioned) {
            if let Some((version, later)) = later {
                set_versioned(value, version, later);
            }
        }
        self.seen.extend(&later.seen);
        if let Some((version, deleted)) = later.deleted {
            set_versioned(&mut self.deleted, version, deleted);
        }
    }
}

/// The higher version counts; of two equal ones the later, so that a corrected projection may be
/// replayed onto the rows of its predecessor.
fn set_versioned<T>(present: &mut Option<(Version, T)>, version: Version, value: T) {
    if present.as_ref().is_none_or(|(present, _)| version >= *present) {
        *present = Some((version, value));
    }
}

impl Batch {
    /// Nothing to do yet, to the first generation of a view.
    #[must_use]
    pub fn new(shape: &Arc<Shape>) -> Self {
        Self::of(shape, Generation::FIRST)
    }

    /// Nothing to do yet, to this generation of a view.
    #[must_use]
    pub fn of(shape: &Arc<Shape>, generation: Generation) -> Self {
        let tables = shape.tables.iter().map(TableDelta::empty).collect();
        let (advances, parked) = (BTreeMap::new(), BTreeMap::new());
        Self { shape: shape.clone(), generation, tables, advances, parked, release: None, events: 0 }
    }

    /// The changes of one more event: all of them, or none.
    pub fn absorb(&mut self, source: SourcePartition, changes: Changes) -> Result<(), ChangeError> {
        let rows = changes.rows.into_iter().map(|change| self.row(change)).collect::<Result<Vec<_>, _>>()?;
        let once = changes.once.into_iter().map(|change| self.once(change, source)).collect::<Result<Vec<_>, _>>()?;
        let adds = changes.adds.into_iter().map(|add| self.resolve_add(add)).collect::<Result<Vec<_>, _>>()?;
        for (table, key, delta) in rows {
            if let TableDelta::Rows(rows) = &mut self.tables[table] {
                merge_row(rows, key, delta);
            }
        }
        for (table, key, delta) in once {
            if let TableDelta::Once(rows) = &mut self.tables[table] {
                rows.entry(key).or_insert(delta);
            }
        }
        for add in adds {
            let width = self.shape.tables[add.table].sums.len();
            self.tables[add.table].add(width, add, source);
        }
        self.events += 1;
        Ok(())
    }

    fn row(&self, change: RowChange) -> Result<(usize, RowKey, RowDelta), ChangeError> {
        let (place, table) = resolve::table(&self.shape, change.table, TableKind::Rows)?;
        let wrong = |reason| ChangeError { view: self.shape.view, table: table.name.to_owned(), reason };
        let key = resolve::key(table, change.key).map_err(wrong)?;
        let mut delta = RowDelta::none(table);
        for edit in change.edits {
            match edit {
                Edit::Set(column, value) => {
                    let (column, value) = resolve::value(&table.facts, column, value).map_err(wrong)?;
                    delta.facts[column] = (value != Value::Null).then_some(value);
                }
                Edit::SetVersioned(column, value, version) => {
                    let version = resolve::version(version).map_err(wrong)?;
                    let (column, value) = resolve::value(&table.versioned, column, value).map_err(wrong)?;
                    set_versioned(&mut delta.versioned[column], version, value);
                }
                Edit::Seen(version) => {
                    resolve::complete(table).map_err(wrong)?;
                    delta.seen.insert(resolve::version(version).map_err(wrong)?);
                }
                Edit::Deleted(deleted, version) => {
                    set_versioned(&mut delta.deleted, resolve::version(version).map_err(wrong)?, deleted);
                }
            }
        }
        Ok((place, key, delta))
    }

    fn once(&self, change: OnceChange, source: SourcePartition) -> Result<(usize, RowKey, OnceDelta), ChangeError> {
        let (place, table) = resolve::table(&self.shape, change.table, TableKind::Once)?;
        let wrong = |reason| ChangeError { view: self.shape.view, table: table.name.to_owned(), reason };
        let key = resolve::key(table, change.key).map_err(wrong)?;
        let mut values = vec![Value::Null; table.facts.len()].into_boxed_slice();
        for (column, value) in change.values {
            let (column, value) = resolve::value(&table.facts, column, value).map_err(wrong)?;
            values[column] = value;
        }
        let adds = change.adds.into_iter().map(|add| self.resolve_add(add)).collect::<Result<_, _>>()?;
        Ok((place, key, OnceDelta { values, adds, source }))
    }

    fn resolve_add(&self, add: Add) -> Result<ResolvedAdd, ChangeError> {
        let (place, table) = resolve::table(&self.shape, add.table, TableKind::Sums)?;
        let wrong = |reason| ChangeError { view: self.shape.view, table: table.name.to_owned(), reason };
        let key = resolve::key(table, add.key).map_err(wrong)?;
        let column = resolve::sum(table, add.column).map_err(wrong)?;
        Ok(ResolvedAdd { table: place, key, column, amount: add.amount })
    }

    /// A partition goes on.
    pub fn advance(&mut self, source: SourcePartition, advance: Advance) {
        match self.advances.entry(source) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(advance);
            }
            btree_map::Entry::Occupied(mut entry) => {
                let before = *entry.get();
                let merged = Advance { expected: before.expected, ..advance };
                let planted = is_planted!(ViewPositionOfFirstBatch);
                entry.insert(if planted { before } else { merged });
            }
        }
    }

    /// An event of a parked aggregate is passed over; `first` if it is the one that parked it.
    pub fn park(&mut self, source: SourcePartition, aggregate_id: &str, offset: Offset, first: Option<ParkedEvent>) {
        let parking = Parking { first, events: 1, last_offset: offset };
        self.merge_parking((source, aggregate_id.to_owned()), parking);
        self.events += 1;
    }

    /// A parked aggregate is released with the changes of this batch, which moves no partition.
    pub fn release(&mut self, release: Release) {
        self.release = Some(Box::new(release));
    }

    fn merge_parking(&mut self, key: (SourcePartition, String), later: Parking) {
        match self.parked.entry(key) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(later);
            }
            btree_map::Entry::Occupied(mut entry) => {
                let parking = entry.get_mut();
                parking.first = parking.first.take().or(later.first);
                parking.events += later.events;
                parking.last_offset = later.last_offset;
            }
        }
    }

    /// The same, after which `later` happens.
    pub fn merge(&mut self, later: Self) {
        for (table, later) in self.tables.iter_mut().zip(later.tables) {
            table.merge(later);
        }
        for (source, advance) in later.advances {
            self.advance(source, advance);
        }
        for (key, parking) in later.parked {
            self.merge_parking(key, parking);
        }
        self.events += later.events;
    }

    /// The changes without the positions, and the positions without the changes: what must never be apart.
    pub(super) fn torn(&self) -> (Self, Self) {
        let positions = Self { advances: self.advances.clone(), ..Self::of(&self.shape, self.generation) };
        (Self { advances: BTreeMap::new(), ..self.clone() }, positions)
    }

    /// How many events it holds.
    #[must_use]
    pub const fn events(&self) -> usize {
        self.events
    }

    /// The shape of the tables it changes.
    #[must_use]
    pub const fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// The generation whose tables it changes.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// How far each partition goes on, sorted.
    #[must_use]
    pub const fn advances(&self) -> &BTreeMap<SourcePartition, Advance> {
        &self.advances
    }

    /// What it adds to the parked aggregates.
    #[must_use]
    pub const fn parked(&self) -> &BTreeMap<(SourcePartition, String), Parking> {
        &self.parked
    }

    /// The parked aggregate that it releases.
    #[must_use]
    pub fn released(&self) -> Option<&Release> {
        self.release.as_deref()
    }

    pub(crate) fn tables(&self) -> &[TableDelta] {
        &self.tables
    }

    pub(crate) fn into_tables(self) -> Vec<TableDelta> {
        self.tables
    }
}
