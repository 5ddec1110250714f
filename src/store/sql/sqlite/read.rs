//! Reads views at one moment: one connection to the control file, with each view's file attached.
//!
//! A transaction sees each file as it was when it first read from it. So the positions of a view are
//! read before anything else of it, and belong to its rows.

use std::fmt::Write;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnection, SqlitePoolOptions, SqliteRow, SqliteValueRef};
use sqlx::{AssertSqlSafe, Column, Decode, Executor, Row, Sqlite, SqlitePool, Transaction, TypeInfo, ValueRef};

use super::super::ddl::quoted;
use super::super::error::view_error;
use super::super::stored;
use super::{Generation, SqliteViews, options};
use crate::clock;
use crate::projection::{Cell, ParkedAggregate, Progress, Reading, Selected, Shape, Value, ViewError};

/// A generation is exchanged seldom; more than this in a row is no accident.
const ATTEMPTS: usize = 5;
const READERS: u32 = 4;
/// How many steps of its virtual machine `SQLite` does between two looks at the clock.
const STEPS: i32 = 20_000;
const ACQUIRE_WAIT: Duration = Duration::from_secs(10);

pub struct SqliteReading {
    transaction: Transaction<'static, Sqlite>,
    progress: Vec<Progress>,
}

/// The name that a view's file is attached under.
fn attached(view: &str) -> String {
    quoted(&format!("view_{view}"))
}

impl SqliteViews {
    pub async fn begin_reading(&self, shapes: &[Arc<Shape>], limit: Duration) -> Result<SqliteReading, ViewError> {
        for _ in 0..ATTEMPTS {
            let mut generations = Vec::with_capacity(shapes.len());
            for shape in shapes {
                generations.push(self.live(shape).await?);
            }
            let pool = self.reader(&generations)?;
            let mut transaction = pool.begin().await.map_err(view_error)?;
            if !self.is_live(&mut transaction, shapes).await? {
                self.readers.lock().unwrap_or_else(PoisonError::into_inner).remove(&generations);
                continue;
            }
            let mut views = Vec::with_capacity(shapes.len());
            for shape in shapes {
                views.push(progress(&mut transaction, shape).await?);
            }
            let until = clock::instant() + limit;
            let mut handle = transaction.lock_handle().await.map_err(view_error)?;
            handle.set_progress_handler(STEPS, move || clock::instant() < until);
            drop(handle);
            return Ok(SqliteReading { transaction, progress: views });
        }
        Err(ViewError::Unavailable("the live generation of a view changes all the time".to_owned()))
    }

    /// The connections that read these generations together.
    fn reader(&self, generations: &[Generation]) -> Result<SqlitePool, ViewError> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = readers.get(generations) {
            return Ok(pool.clone());
        }
        let mut attach = String::new();
        for generation in generations {
            let file = self.file(*generation);
            let file = file.to_str().ok_or_else(|| ViewError::Address(format!("{}: not a text", file.display())))?;
            let _ = write!(attach, "ATTACH '{}' AS {}; ", file.replace('\'', "''"), attached(generation.0));
        }
        attach.push_str("PRAGMA query_only = ON");
        let pool = SqlitePoolOptions::new().max_connections(READERS).acquire_timeout(ACQUIRE_WAIT);
        let pool = pool.after_connect(move |connection, _| {
            let attach = attach.clone();
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(AssertSqlSafe(attach))).await?;
                Ok(())
            })
        });
        let pool = pool.connect_lazy_with(options(&self.folder.join("views.db")).create_if_missing(false));
        readers.insert(generations.to_vec(), pool.clone());
        Ok(pool)
    }

    /// Whether the generations that are read are the live ones; if not, remembers those that are.
    async fn is_live(&self, connection: &mut SqliteConnection, shapes: &[Arc<Shape>]) -> Result<bool, ViewError> {
        let mut live = true;
        for shape in shapes {
            let select = sqlx::query("SELECT live FROM main.headwater_generations WHERE view = ?").bind(shape.view);
            let row = select.fetch_optional(&mut *connection).await.map_err(view_error)?;
            let row = row.ok_or_else(|| ViewError::Missing { view: shape.view.to_owned() })?;
            let generation: i64 = row.try_get(0).map_err(view_error)?;
            live &= self.remembered(shape.view) == Some(generation);
            self.remember(shape.view, generation);
        }
        Ok(live)
    }
}

async fn progress(connection: &mut SqliteConnection, shape: &Shape) -> Result<Progress, ViewError> {
    let sql = stored::select_progress(&format!("{}.", attached(shape.view)));
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(view_error)?;
    stored::progress(shape, &rows)
}

impl SqliteReading {
    pub async fn parked(&mut self, shape: &Shape, limit: usize) -> Result<Vec<ParkedAggregate>, ViewError> {
        let sql = stored::select_parked(&format!("{}.", attached(shape.view)), limit);
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *self.transaction).await.map_err(view_error)?;
        stored::parked(shape, &rows)
    }
}

#[async_trait]
impl Reading for SqliteReading {
    fn progress(&self) -> &[Progress] {
        &self.progress
    }

    async fn select(&mut self, sql: &str, parameters: &[Value], limit: usize) -> Result<Selected, ViewError> {
        let mut statement = sqlx::query(AssertSqlSafe(sql));
        for value in parameters {
            statement = match value {
                Value::Null => statement.bind(None::<i64>),
                Value::Text(text) => statement.bind(text.clone()),
                Value::Integer(number) => statement.bind(*number),
                Value::Boolean(yes) => statement.bind(*yes),
                Value::Timestamp(time) => statement.bind(time.0),
                Value::Json(json) => statement.bind(json.to_string()),
            };
        }
        let mut stream = statement.fetch(&mut *self.transaction);
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
}

fn cells(row: &SqliteRow) -> Result<Vec<Cell>, ViewError> {
    let cell = |column: &sqlx::sqlite::SqliteColumn| {
        let value = row.try_get_raw(column.ordinal()).map_err(view_error)?;
        cell(value).map_err(|reason| ViewError::Failed(format!("column {}: {reason}", column.name())))
    };
    row.columns().iter().map(cell).collect()
}

fn cell(value: SqliteValueRef<'_>) -> Result<Cell, String> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let text = |error: sqlx::error::BoxDynError| error.to_string();
    let name = value.type_info().name().to_owned();
    match name.as_str() {
        "INTEGER" => Decode::<Sqlite>::decode(value).map(Cell::Integer).map_err(text),
        "REAL" => Decode::<Sqlite>::decode(value).map(Cell::Real).map_err(text),
        "TEXT" => Decode::<Sqlite>::decode(value).map(Cell::Text).map_err(text),
        _ => Err(format!("is of type {name}, which the databases do not share")),
    }
}
