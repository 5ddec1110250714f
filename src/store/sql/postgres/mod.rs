//! Views on `PostgreSQL`: each generation of a view is a schema, `APP_VIEW_NUMBER`.

mod bind;
mod catalog;
mod generations;
mod numeric;
mod read;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgPool};

use self::write::PostgresWriting;
use super::apply::{self, Transacting};
use super::ddl::quoted;
use super::error::view_error;
use super::live::Live;
use crate::projection::{
    Applied, Batch, Generation, Generations, ParkedAggregate, Progress, Reading, Reset, Shape, SourcePartition,
    ViewError, ViewStore,
};

const CONNECTIONS: u32 = 8;
const ACQUIRE_WAIT: Duration = Duration::from_secs(10);
/// How long an idle connection is believed to be there.
const TRUSTED_FOR: Duration = Duration::from_millis(500);
/// A statement that takes longer is hopeless: it is cut off, and the batch is tried again.
const BEGIN_WRITING: &str = "BEGIN; SET LOCAL statement_timeout = '120s'; SET LOCAL lock_timeout = '20s'";

/// Views in a `PostgreSQL` database.
#[derive(Debug)]
pub struct PostgresViews {
    pool: PgPool,
    app: String,
    live: Live,
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
        // One that was used a moment ago need not be asked whether it is still there.
        let pool = pool.test_before_acquire(false).before_acquire(|connection, idle| {
            Box::pin(async move {
                if idle.idle_for > TRUSTED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        });
        // On tables that were never analysed the planner expects so many rows that it compiles each statement
        // first, which takes longer by far than reading a few rows.
        let pool = pool.after_connect(|connection, _| {
            Box::pin(async move { connection.execute("SET jit = off").await.map(|_| ()) })
        });
        let pool = pool.connect_with(options).await.map_err(|error| match view_error(error) {
            ViewError::Unavailable(reason) | ViewError::Failed(reason) => {
                ViewError::Unavailable(format!("PostgreSQL at {place}: {reason}"))
            }
            other => other,
        })?;
        let views = Self { pool, app: app.to_owned(), live: Live::default() };
        views.make_control().await?;
        Ok(views)
    }

    /// The live generation of a view: as last seen, or looked up.
    async fn live(&self, shape: &Shape) -> Result<Generation, ViewError> {
        match self.live.remembered(shape.view) {
            Some(generation) => Ok(generation),
            None => self.look_up(shape).await,
        }
    }

    async fn begin_writing(&self, view: &str, generation: Generation) -> Result<PostgresWriting<'static>, ViewError> {
        let schema = format!("{}.", quoted(&self.schema_name(view, generation)?));
        let transaction = self.pool.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        Ok(PostgresWriting { transaction, schema })
    }
}

#[async_trait]
impl ViewStore for PostgresViews {
    async fn open(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError> {
        self.make(shape, partitions).await
    }

    async fn progress(&self, shape: &Shape) -> Result<Progress, ViewError> {
        self.progress_of(shape).await
    }

    async fn parked(
        &self,
        shape: &Shape,
        generation: Generation,
        limit: usize,
    ) -> Result<Vec<ParkedAggregate>, ViewError> {
        let schema = self.schema_name(shape.view, generation)?;
        let mut connection = self.pool.acquire().await.map_err(view_error)?;
        read::parked(&mut connection, shape, &schema, limit).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Applied, ViewError> {
        self.begin_writing(batch.shape().view, batch.generation()).await?.apply(batch).await
    }

    async fn reset(&self, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError> {
        let mut writing = self.begin_writing(shape.view, reset.generation).await?;
        if reset.empty {
            // TRUNCATE is seen by transactions that began before it; so no reading may be open.
            let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", self.control());
            writing.execute(&lock, &[]).await?;
        }
        if self.live_within(&mut writing.transaction, shape.view).await? != Some(reset.generation) {
            return Ok(Applied::Moved);
        }
        let applied = apply::reset(&mut writing, shape, reset).await?;
        if applied == Applied::Done {
            writing.transaction.commit().await.map_err(view_error)?;
        }
        Ok(applied)
    }

    fn generations(&self) -> &dyn Generations {
        self
    }

    async fn read(&self, shapes: &[Arc<Shape>], limit: Duration) -> Result<Box<dyn Reading>, ViewError> {
        Ok(Box::new(self.begin_reading(shapes, limit).await?))
    }
}
