//! Which generations there are: the control table, and the making of a first generation.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::super::ddl::{self, Dialect, quoted};
use super::super::error::view_error;
use super::super::positions;
use super::super::stored::StoredRow;
use super::PostgresViews;
use super::write::PostgresWriting;
use crate::projection::{Generation, Shape, SourcePartition, ViewError};

/// `PostgreSQL` cuts longer names off without a word, and two could become one.
const NAME_BYTES: usize = 63;

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), ViewError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map_err(view_error)?;
    Ok(())
}

impl PostgresViews {
    /// The control table, quoted.
    pub fn control(&self) -> String {
        format!("{}.generations", quoted(&format!("{}_views", self.app)))
    }

    pub fn schema_name(&self, view: &str, generation: Generation) -> Result<String, ViewError> {
        let name = format!("{}_{view}_{generation}", self.app);
        if name.len() <= NAME_BYTES {
            return Ok(name);
        }
        Err(ViewError::Failed(format!(
            "schema {name} has {} bytes, and PostgreSQL takes {NAME_BYTES}; shorten the application's or the view's name",
            name.len()
        )))
    }

    /// Creating a thing "if it does not exist" still fails when two do it at once; so one at a time.
    async fn lock_catalog(&self, connection: &mut PgConnection) -> Result<(), ViewError> {
        let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind(self.control());
        lock.execute(connection).await.map_err(view_error)?;
        Ok(())
    }

    pub async fn make_control(&self) -> Result<(), ViewError> {
        let mut transaction = self.pool.begin().await.map_err(view_error)?;
        self.lock_catalog(&mut transaction).await?;
        let (schema, control) = (quoted(&format!("{}_views", self.app)), self.control());
        run(&mut transaction, format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await?;
        run(
            &mut transaction,
            format!("CREATE TABLE IF NOT EXISTS {control} (view TEXT PRIMARY KEY, live BIGINT NOT NULL)"),
        )
        .await?;
        transaction.commit().await.map_err(view_error)
    }

    /// Asks for the live generation of a view, and holds its shape to this one.
    pub async fn look_up(&self, shape: &Shape) -> Result<Generation, ViewError> {
        let mut connection = self.pool.acquire().await.map_err(view_error)?;
        let live = self.live_within(&mut connection, shape.view).await?;
        let live = live.ok_or_else(|| ViewError::Missing { view: shape.view.to_owned() })?;
        // The shape of a generation never changes.
        if self.live.remembered(shape.view) != Some(live) {
            let schema = quoted(&self.schema_name(shape.view, live)?);
            check_shape(&mut connection, shape, &schema).await?;
            self.live.remember(shape.view, live);
        }
        Ok(live)
    }

    pub async fn live_within(
        &self,
        connection: &mut PgConnection,
        view: &str,
    ) -> Result<Option<Generation>, ViewError> {
        let sql = format!("SELECT live FROM {} WHERE view = $1", self.control());
        let row = sqlx::query(AssertSqlSafe(sql)).bind(view.to_owned()).fetch_optional(connection).await;
        row.map_err(view_error)?.map(|row| Ok(Generation(row.get(0)?))).transpose()
    }

    /// Makes the first generation of a view if there is none, and the positions of partitions.
    pub async fn make(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError> {
        let mut transaction = self.pool.begin().await.map_err(view_error)?;
        self.lock_catalog(&mut transaction).await?;
        let live = self.live_within(&mut transaction, shape.view).await?;
        if live.is_none() {
            self.create(&mut transaction, shape, Generation::FIRST).await?;
            let sql = format!("INSERT INTO {} (view, live) VALUES ($1, $2)", self.control());
            let insert = sqlx::query(AssertSqlSafe(sql)).bind(shape.view).bind(Generation::FIRST.0);
            insert.execute(&mut *transaction).await.map_err(view_error)?;
        }
        let generation = live.unwrap_or_default();
        let schema = quoted(&self.schema_name(shape.view, generation)?);
        check_shape(&mut transaction, shape, &schema).await?;
        let schema = format!("{schema}.");
        for index in ddl::indexes(shape, Dialect::Postgres, &schema) {
            run(&mut transaction, index).await?;
        }
        let mut writing = PostgresWriting { transaction, schema };
        positions::begin(&mut writing, partitions).await?;
        writing.transaction.commit().await.map_err(view_error)?;
        self.live.remember(shape.view, generation);
        Ok(())
    }

    pub async fn create(
        &self,
        connection: &mut PgConnection,
        shape: &Shape,
        generation: Generation,
    ) -> Result<(), ViewError> {
        let schema = quoted(&self.schema_name(shape.view, generation)?);
        run(connection, format!("CREATE SCHEMA {schema}")).await?;
        for statement in ddl::create(shape, Dialect::Postgres, &format!("{schema}.")) {
            run(connection, statement).await?;
        }
        let sql = format!("INSERT INTO {schema}.headwater_shape (shape, partial) VALUES ($1, FALSE)");
        sqlx::query(AssertSqlSafe(sql)).bind(shape.text()).execute(connection).await.map_err(view_error)?;
        Ok(())
    }
}

pub async fn check_shape(connection: &mut PgConnection, shape: &Shape, schema: &str) -> Result<(), ViewError> {
    let sql = format!("SELECT shape FROM {schema}.headwater_shape");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await.map_err(view_error)?;
    shape.require(row.get(0)?)
}
