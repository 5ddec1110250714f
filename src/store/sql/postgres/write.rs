//! A batch in one `PostgreSQL` transaction.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use super::super::apply::Writing;
use super::super::ddl::{self, Dialect, quoted, stored_name};
use super::super::error::view_error;
use super::super::rowset::Rowset;
use super::super::seen::{Mended, Ragged};
use super::super::statements;
use super::super::stored::{StoredRow, row_key};
use super::bind;
use crate::projection::{
    Applied, Batch, COMPLETE_TO, Parking, Reset, RowKey, Shape, SourcePartition, Table, ViewError,
};

/// Statements this large are as fast as they get, and still small in memory.
const ROWS: usize = 20_000;

pub struct PostgresWriting<'c> {
    pub transaction: Transaction<'c, Postgres>,
    /// The quoted schema and a dot.
    pub schema: String,
}

fn chunks(rows: &Rowset<'_>) -> impl Iterator<Item = (usize, usize)> + use<> {
    let len = rows.len;
    (0..len).step_by(ROWS).map(move |from| (from, len.min(from + ROWS)))
}

impl PostgresWriting<'_> {
    fn insert_into(&self, table: &Table, rows: &Rowset<'_>, tail: &str) -> String {
        let (schema, name) = (&self.schema, quoted(&stored_name(table)));
        let columns = ddl::list(rows.columns.iter().map(|column| &*column.name));
        let (selected, unnest) = (bind::selected(rows), bind::unnest(rows));
        format!("INSERT INTO {schema}{name} AS t ({columns}) SELECT {selected} FROM {unnest} {tail}")
    }
}

impl Writing for PostgresWriting<'_> {
    const DIALECT: Dialect = Dialect::Postgres;

    async fn advance(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        let sources: Vec<SourcePartition> = batch.advances().keys().copied().collect();
        lock_positions(&mut self.transaction, &self.schema, &sources).await?;
        let sql = format!(
            "UPDATE {}headwater_positions AS p SET next_offset = u.next_offset, sequence = u.sequence \
             FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
             AS u(aggregate, partition, expected, epoch, next_offset, sequence) \
             WHERE p.aggregate = u.aggregate AND p.partition = u.partition \
             AND p.next_offset = u.expected AND p.epoch = u.epoch",
            self.schema
        );
        let advances = || batch.advances().values();
        let (aggregates, partitions) = names_and_numbers(&sources);
        let update = sqlx::query(AssertSqlSafe(sql))
            .bind(aggregates)
            .bind(partitions)
            .bind(advances().map(|it| it.expected.0).collect::<Vec<_>>())
            .bind(advances().map(|it| it.epoch.0).collect::<Vec<_>>())
            .bind(advances().map(|it| it.next.0).collect::<Vec<_>>())
            .bind(advances().map(|it| it.sequence.0).collect::<Vec<_>>());
        let moved = update.execute(&mut *self.transaction).await.map_err(view_error)?.rows_affected();
        Ok(usize::try_from(moved).is_ok_and(|moved| moved == sources.len()))
    }

    async fn merge(&mut self, table: &Table, rows: &Rowset<'_>, tail: &str) -> Result<Vec<Ragged>, ViewError> {
        if !table.complete {
            self.insert(table, rows, tail, false).await?;
            return Ok(Vec::new());
        }
        let (insert, keys) = (self.insert_into(table, rows, tail), statements::keys(table));
        let sql = format!(
            "WITH merged AS ({insert} RETURNING {keys}, {COMPLETE_TO}, seen__max, ahead__v) \
             SELECT {keys}, {COMPLETE_TO}, ahead__v FROM merged WHERE seen__max > {COMPLETE_TO}"
        );
        let mut ragged = Vec::new();
        for (from, to) in chunks(rows) {
            let statement = bind::bind(sqlx::query(AssertSqlSafe(sql.as_str())), rows, from, to);
            for row in statement.fetch_all(&mut *self.transaction).await.map_err(view_error)? {
                let width = table.keys.len();
                ragged.push(Ragged {
                    key: row_key(table, &row)?,
                    complete_to: row.get(width)?,
                    ahead: row.get(width + 1)?,
                });
            }
        }
        Ok(ragged)
    }

    async fn mend(&mut self, table: &Table, rows: &[Mended<'_>]) -> Result<(), ViewError> {
        let keys: Vec<&RowKey> = rows.iter().map(|row| row.key).collect();
        let mut rowset = Rowset::of_keys(table, &keys);
        rowset.mended(rows);
        let same = table.keys.iter().map(|key| format!("t.{0} = u.{0}", quoted(key.name)));
        let sql = format!(
            "UPDATE {}{} AS t SET {COMPLETE_TO} = u.{COMPLETE_TO}, ahead__v = u.ahead__v FROM {} WHERE {}",
            self.schema,
            quoted(&stored_name(table)),
            bind::unnest(&rowset),
            same.collect::<Vec<_>>().join(" AND ")
        );
        for (from, to) in chunks(&rowset) {
            let statement = bind::bind(sqlx::query(AssertSqlSafe(sql.as_str())), &rowset, from, to);
            statement.execute(&mut *self.transaction).await.map_err(view_error)?;
        }
        Ok(())
    }

    async fn insert(
        &mut self,
        table: &Table,
        rows: &Rowset<'_>,
        tail: &str,
        returning: bool,
    ) -> Result<Vec<RowKey>, ViewError> {
        let mut sql = self.insert_into(table, rows, tail);
        if returning {
            sql = format!("{sql} RETURNING {}", statements::keys(table));
        }
        let mut new = Vec::new();
        for (from, to) in chunks(rows) {
            let statement = bind::bind(sqlx::query(AssertSqlSafe(sql.as_str())), rows, from, to);
            for row in statement.fetch_all(&mut *self.transaction).await.map_err(view_error)? {
                new.push(row_key(table, &row)?);
            }
        }
        Ok(new)
    }

    async fn park(&mut self, batch: &Batch) -> Result<(), ViewError> {
        for ((source, aggregate_id), parking) in batch.parked() {
            park(&mut self.transaction, &self.schema, *source, aggregate_id, parking).await?;
        }
        Ok(())
    }
}

fn names_and_numbers(sources: &[SourcePartition]) -> (Vec<&'static str>, Vec<i64>) {
    sources.iter().map(|source| (source.aggregate, i64::from(source.partition.0))).unzip()
}

/// An update takes its locks in no order; two owners of the same partitions could deadlock.
async fn lock_positions(
    connection: &mut PgConnection,
    schema: &str,
    sources: &[SourcePartition],
) -> Result<(), ViewError> {
    let sql = format!(
        "SELECT FROM {schema}headwater_positions WHERE (aggregate, partition) IN \
         (SELECT * FROM UNNEST($1::text[], $2::bigint[])) ORDER BY aggregate, partition FOR UPDATE"
    );
    let (aggregates, partitions) = names_and_numbers(sources);
    let lock = sqlx::query(AssertSqlSafe(sql)).bind(aggregates).bind(partitions);
    lock.execute(connection).await.map_err(view_error)?;
    Ok(())
}

async fn park(
    connection: &mut PgConnection,
    schema: &str,
    source: SourcePartition,
    aggregate_id: &str,
    parking: &Parking,
) -> Result<(), ViewError> {
    let statement = if let Some(first) = &parking.first {
        let sql = format!(
            "INSERT INTO {schema}headwater_parked AS t (aggregate, aggregate_id, events, last_offset, partition, \
                 first_offset, sequence, version, reason, parked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
                 ON CONFLICT (aggregate, aggregate_id) DO UPDATE SET events = t.events + excluded.events, \
                 last_offset = excluded.last_offset"
        );
        let statement = sqlx::query(AssertSqlSafe(sql)).bind(source.aggregate).bind(aggregate_id.to_owned());
        let statement = statement.bind(parking.events).bind(parking.last_offset.0);
        let statement = statement.bind(i64::from(source.partition.0)).bind(first.offset.0);
        let statement = statement.bind(first.sequence.0).bind(first.version.0);
        statement.bind(first.reason.clone()).bind(first.at.0)
    } else {
        let sql = format!(
            "UPDATE {schema}headwater_parked SET events = events + $3, last_offset = $4 \
                 WHERE aggregate = $1 AND aggregate_id = $2"
        );
        let statement = sqlx::query(AssertSqlSafe(sql)).bind(source.aggregate).bind(aggregate_id.to_owned());
        statement.bind(parking.events).bind(parking.last_offset.0)
    };
    statement.execute(connection).await.map_err(view_error)?;
    Ok(())
}

/// All of a reset but the commit; `Moved` if an epoch is not the expected one.
pub async fn reset(
    connection: &mut PgConnection,
    shape: &Shape,
    schema: &str,
    reset: &Reset,
) -> Result<Applied, ViewError> {
    let schema = format!("{}.", quoted(schema));
    let sources: Vec<SourcePartition> = reset.moves.iter().map(|it| it.source).collect();
    lock_positions(connection, &schema, &sources).await?;
    let replaying = if reset.empty { "GREATEST(replaying_to, sequence)" } else { "replaying_to" };
    let sql = format!(
        "UPDATE {schema}headwater_positions SET replaying_to = {replaying}, next_offset = $4, sequence = $5, \
         epoch = epoch + 1 WHERE aggregate = $1 AND partition = $2 AND epoch = $3"
    );
    for to in &reset.moves {
        let update = sqlx::query(AssertSqlSafe(sql.as_str())).bind(to.source.aggregate);
        let update = update.bind(i64::from(to.source.partition.0)).bind(to.epoch.0);
        let update = update.bind(to.next_offset.0).bind(to.sequence.0);
        if update.execute(&mut *connection).await.map_err(view_error)?.rows_affected() == 0 {
            return Ok(Applied::Moved);
        }
    }
    if reset.empty {
        let tables = ddl::emptied(shape).iter().map(|table| format!("{schema}{}", quoted(table))).collect::<Vec<_>>();
        let sql = format!("TRUNCATE {}", tables.join(", "));
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await.map_err(view_error)?;
    }
    let sql = format!("UPDATE {schema}headwater_shape SET partial = $1");
    sqlx::query(AssertSqlSafe(sql)).bind(!reset.empty).execute(connection).await.map_err(view_error)?;
    Ok(Applied::Done)
}
