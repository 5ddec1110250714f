//! Views on `PostgreSQL`: each generation of a view is a schema, `APP_VIEW_NUMBER`.

mod bind;
mod catalog;
mod numeric;
mod read;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};

use super::apply;
use super::error::view_error;
use crate::projection::{
    Applied, Batch, ParkedAggregate, Progress, Reading, Reset, Shape, SourcePartition, ViewError, ViewStore,
};

const CONNECTIONS: u32 = 8;
const ACQUIRE_WAIT: Duration = Duration::from_secs(10);
/// A statement that takes longer is hopeless: it is cut off, and the batch is tried again.
const BEGIN_WRITING: &str = "BEGIN; SET LOCAL statement_timeout = '120s'; SET LOCAL lock_timeout = '20s'";

/// Views in a `PostgreSQL` database.
#[derive(Debug)]
pub struct PostgresViews {
    pool: PgPool,
    app: String,
    /// The live generation of each view, as last seen. A reading checks it, a worker keeps to it.
    live: Mutex<BTreeMap<&'static str, i64>>,
}

impl PostgresViews {
    /// Connects, and makes the control table if there is none.
    pub async fn connect(address: &str, app: &str) -> Result<Self, ViewError> {
        // The error of a wrong address may repeat it, password included.
        let wrong = |_| ViewError::Address("the postgres:// address of the views cannot be read".to_owned());
        let options: PgConnectOptions = address.parse().map_err(wrong)?;
        // Its log of slow statements writes out statements of thousands of rows.
        let options = options.application_name("headwater").disable_statement_logging();
        let place = format!("{}:{}", options.get_host(), options.get_port());
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_WAIT);
        let pool = pool.connect_with(options).await.map_err(|error| match view_error(error) {
            ViewError::Unavailable(reason) | ViewError::Failed(reason) => {
                ViewError::Unavailable(format!("PostgreSQL at {place}: {reason}"))
            }
            other => other,
        })?;
        let views = Self { pool, app: app.to_owned(), live: Mutex::default() };
        views.make_control().await?;
        Ok(views)
    }

    fn remember(&self, view: &'static str, generation: i64) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(view, generation);
    }

    fn remembered(&self, view: &str) -> Option<i64> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).get(view).copied()
    }

    /// The schema that is live, as last seen.
    async fn schema(&self, shape: &Shape) -> Result<String, ViewError> {
        let generation = match self.remembered(shape.view) {
            Some(generation) => generation,
            None => self.look_up(shape.view).await?,
        };
        self.schema_name(shape.view, generation)
    }
}

#[async_trait]
impl ViewStore for PostgresViews {
    async fn open(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError> {
        self.make(shape, partitions).await
    }

    async fn progress(&self, shape: &Shape) -> Result<Progress, ViewError> {
        let schema = self.schema(shape).await?;
        let mut connection = self.pool.acquire().await.map_err(view_error)?;
        read::progress(&mut connection, shape, &schema).await
    }

    async fn parked(&self, shape: &Shape, limit: usize) -> Result<Vec<ParkedAggregate>, ViewError> {
        let schema = self.schema(shape).await?;
        let mut connection = self.pool.acquire().await.map_err(view_error)?;
        read::parked(&mut connection, shape, &schema, limit).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Applied, ViewError> {
        let schema = self.schema(batch.shape()).await?;
        let transaction = self.pool.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        let mut writing = write::PostgresWriting { transaction, schema: format!("\"{schema}\".") };
        let applied = apply::apply(&mut writing, batch).await?;
        // Without a commit the transaction rolls back.
        if applied == Applied::Done {
            writing.transaction.commit().await.map_err(view_error)?;
        }
        Ok(applied)
    }

    async fn reset(&self, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError> {
        let schema = self.schema(shape).await?;
        let mut transaction = self.pool.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        if reset.empty {
            // TRUNCATE is seen by transactions that began before it; so no reading may be open.
            let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", self.control());
            sqlx::query(AssertSqlSafe(lock)).execute(&mut *transaction).await.map_err(view_error)?;
        }
        let applied = write::reset(&mut transaction, shape, &schema, reset).await?;
        if applied == Applied::Done {
            transaction.commit().await.map_err(view_error)?;
        }
        Ok(applied)
    }

    async fn read(&self, shapes: &[Arc<Shape>], limit: Duration) -> Result<Box<dyn Reading>, ViewError> {
        Ok(Box::new(self.begin_reading(shapes, limit).await?))
    }
}
