//! How a batch becomes one transaction, on either database.
//!
//! Positions come first: their rows are locked in order, and a batch whose offset or epoch is not the
//! expected one changes nothing. Then the tables in the order of the shape, each sorted by key, then
//! the sums: every transaction takes its locks in one order, so partitions never deadlock.

use super::ddl::{self, Dialect, quoted};
use super::rowset::Rowset;
use super::seen::{self, Mended, Ragged};
use super::{parked, positions, statements};
use crate::clock::is_planted;
use crate::projection::{
    Applied, Batch, OnceDelta, Reset, RowDelta, RowKey, Shape, SumKey, Table, TableDelta, Value, ViewError,
};

/// A transaction on one generation, spoken to in the words that both databases know.
pub trait Transacting: Send {
    const DIALECT: Dialect;

    /// What stands before the name of a table: the quoted schema and a dot, or nothing.
    fn schema(&self) -> &str;
    /// Runs a statement with `?` for each parameter; gives how many rows it wrote.
    fn execute(&mut self, sql: &str, parameters: &[Value]) -> impl Future<Output = Result<u64, ViewError>> + Send;
}

/// A transaction that a batch is written in.
pub trait Writing: Transacting {
    /// Inserts rows, doing `tail` with those that are there; gives those with gaps.
    fn merge(
        &mut self,
        table: &Table,
        rows: &Rowset<'_>,
        tail: &str,
    ) -> impl Future<Output = Result<Vec<Ragged>, ViewError>> + Send;
    /// Sets what was seen of rows with gaps.
    fn mend(&mut self, table: &Table, rows: &[Mended<'_>]) -> impl Future<Output = Result<(), ViewError>> + Send;
    /// Inserts rows, doing `tail` with those that are there; gives the keys of the new ones if asked to.
    fn insert(
        &mut self,
        table: &Table,
        rows: &Rowset<'_>,
        tail: &str,
        returning: bool,
    ) -> impl Future<Output = Result<Vec<RowKey>, ViewError>> + Send;
}

/// Writes all of a batch but the commit.
pub async fn apply<W: Writing>(writing: &mut W, batch: &Batch) -> Result<Applied, ViewError> {
    if !positions::advance(writing, batch).await? {
        return Ok(Applied::Moved);
    }
    if let Some(release) = batch.released()
        && !parked::release(writing, release).await?
    {
        return Ok(Applied::Moved);
    }
    let tables = &batch.shape().tables;
    let mut sums: Vec<TableDelta> = tables
        .iter()
        .zip(batch.tables())
        .map(|(table, delta)| if let TableDelta::Sums(_) = delta { delta.clone() } else { TableDelta::empty(table) })
        .collect();
    for (table, delta) in tables.iter().zip(batch.tables()) {
        match delta {
            TableDelta::Rows(rows) if !rows.is_empty() => merge_rows(writing, batch, table, rows).await?,
            TableDelta::Once(rows) if !rows.is_empty() => insert_once(writing, tables, table, rows, &mut sums).await?,
            _ => {}
        }
    }
    for (table, delta) in tables.iter().zip(&sums) {
        if let TableDelta::Sums(sums) = delta
            && !sums.is_empty()
        {
            add_sums(writing, table, sums).await?;
        }
    }
    parked::park(writing, batch).await?;
    Ok(Applied::Done)
}

/// All of a reset but the commit.
pub async fn reset<T: Transacting>(on: &mut T, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError> {
    if positions::reset(on, reset).await? == Applied::Moved {
        return Ok(Applied::Moved);
    }
    if reset.empty && !is_planted!(ReplayKeepsRows) {
        let tables = ddl::emptied(shape).into_iter().map(|table| format!("{}{}", on.schema(), quoted(&table)));
        for statement in T::DIALECT.empty(&tables.collect::<Vec<_>>()) {
            on.execute(&statement, &[]).await?;
        }
    }
    let sql = format!("UPDATE {}headwater_shape SET partial = ?", on.schema());
    on.execute(&sql, &[Value::Boolean(!reset.empty)]).await?;
    Ok(Applied::Done)
}

async fn merge_rows<W: Writing>(
    writing: &mut W,
    batch: &Batch,
    table: &Table,
    rows: &hashbrown::HashMap<RowKey, RowDelta>,
) -> Result<(), ViewError> {
    let mut sorted: Vec<_> = rows.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    let rowset = Rowset::of_rows(table, &sorted);
    let ragged = writing.merge(table, &rowset, &statements::merge_row(table, W::DIALECT)).await?;
    if ragged.is_empty() {
        return Ok(());
    }
    let corrupt = |reason| ViewError::Corrupt { view: batch.shape().view.to_owned(), reason };
    writing.mend(table, &seen::mend(&ragged, rows).map_err(corrupt)?).await
}

async fn insert_once<W: Writing>(
    writing: &mut W,
    tables: &[Table],
    table: &Table,
    rows: &hashbrown::HashMap<RowKey, OnceDelta>,
    sums: &mut [TableDelta],
) -> Result<(), ViewError> {
    let mut sorted: Vec<_> = rows.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    let adds = sorted.iter().any(|(_, row)| !row.adds.is_empty());
    let rowset = Rowset::of_once(table, &sorted);
    let mut new = writing.insert(table, &rowset, &statements::keep_row(table), adds).await?;
    if is_planted!(RepeatedRowAddsAgain) {
        new = rows.keys().cloned().collect();
    }
    for row in new.iter().filter_map(|key| rows.get(key)) {
        for add in &row.adds {
            sums[add.table].add(tables[add.table].sums.len(), add.clone(), row.source);
        }
    }
    Ok(())
}

async fn add_sums<W: Writing>(
    writing: &mut W,
    table: &Table,
    sums: &hashbrown::HashMap<SumKey, Box<[i64]>>,
) -> Result<(), ViewError> {
    let mut sorted: Vec<_> = sums.iter().map(|(key, amounts)| (key, &**amounts)).collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    writing.insert(table, &Rowset::of_sums(table, &sorted), &statements::add_to_sums(table), false).await?;
    Ok(())
}
