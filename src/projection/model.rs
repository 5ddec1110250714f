//! The tables of a view in memory: the meaning of changes and nothing else, so it is what the databases
//! are compared with.
//!
//! A view may be larger than memory: then it is folded several times, each time for another
//! [slice](Model::next_slice) of its rows.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use hashbrown::hash_map::Entry;

use super::batch::{Batch, RowDelta, TableDelta};
use super::tables::{COMPLETE_TO, Shape, Table};
use super::value::{ColumnType, KeyPart, RowKey, Value};
use crate::clock::Timestamp;

/// A row as queries see it: each column with its value.
pub(crate) type Row = Vec<(&'static str, Value)>;

/// The rows of a table that queries see, by key.
pub type TableContents = BTreeMap<RowKey, Row>;

/// The tables of a view, or a slice of their rows.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    shape: Arc<Shape>,
    tables: Vec<TableDelta>,
    slice: u64,
    slices: u64,
}

impl Model {
    /// Tables without rows.
    pub fn new(shape: &Arc<Shape>) -> Self {
        Self::sliced(shape, 1)
    }

    /// The first of so many slices, without rows.
    pub fn sliced(shape: &Arc<Shape>, slices: u64) -> Self {
        let tables = shape.tables.iter().map(TableDelta::empty).collect();
        Self { shape: shape.clone(), tables, slice: 0, slices: slices.max(1) }
    }

    /// The next slice, without rows; `None` after the last. Sums are kept, and are whole once every slice
    /// was folded: what is added beside a row is added in that row's slice.
    pub fn next_slice(mut self) -> Option<Self> {
        self.slice += 1;
        for (table, shape) in self.tables.iter_mut().zip(&self.shape.tables) {
            if !matches!(table, TableDelta::Sums(_)) {
                *table = TableDelta::empty(shape);
            }
        }
        (self.slice < self.slices).then_some(self)
    }

    /// Whether this is the last slice, after which the sums are whole.
    pub const fn is_last_slice(&self) -> bool {
        self.slice + 1 == self.slices
    }

    /// Whether a row belongs to this slice.
    pub fn has(&self, key: &RowKey) -> bool {
        if self.slices == 1 {
            return true;
        }
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish() % self.slices == self.slice
    }

    /// Does what a batch says, to the rows of this slice.
    pub fn apply(&mut self, batch: Batch) {
        let mut adds = Vec::new();
        for (place, delta) in batch.into_tables().into_iter().enumerate() {
            let delta = self.part_of(delta);
            match (&mut self.tables[place], delta) {
                (TableDelta::Once(rows), TableDelta::Once(new)) => {
                    for (key, mut row) in new {
                        if let Entry::Vacant(entry) = rows.entry(key) {
                            adds.extend(row.adds.drain(..).map(|add| (add, row.source)));
                            entry.insert(row);
                        }
                    }
                }
                (table, delta) => table.merge(delta),
            }
        }
        for (add, source) in adds {
            let width = self.shape.tables[add.table].sums.len();
            self.tables[add.table].add(width, add, source);
        }
    }

    fn part_of(&self, mut delta: TableDelta) -> TableDelta {
        if self.slices > 1 {
            match &mut delta {
                TableDelta::Rows(rows) => rows.retain(|key, _| self.has(key)),
                TableDelta::Once(rows) => rows.retain(|key, _| self.has(key)),
                TableDelta::Sums(sums) if self.slice > 0 => sums.clear(),
                TableDelta::Sums(_) => {}
            }
        }
        delta
    }

    /// The rows of a table that queries see, in no order; of sums one for each source partition.
    fn shares(&self, table: usize) -> Box<dyn Iterator<Item = (&RowKey, Row)> + '_> {
        let shape = &self.shape.tables[table];
        match &self.tables[table] {
            TableDelta::Rows(rows) => {
                let visible = rows.iter().filter(|(_, delta)| !matches!(delta.deleted, Some((_, true))));
                Box::new(visible.map(|(key, delta)| (key, [keys(shape, key), row_values(shape, delta)].concat())))
            }
            TableDelta::Once(rows) => Box::new(rows.iter().map(|(key, delta)| {
                let values = shape.facts.iter().map(|column| column.name).zip(delta.values.iter().cloned());
                (key, keys(shape, key).into_iter().chain(values).collect())
            })),
            TableDelta::Sums(sums) => Box::new(sums.iter().map(|((key, _), amounts)| {
                let values = shape.sums.iter().copied().zip(amounts.iter().copied().map(Value::Integer));
                (key, keys(shape, key).into_iter().chain(values).collect())
            })),
        }
    }

    /// The rows of the table at this place in the shape, as queries see them, by key.
    pub fn rows(&self, table: usize) -> impl Iterator<Item = (RowKey, Row)> + use<> {
        let width = self.shape.tables[table].keys.len();
        let mut rows = TableContents::new();
        for (key, row) in self.shares(table) {
            match rows.get_mut(key) {
                // Only sums have several shares of one row.
                Some(sum) => add_to(&mut sum[width..], &row[width..]),
                None => {
                    rows.insert(key.clone(), row);
                }
            }
        }
        rows.into_iter()
    }
}

fn keys(shape: &Table, key: &RowKey) -> Row {
    let kinds = shape.keys.iter().zip(key);
    kinds.map(|(column, part)| (column.name, key_value(column.kind, part))).collect()
}

/// The value that a part of a key stands for.
pub(crate) fn key_value(kind: ColumnType, part: &KeyPart) -> Value {
    match part {
        KeyPart::Text(text) => Value::Text(text.clone()),
        KeyPart::Integer(number) if kind == ColumnType::Timestamp => Value::Timestamp(Timestamp(*number)),
        KeyPart::Integer(number) => Value::Integer(*number),
        KeyPart::Boolean(yes) => Value::Boolean(*yes),
    }
}

fn row_values(shape: &Table, delta: &RowDelta) -> Row {
    let facts = shape.facts.iter().zip(&delta.facts);
    let facts = facts.map(|(column, value)| (column.name, value.clone().unwrap_or(Value::Null)));
    let versioned = shape.versioned.iter().zip(&delta.versioned);
    let versioned =
        versioned.map(|(column, value)| (column.name, value.as_ref().map_or(Value::Null, |(_, value)| value.clone())));
    let complete = shape.complete.then(|| (COMPLETE_TO, Value::Integer(delta.seen.complete_to().0)));
    facts.chain(versioned).chain(complete).collect()
}

fn add_to(sums: &mut [(&'static str, Value)], amounts: &[(&'static str, Value)]) {
    for ((_, sum), (_, amount)) in sums.iter_mut().zip(amounts) {
        if let (Value::Integer(sum), Value::Integer(amount)) = (sum, amount) {
            *sum = sum.saturating_add(*amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Partition, Version};
    use crate::projection::{Changes, SourcePartition, Tables};

    fn shape() -> Arc<Shape> {
        let doors = Table::rows("doors").key("door", ColumnType::Text).versioned("open", ColumnType::Boolean);
        let passages = Table::once("passages").key("door", ColumnType::Text).key("version", ColumnType::Integer);
        let traffic = Table::sums("traffic").key("house", ColumnType::Integer).sum("passages").sum("events");
        let tables = Tables::new().with(doors).with(passages).with(traffic);
        Arc::new(Shape::check("doors", vec!["door"], tables).expect("a shape"))
    }

    fn fold(mut model: Model, shape: &Arc<Shape>) -> Model {
        for number in 0..200_i64 {
            let (door, version) = (format!("d{}", number % 40), Version(number / 40 + 1));
            let mut changes = Changes::new();
            changes.at("doors", ("door", &door)).set_versioned("open", number % 3 == 0, version);
            // Every passage comes twice, and counts once.
            for _ in 0..2 {
                let passage = changes.once("passages", (("door", &door), ("version", version)));
                passage.add("traffic", ("house", number % 7), "passages", 1);
            }
            changes.add("traffic", ("house", number % 7), "events", 1);
            let mut batch = Batch::new(shape);
            let source = SourcePartition { aggregate: "door", partition: Partition(i32::from(number % 2 == 0)) };
            batch.absorb(source, changes).expect("absorbed");
            model.apply(batch);
        }
        model
    }

    #[test]
    fn slices_together_are_the_whole_and_none_of_them_holds_it() {
        let shape = shape();
        let whole = fold(Model::new(&shape), &shape);
        let mut together = [TableContents::new(), TableContents::new()];
        let mut slice = fold(Model::sliced(&shape, 3), &shape);
        loop {
            for (place, table) in together.iter_mut().enumerate() {
                let rows: Vec<_> = slice.rows(place).collect();
                assert!(!rows.is_empty() && rows.len() < whole.rows(place).count());
                assert!(rows.iter().all(|(key, _)| slice.has(key)));
                table.extend(rows);
            }
            if slice.is_last_slice() {
                break;
            }
            slice = fold(slice.next_slice().expect("there are more"), &shape);
        }
        for (place, table) in together.into_iter().enumerate() {
            assert_eq!(table, whole.rows(place).collect());
        }
        assert_eq!(slice.rows(2).collect::<TableContents>(), whole.rows(2).collect());
        assert!(slice.next_slice().is_none());
    }
}
