//! What is stored beside the rows, read back: positions, parked aggregates, keys. The same statements
//! and rows on both databases.

use sqlx::{ColumnIndex, Database, Decode, Row, Type};

use super::error::view_error;
use crate::position::{Offset, Partition, Sequence, Version};
use crate::projection::{
    Column, ColumnType, Epoch, Generation, HeldPosition, KeyPart, ParkedAggregate, Progress, RowKey, Shape,
    SourcePartition, StoredPosition, Table, ViewError,
};

/// A row of either database that holds numbers, texts and booleans.
pub trait StoredRow: Sized {
    fn get<T: Stored<Self>>(&self, place: usize) -> Result<T, ViewError>;
}

/// What a row of that kind can hold.
pub trait Stored<R>: Sized {
    fn read(row: &R, place: usize) -> Result<Self, ViewError>;
}

impl<R, T> Stored<R> for T
where
    R: Row,
    usize: ColumnIndex<R>,
    for<'r> T: Decode<'r, R::Database> + Type<R::Database>,
    R::Database: Database,
{
    fn read(row: &R, place: usize) -> Result<Self, ViewError> {
        row.try_get(place).map_err(view_error)
    }
}

impl<R> StoredRow for R {
    fn get<T: Stored<Self>>(&self, place: usize) -> Result<T, ViewError> {
        T::read(self, place)
    }
}

/// Reads how far a generation of a view is, and which one is live; `schema` is quoted, with a dot, and `control`
/// is the control table.
pub fn select_progress(shape: &Shape, schema: &str, control: &str) -> String {
    format!(
        "SELECT p.aggregate, p.partition, p.next_offset, p.sequence, p.epoch, p.replaying_to, s.partial, \
         (SELECT count(*) FROM {schema}headwater_parked), (SELECT live FROM {control} WHERE view = '{view}') \
         FROM {schema}headwater_shape AS s LEFT JOIN {schema}headwater_positions AS p ON TRUE \
         ORDER BY p.aggregate, p.partition",
        view = shape.view
    )
}

/// How far a generation is, and which one is live, if any.
pub fn progress<R>(
    shape: &Shape,
    generation: Generation,
    rows: &[R],
) -> Result<(Progress, Option<Generation>), ViewError>
where
    i64: Stored<R>,
    bool: Stored<R>,
    Option<i64>: Stored<R>,
    Option<String>: Stored<R>,
{
    let mut progress = Progress { generation, ..Progress::default() };
    let mut live = None;
    for row in rows {
        progress.partial = row.get(6)?;
        progress.parked = row.get::<i64>(7)?.unsigned_abs();
        live = row.get::<Option<i64>>(8)?.map(Generation);
        // A view without positions is a row without them.
        let Some(aggregate) = row.get::<Option<String>>(0)? else { continue };
        progress.positions.push(StoredPosition {
            source: source_of(shape, &aggregate, row.get(1)?)?,
            next_offset: Offset(row.get(2)?),
            sequence: Sequence(row.get(3)?),
            epoch: Epoch(row.get(4)?),
            replaying_to: Sequence(row.get(5)?),
        });
    }
    Ok((progress, live))
}

/// Reads where a generation of any shape stands; `schema` is quoted, with a dot.
pub fn select_held(schema: &str) -> String {
    format!(
        "SELECT aggregate, partition, next_offset, sequence FROM {schema}headwater_positions \
         ORDER BY aggregate, partition"
    )
}

pub fn held<R>(rows: &[R]) -> Result<Vec<HeldPosition>, ViewError>
where
    i64: Stored<R>,
    String: Stored<R>,
{
    let held = rows.iter().map(|row| {
        let partition: i64 = row.get(1)?;
        Ok(HeldPosition {
            aggregate: row.get(0)?,
            partition: Partition(i32::try_from(partition).unwrap_or(i32::MAX)),
            next_offset: Offset(row.get(2)?),
            sequence: Sequence(row.get(3)?),
        })
    });
    held.collect()
}

/// Reads a view's parked aggregates; `schema` is quoted, with a dot.
pub fn select_parked(schema: &str, limit: usize) -> String {
    format!(
        "SELECT aggregate, partition, first_offset, sequence, version, last_offset, events, aggregate_id, reason \
         FROM {schema}headwater_parked ORDER BY aggregate, aggregate_id LIMIT {limit}"
    )
}

pub fn parked<R>(shape: &Shape, rows: &[R]) -> Result<Vec<ParkedAggregate>, ViewError>
where
    i64: Stored<R>,
    String: Stored<R>,
{
    let parked = rows.iter().map(|row| {
        Ok(ParkedAggregate {
            source: source_of(shape, &row.get::<String>(0)?, row.get(1)?)?,
            first_offset: Offset(row.get(2)?),
            sequence: Sequence(row.get(3)?),
            version: Version(row.get(4)?),
            last_offset: Offset(row.get(5)?),
            events: row.get(6)?,
            aggregate_id: row.get(7)?,
            reason: row.get(8)?,
        })
    });
    parked.collect()
}

fn source_of(shape: &Shape, aggregate: &str, partition: i64) -> Result<SourcePartition, ViewError> {
    let known = shape.source(aggregate).zip(i32::try_from(partition).ok());
    let (aggregate, partition) = known.ok_or_else(|| ViewError::Corrupt {
        view: shape.view.to_owned(),
        reason: format!("there is a position of {aggregate}/{partition}, which it does not fold"),
    })?;
    Ok(SourcePartition { aggregate, partition: Partition(partition) })
}

/// A row's key, from its first columns.
pub fn row_key<R>(table: &Table, row: &R) -> Result<RowKey, ViewError>
where
    i64: Stored<R>,
    bool: Stored<R>,
    String: Stored<R>,
{
    let part = |(place, column): (usize, &Column)| match column.kind {
        ColumnType::Text | ColumnType::Json => row.get(place).map(KeyPart::Text),
        ColumnType::Integer | ColumnType::Timestamp => row.get(place).map(KeyPart::Integer),
        ColumnType::Boolean => row.get(place).map(KeyPart::Boolean),
    };
    table.keys.iter().enumerate().map(part).collect()
}
