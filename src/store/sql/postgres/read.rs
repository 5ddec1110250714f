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
            if !self.is_live(&mut transaction, shapes).await? {
                continue;
            }
            let mut views = Vec::with_capacity(shapes.len());
            for ((shape, schema), generation) in shapes.iter().zip(&schemas).zip(generations) {
                views.push(progress(&mut transaction, shape, schema, generation).await?);
            }
            return Ok(PostgresReading { transaction, progress: views, schemas: schemas.join(" ") });
        }
        Err(ViewError::Unavailable("the live generation of a view changes all the time".to_owned()))
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
        let progress = vec![progress(&mut transaction, shape, schema, generation).await?];
        Ok(PostgresReading { transaction, progress, schemas: schema.to_owned() })
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

    /// Whether the generations that are read are the live ones.
    async fn is_live(&self, connection: &mut PgConnection, shapes: &[Arc<Shape>]) -> Result<bool, ViewError> {
        let sql = format!("SELECT view, live FROM {} WHERE view = ANY($1)", self.control());
        let names: Vec<&str> = shapes.iter().map(|shape| shape.view).collect();
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(names).fetch_all(connection).await.map_err(view_error)?;
        self.live.agrees(shapes, &rows)
    }
}

pub async fn progress(
    connection: &mut PgConnection,
    shape: &Shape,
    schema: &str,
    generation: Generation,
) -> Result<Progress, ViewError> {
    let sql = stored::select_progress(&format!("{}.", quoted(schema)));
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(view_error)?;
    stored::progress(shape, generation, &rows)
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
