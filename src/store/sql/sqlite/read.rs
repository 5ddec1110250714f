//! Reads views at one moment: one connection to the control file, with each view's file attached.
//!
//! A transaction sees each file as it was when it first read from it. So the positions of a view are
//! read before anything else of it, and belong to its rows.

use std::fmt::Write;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqlitePoolOptions, SqliteRow, SqliteValueRef};
use sqlx::{AssertSqlSafe, Decode, Executor, Sqlite, SqlitePool, Transaction, TypeInfo, ValueRef};

use super::super::ddl::quoted;
use super::super::error::view_error;
use super::super::selected::{CellRow, selected};
use super::super::stored;
use super::write::statement;
use super::{Built, SqliteViews, options};
use crate::clock;
use crate::projection::{Cell, Generation, ParkedAggregate, Progress, Reading, Selected, Shape, Value, ViewError};

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
            let mut views = Vec::with_capacity(shapes.len());
            for (shape, (_, generation)) in shapes.iter().zip(&generations) {
                match progress(&mut transaction, shape, *generation).await {
                    Ok((progress, live)) if self.live.is(&progress, shape.view, live)? => views.push(progress),
                    Ok(_) => break,
                    Err(error) => {
                        // Perhaps it was dropped, and another one is live.
                        self.live.forget(shape.view);
                        if self.look_up(shape).await?.1 == *generation {
                            return Err(error);
                        }
                        break;
                    }
                }
            }
            if views.len() == shapes.len() {
                return SqliteReading { transaction, progress: views }.limited(limit).await;
            }
            self.readers.lock().unwrap_or_else(PoisonError::into_inner).remove(&generations);
        }
        Err(ViewError::Unavailable("the live generation of a view changes all the time".to_owned()))
    }

    /// One generation at one moment, live or not.
    pub async fn read_one(
        &self,
        shape: &Shape,
        generation: Generation,
        limit: Duration,
    ) -> Result<SqliteReading, ViewError> {
        let pool = self.reader(&[(shape.view, generation)])?;
        let mut transaction = pool.begin().await.map_err(view_error)?;
        let (progress, _) = progress(&mut transaction, shape, generation).await?;
        SqliteReading { transaction, progress: vec![progress] }.limited(limit).await
    }

    /// The connections that read these generations together.
    fn reader(&self, generations: &[Built]) -> Result<SqlitePool, ViewError> {
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
        // The limit of the reading before it is not the next one's.
        let pool = pool.after_release(|connection, _| {
            Box::pin(async move {
                connection.lock_handle().await?.remove_progress_handler();
                Ok(true)
            })
        });
        let pool = pool.connect_lazy_with(options(&self.folder.join("views.db")).create_if_missing(false));
        readers.insert(generations.to_vec(), pool.clone());
        Ok(pool)
    }

    pub async fn parked_of(
        &self,
        shape: &Shape,
        built: Built,
        limit: usize,
    ) -> Result<Vec<ParkedAggregate>, ViewError> {
        let mut connection = self.reader(&[built])?.acquire().await.map_err(view_error)?;
        let sql = stored::select_parked(&format!("{}.", attached(shape.view)), limit);
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await.map_err(view_error)?;
        stored::parked(shape, &rows)
    }
}

async fn progress(
    connection: &mut SqliteConnection,
    shape: &Shape,
    generation: Generation,
) -> Result<(Progress, Option<Generation>), ViewError> {
    let schema = format!("{}.", attached(shape.view));
    let sql = stored::select_progress(shape, &schema, "main.headwater_generations");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(view_error)?;
    stored::progress(shape, generation, &rows)
}

impl SqliteReading {
    async fn limited(mut self, limit: Duration) -> Result<Self, ViewError> {
        let until = clock::instant() + limit;
        let mut handle = self.transaction.lock_handle().await.map_err(view_error)?;
        handle.set_progress_handler(STEPS, move || clock::instant() < until);
        drop(handle);
        Ok(self)
    }
}

#[async_trait]
impl Reading for SqliteReading {
    fn progress(&self) -> &[Progress] {
        &self.progress
    }

    async fn select(&mut self, sql: &str, parameters: &[Value], limit: usize) -> Result<Selected, ViewError> {
        selected(statement(sql, parameters).fetch(&mut *self.transaction), limit).await
    }
}

impl CellRow for SqliteRow {
    fn cell(value: SqliteValueRef<'_>) -> Result<Cell, String> {
        cell(value)
    }
}

fn cell(value: SqliteValueRef<'_>) -> Result<Cell, String> {
    let text = |error: sqlx::error::BoxDynError| error.to_string();
    let name = value.type_info().name().to_owned();
    match name.as_str() {
        "INTEGER" => Decode::<Sqlite>::decode(value).map(Cell::Integer).map_err(text),
        "REAL" => Decode::<Sqlite>::decode(value).map(Cell::Real).map_err(text),
        "TEXT" => Decode::<Sqlite>::decode(value).map(Cell::Text).map_err(text),
        _ => Err(format!("is of type {name}, which the databases do not share")),
    }
}
