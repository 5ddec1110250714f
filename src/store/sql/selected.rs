//! What a `SELECT` gives, the same from both databases.

use futures::{Stream, TryStreamExt};
use sqlx::{Column, ColumnIndex, Database, Row, ValueRef};

use super::error::view_error;
use crate::projection::{Cell, Selected, ViewError};

/// A row of either database.
pub trait CellRow: Row {
    /// What stands in a column, which is not null; `Err` says why it cannot be given.
    fn cell(value: <Self::Database as Database>::ValueRef<'_>) -> Result<Cell, String>;
}

/// Collects rows until there are more than `limit`.
pub async fn selected<R>(
    mut stream: impl Stream<Item = sqlx::Result<R>> + Unpin,
    limit: usize,
) -> Result<Selected, ViewError>
where
    R: CellRow,
    usize: ColumnIndex<R>,
{
    let mut selected = Selected::default();
    while selected.rows.len() <= limit
        && let Some(row) = stream.try_next().await.map_err(view_error)?
    {
        if selected.columns.is_empty() {
            selected.columns = row.columns().iter().map(|column| column.name().to_owned()).collect();
        }
        selected.rows.push(cells(&row)?);
    }
    Ok(selected)
}

fn cells<R>(row: &R) -> Result<Vec<Cell>, ViewError>
where
    R: CellRow,
    usize: ColumnIndex<R>,
{
    let cell = |column: &<R::Database as Database>::Column| {
        let value = row.try_get_raw(column.ordinal()).map_err(view_error)?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        R::cell(value).map_err(|reason| ViewError::Failed(format!("column {}: {reason}", column.name())))
    };
    row.columns().iter().map(cell).collect()
}
