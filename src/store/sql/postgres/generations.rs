//! Generations on `PostgreSQL`: a schema each, and a row that says which one is live.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use super::super::ddl::quoted;
use super::super::error::view_error;
use super::super::positions;
use super::super::stored::{self, StoredRow};
use super::catalog::check_shape;
use super::write::PostgresWriting;
use super::{BEGIN_WRITING, PostgresViews};
use crate::projection::{
    Applied, Batch, Claim, Generation, Generations, HeldPosition, Hold, Progress, Reading, Shape, SourcePartition,
    ViewError,
};

/// A transaction that holds an advisory lock and does nothing else.
struct PostgresClaim {
    _transaction: Transaction<'static, Postgres>,
}

impl Claim for PostgresClaim {}

/// A transaction that holds the rows of the positions, and of the view in the control table.
struct PostgresHold {
    transaction: Transaction<'static, Postgres>,
    control: String,
    /// The quoted schema and a dot.
    schema: String,
    view: &'static str,
    positions: Vec<HeldPosition>,
}

impl PostgresViews {
    async fn check(&self, shape: &Shape, generation: Generation) -> Result<String, ViewError> {
        let schema = self.schema_name(shape.view, generation)?;
        let mut connection = self.pool.acquire().await.map_err(view_error)?;
        check_shape(&mut connection, shape, &quoted(&schema)).await?;
        Ok(schema)
    }
}

#[async_trait]
impl Generations for PostgresViews {
    async fn list(&self, view: &str) -> Result<Vec<Generation>, ViewError> {
        let before = format!("{}_{view}_", self.app);
        let select = sqlx::query("SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, $1)");
        let rows = select.bind(before.clone()).fetch_all(&self.pool).await.map_err(view_error)?;
        let mut found = Vec::new();
        for row in rows {
            let name: String = row.get(0)?;
            // Another view's name may begin with this one's.
            found.extend(name.strip_prefix(&before).and_then(|number| number.parse().ok()).map(Generation));
        }
        found.sort_unstable();
        Ok(found)
    }

    async fn live(&self, view: &str) -> Result<Generation, ViewError> {
        let mut connection = self.pool.acquire().await.map_err(view_error)?;
        let live = self.live_within(&mut connection, view).await?;
        live.ok_or_else(|| ViewError::Missing { view: view.to_owned() })
    }

    async fn claim(&self, view: &str) -> Result<Box<dyn Claim>, ViewError> {
        // It lives for as long as the rebuild, and does nothing meanwhile.
        let begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0";
        let mut transaction = self.pool.begin_with(begin).await.map_err(view_error)?;
        let name = format!("{} rebuild {view}", self.control());
        let lock = sqlx::query("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))").bind(name);
        let row = lock.fetch_one(&mut *transaction).await.map_err(view_error)?;
        if row.get(0)? {
            Ok(Box::new(PostgresClaim { _transaction: transaction }))
        } else {
            Err(ViewError::Claimed { view: view.to_owned() })
        }
    }

    async fn make(
        &self,
        shape: &Shape,
        generation: Generation,
        partitions: &[SourcePartition],
    ) -> Result<(), ViewError> {
        let schema = format!("{}.", quoted(&self.schema_name(shape.view, generation)?));
        let mut transaction = self.pool.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        self.create(&mut transaction, shape, generation).await?;
        let mut writing = PostgresWriting { transaction, schema };
        positions::begin(&mut writing, partitions).await?;
        writing.transaction.commit().await.map_err(view_error)
    }

    async fn remove(&self, view: &'static str, generation: Generation) -> Result<(), ViewError> {
        let schema = quoted(&self.schema_name(view, generation)?);
        let mut transaction = self.pool.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        // A reading may have begun before the exchange, and still be open.
        let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", self.control());
        sqlx::query(AssertSqlSafe(lock)).execute(&mut *transaction).await.map_err(view_error)?;
        if self.live_within(&mut transaction, view).await? == Some(generation) {
            return Err(ViewError::Failed(format!("view {view}: generation {generation} is live and is not dropped")));
        }
        let drop = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
        sqlx::query(AssertSqlSafe(drop)).execute(&mut *transaction).await.map_err(view_error)?;
        transaction.commit().await.map_err(view_error)
    }

    async fn progress(&self, shape: &Shape, generation: Generation) -> Result<Progress, ViewError> {
        self.check(shape, generation).await?;
        let mut connection = self.pool.acquire().await.map_err(view_error)?;
        Ok(self.progress_within(&mut connection, shape, generation).await?.0)
    }

    async fn read(
        &self,
        shape: &Arc<Shape>,
        generation: Generation,
        limit: Duration,
    ) -> Result<Box<dyn Reading>, ViewError> {
        let schema = self.check(shape, generation).await?;
        Ok(Box::new(self.read_one(shape, generation, &schema, limit).await?))
    }

    async fn hold(&self, view: &'static str, live: Generation) -> Result<Box<dyn Hold + '_>, ViewError> {
        let (control, schema) = (self.control(), format!("{}.", quoted(&self.schema_name(view, live)?)));
        let mut transaction = self.pool.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        let lock = format!("SELECT FROM {control} WHERE view = $1 AND live = $2 FOR UPDATE");
        let lock = sqlx::query(AssertSqlSafe(lock)).bind(view).bind(live.0);
        if lock.fetch_optional(&mut *transaction).await.map_err(view_error)?.is_none() {
            return Err(ViewError::NotLive { view: view.to_owned(), generation: live });
        }
        // Every batch begins by locking the positions that it moves, in this order.
        let select = format!("{} FOR UPDATE", stored::select_held(&schema));
        let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(&mut *transaction).await.map_err(view_error)?;
        let positions = stored::held(&rows)?;
        Ok(Box::new(PostgresHold { transaction, control, schema, view, positions }))
    }
}

#[async_trait]
impl Hold for PostgresHold {
    fn positions(&self) -> &[HeldPosition] {
        &self.positions
    }

    async fn apply(self: Box<Self>, batch: &Batch) -> Result<Applied, ViewError> {
        PostgresWriting { transaction: self.transaction, schema: self.schema }.apply(batch).await
    }

    async fn exchange(mut self: Box<Self>, by: Generation) -> Result<(), ViewError> {
        let sql = format!("UPDATE {} SET live = $2 WHERE view = $1", self.control);
        let update = sqlx::query(AssertSqlSafe(sql)).bind(self.view).bind(by.0);
        update.execute(&mut *self.transaction).await.map_err(view_error)?;
        self.transaction.commit().await.map_err(view_error)
    }
}
