//! A batch in one `SQLite` transaction.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Sqlite, Transaction};

use super::super::apply::{self, Transacting, Writing};
use super::super::ddl::{self, Dialect, quoted, stored_name};
use super::super::error::view_error;
use super::super::rowset::{Data, Rowset};
use super::super::seen::{Mended, Ragged};
use super::super::statements;
use super::super::stored::{StoredRow, row_key};
use super::BEGIN_WRITING;
use crate::projection::{Applied, Batch, COMPLETE_TO, KeyPart, Reset, RowKey, Shape, Table, Value, ViewError};

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// `SQLITE_MAX_VARIABLE_NUMBER` as it is built in.
const VARIABLES: usize = 32_766;
/// Few sizes, so that each statement is compiled once and then found again.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

pub struct SqliteWriting<'c> {
    pub transaction: Transaction<'c, Sqlite>,
}

/// Does what a batch says, in one transaction.
pub async fn apply(connection: &mut SqliteConnection, batch: &Batch) -> Result<Applied, ViewError> {
    SqliteWriting::begin(connection).await?.apply(batch).await
}

/// The same in a transaction that was begun already, and is over afterwards.
pub async fn apply_within(connection: &mut SqliteConnection, batch: &Batch) -> Result<Applied, ViewError> {
    // The outermost that sqlx knows of: its commit is that of the whole transaction.
    let transaction = connection.begin_with("SAVEPOINT held").await.map_err(view_error)?;
    SqliteWriting { transaction }.apply(batch).await
}

/// Does what a reset says, in one transaction; `Moved` if an epoch is not the expected one.
pub async fn reset(connection: &mut SqliteConnection, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError> {
    let mut writing = SqliteWriting::begin(connection).await?;
    let applied = apply::reset(&mut writing, shape, reset).await?;
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

impl<'c> SqliteWriting<'c> {
    pub async fn begin(connection: &'c mut SqliteConnection) -> Result<Self, ViewError> {
        Ok(Self { transaction: connection.begin_with(BEGIN_WRITING).await.map_err(view_error)? })
    }

    async fn apply(mut self, batch: &Batch) -> Result<Applied, ViewError> {
        let applied = apply::apply(&mut self, batch).await?;
        // Without a commit the transaction rolls back.
        if applied == Applied::Done {
            self.transaction.commit().await.map_err(view_error)?;
        }
        Ok(applied)
    }

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

/// A statement with `?` for each parameter.
pub fn statement<'q>(sql: &str, parameters: &[Value]) -> Statement<'q> {
    parameters.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), |statement, value| match value {
        Value::Null => statement.bind(None::<i64>),
        Value::Text(text) => statement.bind(text.clone()),
        Value::Integer(number) => statement.bind(*number),
        Value::Boolean(yes) => statement.bind(*yes),
        Value::Timestamp(time) => statement.bind(time.0),
        Value::Json(json) => statement.bind(json.to_string()),
    })
}

impl Transacting for SqliteWriting<'_> {
    const DIALECT: Dialect = Dialect::Sqlite;

    fn schema(&self) -> &'static str {
        ""
    }

    async fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64, ViewError> {
        let done = statement(sql, parameters).execute(&mut *self.transaction).await.map_err(view_error)?;
        Ok(done.rows_affected())
    }
}

impl Writing for SqliteWriting<'_> {
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
