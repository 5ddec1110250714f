//! Which generations there are: the control table, and the making of a first generation.

use sqlx::postgres::PgConnection;
use sqlx::{Acquire, AssertSqlSafe, Row};

use super::super::ddl::{self, Dialect, quoted};
use super::super::error::view_error;
use super::PostgresViews;
use crate::projection::{Shape, SourcePartition, ViewError};

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

    pub fn schema_name(&self, view: &str, generation: i64) -> Result<String, ViewError> {
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
        let mut connection = self.pool.acquire().await.map_err(view_error)?;
        let mut transaction = connection.begin().await.map_err(view_error)?;
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

    /// Asks for the live generation of a view.
    pub async fn look_up(&self, view: &'static str) -> Result<i64, ViewError> {
        let sql = format!("SELECT live FROM {} WHERE view = $1", self.control());
        let row = sqlx::query(AssertSqlSafe(sql)).bind(view).fetch_optional(&self.pool).await.map_err(view_error)?;
        let row = row.ok_or_else(|| ViewError::Missing { view: view.to_owned() })?;
        let generation = row.try_get(0).map_err(view_error)?;
        self.remember(view, generation);
        Ok(generation)
    }

    /// Makes the first generation of a view if there is none, and the positions of partitions.
    pub async fn make(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError> {
        let mut connection = self.pool.acquire().await.map_err(view_error)?;
        let mut transaction = connection.begin().await.map_err(view_error)?;
        self.lock_catalog(&mut transaction).await?;
        let sql = format!("SELECT live FROM {} WHERE view = $1", self.control());
        let row = sqlx::query(AssertSqlSafe(sql)).bind(shape.view).fetch_optional(&mut *transaction).await;
        let generation = match row.map_err(view_error)? {
            Some(row) => row.try_get(0).map_err(view_error)?,
            None => self.create(&mut transaction, shape).await?,
        };
        let schema = format!("{}.", quoted(&self.schema_name(shape.view, generation)?));
        check_shape(&mut transaction, shape, &schema).await?;
        for index in ddl::indexes(shape, Dialect::Postgres, &schema) {
            run(&mut transaction, index).await?;
        }
        add_positions(&mut transaction, &schema, partitions).await?;
        transaction.commit().await.map_err(view_error)?;
        self.remember(shape.view, generation);
        Ok(())
    }

    async fn create(&self, connection: &mut PgConnection, shape: &Shape) -> Result<i64, ViewError> {
        let generation = 1;
        let schema = quoted(&self.schema_name(shape.view, generation)?);
        run(connection, format!("CREATE SCHEMA {schema}")).await?;
        for statement in ddl::create(shape, Dialect::Postgres, &format!("{schema}.")) {
            run(connection, statement).await?;
        }
        let sql = format!("INSERT INTO {schema}.headwater_shape (shape, partial) VALUES ($1, FALSE)");
        sqlx::query(AssertSqlSafe(sql)).bind(shape.text()).execute(&mut *connection).await.map_err(view_error)?;
        let sql = format!("INSERT INTO {} (view, live) VALUES ($1, $2)", self.control());
        let insert = sqlx::query(AssertSqlSafe(sql)).bind(shape.view).bind(generation);
        insert.execute(connection).await.map_err(view_error)?;
        Ok(generation)
    }
}

async fn check_shape(connection: &mut PgConnection, shape: &Shape, schema: &str) -> Result<(), ViewError> {
    let sql = format!("SELECT shape FROM {schema}headwater_shape");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await.map_err(view_error)?;
    let stored: String = row.try_get(0).map_err(view_error)?;
    let now = shape.text();
    if stored == now { Ok(()) } else { Err(ViewError::ShapeChanged { view: shape.view.to_owned(), stored, now }) }
}

async fn add_positions(
    connection: &mut PgConnection,
    schema: &str,
    partitions: &[SourcePartition],
) -> Result<(), ViewError> {
    let sql = format!(
        "INSERT INTO {schema}headwater_positions (aggregate, partition, next_offset, sequence, epoch, replaying_to) \
         SELECT u.aggregate, u.partition, 0, 0, 0, 0 FROM UNNEST($1::text[], $2::bigint[]) AS u(aggregate, partition) \
         ORDER BY 1, 2 ON CONFLICT DO NOTHING"
    );
    let aggregates: Vec<&str> = partitions.iter().map(|source| source.aggregate).collect();
    let numbers: Vec<i64> = partitions.iter().map(|source| i64::from(source.partition.0)).collect();
    let insert = sqlx::query(AssertSqlSafe(sql)).bind(aggregates).bind(numbers);
    insert.execute(connection).await.map_err(view_error)?;
    Ok(())
}
