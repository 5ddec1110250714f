//! How far a generation is, and the one way to move it: by compare-and-set.
//!
//! `UPDATE … SET next_offset = new WHERE next_offset = expected AND epoch = mine`, in the transaction of the
//! rows. Where no row is updated there is another owner, or there was a reset; then the transaction is
//! rolled back. Owning a partition in the consumer group is not enough: an owner may have lost it and not
//! know it yet.

use serde_json::{Value as Json, json};

use super::apply::Transacting;
use super::ddl::Dialect;
use crate::clock::is_planted;
use crate::projection::{Advance, Applied, Batch, Reset, SourcePartition, Value, ViewError};

/// The rows of a JSON array, the statement's first parameter, as `u`.
fn rows(dialect: Dialect, columns: &[&str]) -> String {
    let of = |column: &&str| match dialect {
        Dialect::Postgres => format!("{column} {}", if *column == "aggregate" { "text" } else { "bigint" }),
        Dialect::Sqlite => format!("value ->> '{column}' AS {column}"),
    };
    let columns = columns.iter().map(of).collect::<Vec<_>>().join(", ");
    match dialect {
        Dialect::Postgres => format!("jsonb_to_recordset(?::jsonb) AS u({columns})"),
        Dialect::Sqlite => format!("(SELECT {columns} FROM json_each(?)) AS u"),
    }
}

fn named(source: SourcePartition) -> Json {
    json!({"aggregate": source.aggregate, "partition": source.partition.0})
}

fn named_all(sources: impl Iterator<Item = SourcePartition>) -> Value {
    Value::Json(sources.map(named).collect())
}

/// An update takes its locks in no order; two owners of the same partitions could deadlock. Whoever writes
/// to `SQLite` is alone.
async fn lock<T: Transacting>(on: &mut T, sources: Value) -> Result<(), ViewError> {
    if T::DIALECT == Dialect::Postgres {
        let sql = format!(
            "SELECT FROM {}headwater_positions WHERE (aggregate, partition) IN (SELECT u.aggregate, u.partition FROM \
             {}) ORDER BY aggregate, partition FOR UPDATE",
            on.schema(),
            rows(T::DIALECT, &["aggregate", "partition"])
        );
        on.execute(&sql, &[sources]).await?;
    }
    Ok(())
}

/// Moves what a batch moves; whether each partition was where the batch expects it.
pub async fn advance<T: Transacting>(on: &mut T, batch: &Batch) -> Result<bool, ViewError> {
    lock(on, named_all(batch.advances().keys().copied())).await?;
    let columns = ["aggregate", "partition", "expected", "epoch", "next_offset", "sequence"];
    let compared = "AND p.next_offset = u.expected AND p.epoch = u.epoch";
    let compared = if is_planted!(ViewPositionNotCompared) { "" } else { compared };
    let sql = format!(
        "UPDATE {}headwater_positions AS p SET next_offset = u.next_offset, sequence = u.sequence FROM {} \
         WHERE p.aggregate = u.aggregate AND p.partition = u.partition {compared}",
        on.schema(),
        rows(T::DIALECT, &columns)
    );
    let row = |(source, advance): (&SourcePartition, &Advance)| {
        let Advance { expected, mut next, sequence, epoch } = *advance;
        if is_planted!(ViewPositionOneTooFar) {
            next = next.next();
        }
        json!({
            "aggregate": source.aggregate, "partition": source.partition.0, "expected": expected.0,
            "epoch": epoch.0, "next_offset": next.0, "sequence": sequence.0,
        })
    };
    let moved = on.execute(&sql, &[Value::Json(batch.advances().iter().map(row).collect())]).await?;
    Ok(usize::try_from(moved).is_ok_and(|moved| moved == batch.advances().len()))
}

/// Sets partitions elsewhere and raises their epochs; `Moved` if an epoch is not the expected one.
pub async fn reset<T: Transacting>(on: &mut T, reset: &Reset) -> Result<Applied, ViewError> {
    lock(on, named_all(reset.moves.iter().map(|it| it.source))).await?;
    let greatest = T::DIALECT.greatest();
    let replaying = if reset.empty { format!("{greatest}(replaying_to, sequence)") } else { "replaying_to".to_owned() };
    let sql = format!(
        "UPDATE {}headwater_positions SET replaying_to = {replaying}, next_offset = ?, sequence = ?, \
         epoch = epoch + 1 WHERE aggregate = ? AND partition = ? AND epoch = ?",
        on.schema()
    );
    for to in &reset.moves {
        let (next, sequence, epoch) = (to.next_offset.into(), to.sequence.into(), Value::Integer(to.epoch.0));
        let (aggregate, partition) = (to.source.aggregate.into(), to.source.partition.into());
        if on.execute(&sql, &[next, sequence, aggregate, partition, epoch]).await? == 0 {
            return Ok(Applied::Moved);
        }
    }
    Ok(Applied::Done)
}

/// Makes every batch of a partition worthless that was made before.
pub async fn raise_epoch<T: Transacting>(on: &mut T, source: SourcePartition) -> Result<(), ViewError> {
    let sql = format!(
        "UPDATE {}headwater_positions SET epoch = epoch + 1 WHERE aggregate = ? AND partition = ?",
        on.schema()
    );
    on.execute(&sql, &[source.aggregate.into(), source.partition.into()]).await?;
    Ok(())
}

/// Begins partitions of which nothing was folded yet.
pub async fn begin<T: Transacting>(on: &mut T, partitions: &[SourcePartition]) -> Result<(), ViewError> {
    let sql = format!(
        "INSERT INTO {}headwater_positions (aggregate, partition, next_offset, sequence, epoch, replaying_to) \
         SELECT u.aggregate, u.partition, 0, 0, 0, 0 FROM {} WHERE true ORDER BY 1, 2 ON CONFLICT DO NOTHING",
        on.schema(),
        rows(T::DIALECT, &["aggregate", "partition"])
    );
    on.execute(&sql, &[named_all(partitions.iter().copied())]).await?;
    Ok(())
}
