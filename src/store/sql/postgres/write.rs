//! A batch in one `PostgreSQL` transaction.

use sqlx::{AssertSqlSafe, Postgres, Transaction};

use super::super::apply::{self, Transacting, Writing};
use super::super::ddl::{self, Dialect, quoted, stored_name};
use super::super::error::view_error;
use super::super::rowset::Rowset;
use super::super::seen::{Mended, Ragged};
use super::super::statements;
use super::super::stored::{StoredRow, row_key};
use super::bind;
use crate::projection::{Applied, Batch, COMPLETE_TO, RowKey, Table, Value, ViewError};

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
    /// Does what a batch says, and commits.
    pub async fn apply(mut self, batch: &Batch) -> Result<Applied, ViewError> {
        let applied = apply::apply(&mut self, batch).await?;
        // Without a commit the transaction rolls back.
        if applied == Applied::Done {
            self.transaction.commit().await.map_err(view_error)?;
        }
        Ok(applied)
    }

    fn insert_into(&self, table: &Table, rows: &Rowset<'_>, tail: &str) -> String {
        let (schema, name) = (&self.schema, quoted(&stored_name(table)));
        let columns = ddl::list(rows.columns.iter().map(|column| &*column.name));
        let (selected, unnest) = (bind::selected(rows), bind::unnest(rows));
        format!("INSERT INTO {schema}{name} AS t ({columns}) SELECT {selected} FROM {unnest} {tail}")
    }
}

impl Transacting for PostgresWriting<'_> {
    const DIALECT: Dialect = Dialect::Postgres;

    fn schema(&self) -> &str {
        &self.schema
    }

    async fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64, ViewError> {
        let statement = bind::statement(bind::numbered(sql, parameters), parameters);
        let done = statement.execute(&mut *self.transaction).await.map_err(view_error)?;
        Ok(done.rows_affected())
    }
}

impl Writing for PostgresWriting<'_> {
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
}
