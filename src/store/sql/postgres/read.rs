//! Reads views at one moment, in a read-only transaction on one snapshot.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnection, PgRow, PgValueFormat, PgValueRef};
use sqlx::{AssertSqlSafe, Decode, Postgres, Transaction, TypeInfo, ValueRef};

use super::super::ddl::{list, quoted};
use super::super::error::view_error;
use super::super::selected::{CellRow, selected};
use super::super::stored;
use super::{PostgresViews, bind, numeric};
use crate::projection::{Cell, Generation, ParkedAggregate, Progress, Reading, Selected, Shape, Value, ViewError};

/// A generation is exchanged seldom; more than this in a row is no accident.
const ATTEMPTS: usize = 5;

struct PostgresReading {
    transaction: Transaction<'static, Postgres>,
    progress: Vec<Progress>,
    /// Stands before each statement, as a comment. The same text means other tables in another schema,
    /// and prepared statements are found by their text.
    schemas: String,
}

impl PostgresViews {
    pub async fn begin_reading(
        &self,
        shapes: &[Arc<Shape>],
        limit: Duration,
    ) -> Result<impl Reading + use<>, ViewError> {
        for _ in 0..ATTEMPTS {
            let mut generations = Vec::with_capacity(shapes.len());
            let mut schemas = Vec::with_capacity(shapes.len());
            for shape in shapes {
                let generation = self.live(shape).await?;
                generations.push(generation);
                schemas.push(self.schema_name(shape.view, generation)?);
            }
            let mut transaction = self.snapshot(&schemas, limit).await?;
            let (mut views, mut failed) = (Vec::with_capacity(shapes.len()), None);
            for (shape, generation) in shapes.iter().zip(generations) {
                match self.progress_within(&mut transaction, shape, generation).await {
                    Ok((progress, live)) if self.live.is(&progress, shape.view, live)? => views.push(progress),
                    Ok(_) => break,
                    Err(error) => {
                        failed = Some((shape, generation, error));
                        break;
                    }
                }
            }
            if let Some((shape, generation, error)) = failed {
                drop(transaction);
                self.look_again(shape, generation, error).await?;
            } else if views.len() == shapes.len() {
                return Ok(PostgresReading { transaction, progress: views, schemas: schemas.join(" ") });
            }
        }
        Err(changes_all_the_time())
    }

    /// How far the live generation is, in one round trip if it is the one that was last seen.
    pub async fn progress_of(&self, shape: &Shape) -> Result<Progress, ViewError> {
        for _ in 0..ATTEMPTS {
            let generation = self.live(shape).await?;
            let mut connection = self.pool.acquire().await.map_err(view_error)?;
            match self.progress_within(&mut connection, shape, generation).await {
                Ok((progress, live)) if self.live.is(&progress, shape.view, live)? => return Ok(progress),
                Ok(_) => {}
                Err(error) => {
                    drop(connection);
                    self.look_again(shape, generation, error).await?;
                }
            }
        }
        Err(changes_all_the_time())
    }

    /// A generation that cannot be read was perhaps dropped, and another one is live: then it is not an error.
    async fn look_again(&self, shape: &Shape, seen: Generation, error: ViewError) -> Result<(), ViewError> {
        self.live.forget(shape.view);
        if self.look_up(shape).await? == seen { Err(error) } else { Ok(()) }
    }

    /// One generation at one moment, live or not.
    pub async fn read_one(
        &self,
        shape: &Shape,
        generation: Generation,
        schema: &str,
        limit: Duration,
    ) -> Result<impl Reading + use<>, ViewError> {
        let mut transaction = self.snapshot(&[schema.to_owned()], limit).await?;
        let (progress, _) = self.progress_within(&mut transaction, shape, generation).await?;
        Ok(PostgresReading { transaction, progress: vec![progress], schemas: schema.to_owned() })
    }

    async fn snapshot(&self, schemas: &[String], limit: Duration) -> Result<Transaction<'static, Postgres>, ViewError> {
        // Who reads no view asks the database about itself.
        let path = if schemas.is_empty() { "''".to_owned() } else { list(schemas.iter().map(String::as_str)) };
        // Locking a table takes no snapshot, so the snapshot comes after any reset under way.
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE {} IN ACCESS SHARE MODE; \
             SET LOCAL search_path = {path}; SET LOCAL statement_timeout = {}",
            self.control(),
            limit.as_millis()
        );
        self.pool.begin_with(AssertSqlSafe(begin)).await.map_err(view_error)
    }

    pub async fn progress_within(
        &self,
        connection: &mut PgConnection,
        shape: &Shape,
        generation: Generation,
    ) -> Result<(Progress, Option<Generation>), ViewError> {
        let schema = format!("{}.", quoted(&self.schema_name(shape.view, generation)?));
        let sql = stored::select_progress(shape, &schema, &self.control());
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(view_error)?;
        stored::progress(shape, generation, &rows)
    }
}

fn changes_all_the_time() -> ViewError {
    ViewError::Unavailable("the live generation of a view changes all the time".to_owned())
}

pub async fn parked(
    connection: &mut PgConnection,
    shape: &Shape,
    schema: &str,
    limit: usize,
) -> Result<Vec<ParkedAggregate>, ViewError> {
    let sql = stored::select_parked(&format!("{}.", quoted(schema)), limit);
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(view_error)?;
    stored::parked(shape, &rows)
}

#[async_trait]
impl Reading for PostgresReading {
    fn progress(&self) -> &[Progress] {
        &self.progress
    }

    async fn select(&mut self, sql: &str, parameters: &[Value], limit: usize) -> Result<Selected, ViewError> {
        let sql = format!("/* {} */ {}", self.schemas, bind::numbered(sql, parameters));
        selected(bind::statement(sql, parameters).fetch(&mut *self.transaction), limit).await
    }
}

impl CellRow for PgRow {
    fn cell(value: PgValueRef<'_>) -> Result<Cell, String> {
        cell(value)
    }
}

fn cell(value: PgValueRef<'_>) -> Result<Cell, String> {
    let text = |error: sqlx::error::BoxDynError| error.to_string();
    let name = value.type_info().name().to_owned();
    match name.as_str() {
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "unknown" => {
            Decode::<Postgres>::decode(value).map(Cell::Text).map_err(text)
        }
        "INT8" => Decode::<Postgres>::decode(value).map(Cell::Integer).map_err(text),
        "INT4" => <i32 as Decode<Postgres>>::decode(value).map(|it| Cell::Integer(it.into())).map_err(text),
        "INT2" => <i16 as Decode<Postgres>>::decode(value).map(|it| Cell::Integer(it.into())).map_err(text),
        "BOOL" => Decode::<Postgres>::decode(value).map(Cell::Boolean).map_err(text),
        "FLOAT8" => Decode::<Postgres>::decode(value).map(Cell::Real).map_err(text),
        "FLOAT4" => <f32 as Decode<Postgres>>::decode(value).map(|it| Cell::Real(it.into())).map_err(text),
        "NUMERIC" if value.format() == PgValueFormat::Binary => numeric::cell(value.as_bytes().map_err(text)?),
        "JSON" | "JSONB" => {
            let bytes = value.as_bytes().map_err(text)?;
            // In binary, JSONB begins with its format's version.
            let json = if name == "JSONB" { bytes.strip_prefix(b"\x01").unwrap_or(bytes) } else { bytes };
            String::from_utf8(json.to_vec()).map(Cell::Text).map_err(|error| error.to_string())
        }
        _ => Err(format!("is of type {name}, which the databases do not share; cast it to text or a number")),
    }
}
