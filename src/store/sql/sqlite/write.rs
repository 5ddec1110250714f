//! A batch in one `SQLite` transaction.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Sqlite, Transaction};

use super::super::apply::{self, Writing};
use super::super::ddl::{self, Dialect, quoted, stored_name};
use super::super::error::view_error;
use super::super::rowset::{Data, Rowset};
use super::super::seen::{Mended, Ragged};
use super::super::statements;
use super::super::stored::{StoredRow, row_key};
use super::BEGIN_WRITING;
use crate::projection::{
    Applied, Batch, COMPLETE_TO, KeyPart, Parking, Reset, RowKey, Shape, SourcePartition, Table, ViewError,
};

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// `SQLITE_MAX_VARIABLE_NUMBER` as it is built in.
const VARIABLES: usize = 32_766;
/// Few sizes, so that each statement is compiled once and then found again.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

struct SqliteWriting<'c> {
    transaction: Transaction<'c, Sqlite>,
}

/// Does what a batch says, in one transaction.
pub async fn apply(connection: &mut SqliteConnection, batch: &Batch) -> Result<Applied, ViewError> {
    let transaction = connection.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
    let mut writing = SqliteWriting { transaction };
    let applied = apply::apply(&mut writing, batch).await?;
    // Without a commit the transaction rolls back.
    if applied == Applied::Done {
        writing.transaction.commit().await.map_err(view_error)?;
    }
    Ok(applied)
}

/// Divides rows into stretches of those sizes.
fn chunks(rows: &Rowset<'_>) -> Vec<(usize, usize)> {
    let most = (VARIABLES / rows.columns.len().max(1)).max(1);
    let mut chunks = Vec::new();
    let mut from = 0;
    while from < rows.len {
        let left = rows.len - from;
        let size = SIZES.into_iter().find(|size| *size <= left && *size <= most).unwrap_or(1);
        chunks.push((from, from + size));
        from += size;
    }
    chunks
}

fn insert_into(table: &Table, rows: &Rowset<'_>, len: usize, tail: &str) -> String {
    let columns = ddl::list(rows.columns.iter().map(|column| &*column.name));
    let row = format!("({})", vec!["?"; rows.columns.len()].join(", "));
    let values = vec![row; len].join(", ");
    format!("INSERT INTO {} AS t ({columns}) VALUES {values} {tail}", quoted(&stored_name(table)))
}

fn bind<'q>(mut statement: Statement<'q>, rows: &Rowset<'_>, from: usize, to: usize) -> Statement<'q> {
    for row in from..to {
        for column in &rows.columns {
            statement = match &column.data {
                Data::Text(values) => statement.bind(values[row].as_deref().map(str::to_owned)),
                Data::Json(values) => statement.bind(values[row].clone()),
                Data::Integer(values) => statement.bind(values[row]),
                Data::Boolean(values) => statement.bind(values[row]),
            };
        }
    }
    statement
}

impl SqliteWriting<'_> {
    async fn write(
        &mut self,
        table: &Table,
        rows: &Rowset<'_>,
        tail: &str,
        mut each: impl FnMut(SqliteRow) -> Result<(), ViewError> + Send,
    ) -> Result<(), ViewError> {
        for (from, to) in chunks(rows) {
            let sql = insert_into(table, rows, to - from, tail);
            let statement = bind(sqlx::query(AssertSqlSafe(sql)), rows, from, to);
            for row in statement.fetch_all(&mut *self.transaction).await.map_err(view_error)? {
                each(row)?;
            }
        }
        Ok(())
    }
}

impl SqliteWriting<'_> {
    /// Rows with gaps, at most `limit`.
    async fn ragged(&mut self, table: &Table, limit: usize) -> Result<Vec<Ragged>, ViewError> {
        let (keys, name) = (statements::keys(table), quoted(&stored_name(table)));
        let sql =
            format!("SELECT {keys}, {COMPLETE_TO}, ahead__v FROM {name} WHERE seen__max > {COMPLETE_TO} LIMIT {limit}");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *self.transaction).await.map_err(view_error)?;
        rows.iter().map(|row| ragged_row(table, row)).collect()
    }
}

fn ragged_row(table: &Table, row: &SqliteRow) -> Result<Ragged, ViewError> {
    let width = table.keys.len();
    Ok(Ragged { key: row_key(table, row)?, complete_to: row.get(width)?, ahead: row.get(width + 1)? })
}

impl Writing for SqliteWriting<'_> {
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn advance(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        let sql = "UPDATE headwater_positions SET next_offset = ?, sequence = ? \
                   WHERE aggregate = ? AND partition = ? AND next_offset = ? AND epoch = ?";
        for (source, advance) in batch.advances() {
            let update = sqlx::query(sql).bind(advance.next.0).bind(advance.sequence.0);
            let update = update.bind(source.aggregate).bind(i64::from(source.partition.0));
            let update = update.bind(advance.expected.0).bind(advance.epoch.0);
            if update.execute(&mut *self.transaction).await.map_err(view_error)?.rows_affected() == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn merge(&mut self, table: &Table, rows: &Rowset<'_>, tail: &str) -> Result<Vec<Ragged>, ViewError> {
        if !table.complete {
            self.write(table, rows, tail, |_| Ok(())).await?;
            return Ok(Vec::new());
        }
        // Giving every row back costs more than writing it. As long as no row has a gap, those with a gap
        // afterwards are this batch's own, and the index of rows with gaps holds no other.
        if self.ragged(table, 1).await?.is_empty() {
            self.write(table, rows, tail, |_| Ok(())).await?;
            return self.ragged(table, rows.len).await;
        }
        let tail = format!("{tail} RETURNING {}, {COMPLETE_TO}, ahead__v, seen__max", statements::keys(table));
        let mut ragged = Vec::new();
        let keep_ragged = |row: SqliteRow| {
            if row.get::<i64>(table.keys.len() + 2)? > row.get::<i64>(table.keys.len())? {
                ragged.push(ragged_row(table, &row)?);
            }
            Ok(())
        };
        self.write(table, rows, &tail, keep_ragged).await?;
        Ok(ragged)
    }

    async fn mend(&mut self, table: &Table, rows: &[Mended<'_>]) -> Result<(), ViewError> {
        let same = table.keys.iter().map(|key| format!("{} = ?", quoted(key.name))).collect::<Vec<_>>();
        let sql = format!(
            "UPDATE {} SET {COMPLETE_TO} = ?, ahead__v = ? WHERE {}",
            quoted(&stored_name(table)),
            same.join(" AND ")
        );
        for row in rows {
            let mut update = sqlx::query(AssertSqlSafe(sql.as_str())).bind(row.complete_to).bind(row.ahead.clone());
            for part in row.key {
                update = match part {
                    KeyPart::Text(text) => update.bind(text.clone()),
                    KeyPart::Integer(number) => update.bind(*number),
                    KeyPart::Boolean(yes) => update.bind(*yes),
                };
            }
            update.execute(&mut *self.transaction).await.map_err(view_error)?;
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
        let tail = if returning { format!("{tail} RETURNING {}", statements::keys(table)) } else { tail.to_owned() };
        let mut new = Vec::new();
        let keep_key = |row: SqliteRow| {
            new.push(row_key(table, &row)?);
            Ok(())
        };
        self.write(table, rows, &tail, keep_key).await?;
        Ok(new)
    }

    async fn park(&mut self, batch: &Batch) -> Result<(), ViewError> {
        for ((source, aggregate_id), parking) in batch.parked() {
            park(&mut self.transaction, *source, aggregate_id, parking).await?;
        }
        Ok(())
    }
}

async fn park(
    connection: &mut SqliteConnection,
    source: SourcePartition,
    aggregate_id: &str,
    parking: &Parking,
) -> Result<(), ViewError> {
    let statement = if let Some(first) = &parking.first {
        let sql = "INSERT INTO headwater_parked AS t (aggregate, aggregate_id, events, last_offset, partition, \
                       first_offset, sequence, version, reason, parked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                       ON CONFLICT (aggregate, aggregate_id) DO UPDATE SET events = t.events + excluded.events, \
                       last_offset = excluded.last_offset";
        let statement = sqlx::query(sql).bind(source.aggregate).bind(aggregate_id.to_owned());
        let statement = statement.bind(parking.events).bind(parking.last_offset.0);
        let statement = statement.bind(i64::from(source.partition.0)).bind(first.offset.0);
        let statement = statement.bind(first.sequence.0).bind(first.version.0);
        statement.bind(first.reason.clone()).bind(first.at.0)
    } else {
        let sql = "UPDATE headwater_parked SET events = events + ?, last_offset = ? \
                       WHERE aggregate = ? AND aggregate_id = ?";
        let statement = sqlx::query(sql).bind(parking.events).bind(parking.last_offset.0);
        statement.bind(source.aggregate).bind(aggregate_id.to_owned())
    };
    statement.execute(connection).await.map_err(view_error)?;
    Ok(())
}

/// Does what a reset says, in one transaction; `Moved` if an epoch is not the expected one.
pub async fn reset(connection: &mut SqliteConnection, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError> {
    let mut transaction = connection.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
    let replaying = if reset.empty { "max(replaying_to, sequence)" } else { "replaying_to" };
    let sql = format!(
        "UPDATE headwater_positions SET replaying_to = {replaying}, next_offset = ?, sequence = ?, epoch = epoch + 1 \
         WHERE aggregate = ? AND partition = ? AND epoch = ?"
    );
    for to in &reset.moves {
        let update = sqlx::query(AssertSqlSafe(sql.as_str())).bind(to.next_offset.0).bind(to.sequence.0);
        let update = update.bind(to.source.aggregate).bind(i64::from(to.source.partition.0)).bind(to.epoch.0);
        if update.execute(&mut *transaction).await.map_err(view_error)?.rows_affected() == 0 {
            return Ok(Applied::Moved);
        }
    }
    if reset.empty {
        for table in ddl::emptied(shape) {
            let sql = format!("DELETE FROM {}", quoted(&table));
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction).await.map_err(view_error)?;
        }
    }
    let update = sqlx::query("UPDATE headwater_shape SET partial = ?").bind(!reset.empty);
    update.execute(&mut *transaction).await.map_err(view_error)?;
    transaction.commit().await.map_err(view_error)?;
    Ok(Applied::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::ColumnType;

    #[test]
    fn rows_are_divided_into_few_sizes_within_the_limit_of_variables() {
        let table = Table::once("ledger").key("id", ColumnType::Integer);
        let keys: Vec<RowKey> = (0..600).map(|number| vec![KeyPart::Integer(number)].into()).collect();
        let keys: Vec<&RowKey> = keys.iter().collect();
        let sizes = |rows: &Rowset<'_>| chunks(rows).iter().map(|(from, to)| to - from).collect::<Vec<_>>();
        let mut rows = Rowset::of_keys(&table, &keys);
        assert_eq!(sizes(&rows), [256, 256, 64, 16, 4, 4]);
        while rows.columns.len() < 200 {
            rows.columns.extend(Rowset::of_keys(&table, &keys).columns);
        }
        assert!(sizes(&rows).iter().all(|size| size * rows.columns.len() <= VARIABLES));
        assert_eq!(sizes(&rows).iter().sum::<usize>(), 600);
    }
}
