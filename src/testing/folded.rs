//! A view in memory: what a projection makes of events, without a database.
//!
//! It is the meaning of changes and nothing else, so it is also what the databases are compared with.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::aggregate::Aggregate;
use crate::clock::Timestamp;
use crate::event::Recorded;
use crate::position::{Offset, Partition, Sequence, Version};
use crate::projection::{
    Batch, Cell, Changes, Events, Key, Model, Projection, Shape, SourcePartition, TableContents, Value, resolve_key,
    shape_of,
};
use crate::query::read_row;

/// The events of one instance of `A`, numbered from version 1, a second apart.
pub fn history<A: Aggregate>(id: &str, events: impl IntoIterator<Item = A::Event>) -> Vec<Recorded<A::Event>> {
    let events = (1..).zip(events);
    let recorded = events.map(|(version, data)| Recorded {
        aggregate: A::NAME,
        aggregate_id: id.to_owned(),
        id: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, format!("{} {id} {version}", A::NAME).as_bytes()),
        version: Version(version),
        partition: Partition(0),
        sequence: Sequence(version),
        offset: Offset(version - 1),
        occurred_at: Timestamp(super::BEGINNING.0 + version * 1_000_000),
        causation_id: uuid::Uuid::from_u128(u128::from(version.unsigned_abs())),
        correlation_id: uuid::Uuid::from_u128(u128::from(version.unsigned_abs())),
        data,
    });
    recorded.collect()
}

/// The tables of a view, in memory.
#[derive(Clone, Debug)]
pub struct FoldedView {
    shape: Arc<Shape>,
    model: Model,
}

impl FoldedView {
    /// Folds events, in the order given.
    ///
    /// # Panics
    /// If the tables are not as tables must be, or a change does not fit them.
    #[must_use]
    #[track_caller]
    pub fn of<P: Projection>(projection: &P, events: &[Recorded<Events<P>>]) -> Self {
        let shape = Arc::new(shape_of::<P>().unwrap_or_else(|error| panic!("{error}")));
        let mut view = Self::empty(&shape);
        for event in events {
            let mut changes = Changes::new();
            projection.project(event, &mut changes);
            let source = SourcePartition { aggregate: event.aggregate, partition: event.partition };
            let mut batch = Batch::new(&shape);
            batch.absorb(source, changes).unwrap_or_else(|error| panic!("{error}\nof {event:?}"));
            view.apply(batch);
        }
        view
    }

    /// Tables without rows.
    #[must_use]
    pub fn empty(shape: &Arc<Shape>) -> Self {
        Self { shape: shape.clone(), model: Model::new(shape) }
    }

    /// Does what a batch says.
    pub fn apply(&mut self, batch: Batch) {
        self.model.apply(batch);
    }

    /// One row, read into a type that derives `Deserialize`; `None` if there is none or it is deleted.
    ///
    /// # Panics
    /// If there is no such table or key, or the row does not fit the type.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, table: &str, key: impl Into<Key>) -> Option<T> {
        let shape = self.shape.tables.iter().find(|it| it.name == table);
        let shape = shape.unwrap_or_else(|| panic!("there is no table {table}"));
        let key = resolve_key(shape, key.into()).unwrap_or_else(|reason| panic!("table {table}: {reason}"));
        self.contents().remove(table)?.remove(&key).map(read)
    }

    /// All rows of a table in the order of their keys, read into a type that derives `Deserialize`.
    ///
    /// # Panics
    /// If there is no such table, or a row does not fit the type.
    #[must_use]
    pub fn all<T: DeserializeOwned>(&self, table: &str) -> Vec<T> {
        let contents = self.contents().remove(table).unwrap_or_else(|| panic!("there is no table {table}"));
        contents.into_values().map(read).collect()
    }

    /// Everything that queries see.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<&'static str, TableContents> {
        let tables = self.shape.tables.iter().enumerate();
        tables.map(|(place, table)| (table.name, self.model.rows(place).collect())).collect()
    }
}

fn read<T: DeserializeOwned>(row: Vec<(&'static str, Value)>) -> T {
    let columns: Vec<String> = row.iter().map(|(name, _)| (*name).to_owned()).collect();
    let cells = row.into_iter().map(|(_, value)| match value {
        Value::Null => Cell::Null,
        Value::Text(text) => Cell::Text(text),
        Value::Integer(number) | Value::Timestamp(Timestamp(number)) => Cell::Integer(number),
        Value::Boolean(yes) => Cell::Boolean(yes),
        Value::Json(json) => Cell::Text(json.to_string()),
    });
    read_row(&columns, cells.collect()).unwrap_or_else(|error| panic!("a row cannot be read: {error}"))
}
