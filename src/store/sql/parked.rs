//! The aggregates that a generation no longer folds, because one of their events failed.

use super::apply::Transacting;
use super::positions;
use crate::projection::{Batch, Parking, Release, SourcePartition, Value, ViewError};

/// Notes the events of parked aggregates that a batch passes over.
pub async fn park<T: Transacting>(on: &mut T, batch: &Batch) -> Result<(), ViewError> {
    for ((source, aggregate_id), parking) in batch.parked() {
        park_one(on, *source, aggregate_id, parking).await?;
    }
    Ok(())
}

/// Releases a parked aggregate, or lets it stay parked at a later event; whether it was as the batch says.
pub async fn release<T: Transacting>(on: &mut T, release: &Release) -> Result<bool, ViewError> {
    let Release { parked, again, folded, skips } = release;
    // What a worker has under way was made with the aggregate parked as it was.
    positions::raise_epoch(on, parked.source).await?;
    let schema = on.schema();
    let is_it = "aggregate = ? AND aggregate_id = ? AND first_offset = ?";
    let name = [Value::from(parked.source.aggregate), Value::from(&parked.aggregate_id), parked.first_offset.into()];
    let (sql, parameters) = match again {
        None => {
            let sql = format!("DELETE FROM {schema}headwater_parked WHERE {is_it} AND last_offset = ?");
            (sql, name.into_iter().chain([parked.last_offset.into()]).collect::<Vec<_>>())
        }
        // It stays parked, so whatever was passed over meanwhile is noted already.
        Some(again) => {
            let sets = "events = events - ?, first_offset = ?, sequence = ?, version = ?, reason = ?, parked_at = ?";
            let sql = format!("UPDATE {schema}headwater_parked SET {sets} WHERE {is_it}");
            let set = [Value::Integer(*folded), again.offset.into(), again.sequence.into(), again.version.into()];
            let why = [Value::from(&again.reason), Value::Timestamp(again.at)];
            (sql, set.into_iter().chain(why).chain(name).collect())
        }
    };
    if on.execute(&sql, &parameters).await? == 0 {
        return Ok(false);
    }
    if *skips {
        let sql = format!("UPDATE {}headwater_shape SET partial = ?", on.schema());
        on.execute(&sql, &[Value::Boolean(true)]).await?;
    }
    Ok(true)
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
