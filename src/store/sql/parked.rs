//! The aggregates that a generation no longer folds, because one of their events failed.

use super::apply::Transacting;
use crate::projection::{Batch, Parking, SourcePartition, Value, ViewError};

/// Notes the events of parked aggregates that a batch passes over.
pub async fn park<T: Transacting>(on: &mut T, batch: &Batch) -> Result<(), ViewError> {
    for ((source, aggregate_id), parking) in batch.parked() {
        park_one(on, *source, aggregate_id, parking).await?;
    }
    Ok(())
}

async fn park_one<T: Transacting>(
    on: &mut T,
    source: SourcePartition,
    aggregate_id: &str,
    parking: &Parking,
) -> Result<(), ViewError> {
    let (schema, greatest) = (on.schema(), T::DIALECT.greatest());
    let (events, last) = (Value::Integer(parking.events), Value::from(parking.last_offset));
    let (aggregate, id) = (Value::from(source.aggregate), Value::from(aggregate_id));
    let Some(first) = &parking.first else {
        let sql = format!(
            "UPDATE {schema}headwater_parked SET events = events + ?, last_offset = {greatest}(last_offset, ?) \
             WHERE aggregate = ? AND aggregate_id = ?"
        );
        on.execute(&sql, &[events, last, aggregate, id]).await?;
        return Ok(());
    };
    let sql = format!(
        "INSERT INTO {schema}headwater_parked AS t (aggregate, aggregate_id, events, last_offset, partition, \
         first_offset, sequence, version, reason, parked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (aggregate, aggregate_id) DO UPDATE SET events = t.events + excluded.events, \
         last_offset = {greatest}(t.last_offset, excluded.last_offset)"
    );
    let place = [source.partition.into(), first.offset.into(), first.sequence.into(), first.version.into()];
    let why = [Value::from(&first.reason), Value::Timestamp(first.at)];
    let parameters = [aggregate, id, events, last].into_iter().chain(place).chain(why).collect::<Vec<_>>();
    on.execute(&sql, &parameters).await?;
    Ok(())
}
