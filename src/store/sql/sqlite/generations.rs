//! Generations on `SQLite`: a file each, and a row in the control file that says which one is live.

use std::fs::{File, TryLockError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::sync::OwnedMutexGuard;

use super::super::error::view_error;
use super::super::positions;
use super::super::stored;
use super::catalog::{check_shape, live_within};
use super::write::{self, SqliteWriting};
use super::{BEGIN_WRITING, READ_LIMIT, SqliteViews};
use crate::projection::{
    Applied, Batch, Claim, Generation, Generations, HeldPosition, Hold, Progress, Reading, Shape, SourcePartition,
    ViewError,
};

/// A locked file; the lock ends with the process.
struct SqliteClaim {
    _file: File,
}

impl Claim for SqliteClaim {}

/// The one writer of the live file, in a transaction that writes nothing.
struct SqliteHold<'a> {
    views: &'a SqliteViews,
    writer: OwnedMutexGuard<Option<SqliteConnection>>,
    view: &'static str,
    live: Generation,
    positions: Vec<HeldPosition>,
}

impl Drop for SqliteHold<'_> {
    fn drop(&mut self) {
        // Closing it ends its transaction; the next writer opens another one.
        *self.writer = None;
    }
}

impl SqliteViews {
    async fn check(&self, shape: &Shape, generation: Generation) -> Result<(), ViewError> {
        let built = (shape.view, generation);
        let writer = self.writer(built);
        let mut writer = writer.lock().await;
        check_shape(self.connected(&mut writer, built).await?, shape).await
    }
}

#[async_trait]
impl Generations for SqliteViews {
    async fn list(&self, view: &str) -> Result<Vec<Generation>, ViewError> {
        let failed = |error| ViewError::Failed(format!("{}: {error}", self.folder.display()));
        let mut entries = tokio::fs::read_dir(&self.folder).await.map_err(failed)?;
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(view)?.strip_prefix('.')?.strip_suffix(".db"));
            found.extend(number.and_then(|number| number.parse().ok()).map(Generation));
        }
        found.sort_unstable();
        Ok(found)
    }

    async fn live(&self, view: &str) -> Result<Generation, ViewError> {
        let live = live_within(&mut *self.control.lock().await, view).await?;
        live.ok_or_else(|| ViewError::Missing { view: view.to_owned() })
    }

    async fn claim(&self, view: &str) -> Result<Box<dyn Claim>, ViewError> {
        let path = self.folder.join(format!("{view}.rebuild"));
        let failed = |error| ViewError::Failed(format!("{}: {error}", path.display()));
        let file = File::create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(SqliteClaim { _file: file })),
            Err(TryLockError::WouldBlock) => Err(ViewError::Claimed { view: view.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    async fn make(
        &self,
        shape: &Shape,
        generation: Generation,
        partitions: &[SourcePartition],
    ) -> Result<(), ViewError> {
        let built = (shape.view, generation);
        self.create(shape, built).await?;
        let writer = self.writer(built);
        let mut writer = writer.lock().await;
        let mut writing = SqliteWriting::begin(self.connected(&mut writer, built).await?).await?;
        positions::begin(&mut writing, partitions).await?;
        writing.transaction.commit().await.map_err(view_error)
    }

    async fn remove(&self, view: &'static str, generation: Generation) -> Result<(), ViewError> {
        if Generations::live(self, view).await? == generation {
            return Err(ViewError::Failed(format!("view {view}: generation {generation} is live and is not dropped")));
        }
        let built = (view, generation);
        let reads_it = |generations: &[super::Built]| generations.contains(&built);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).retain(|of, _| !reads_it(of));
        let writer = self.writer(built);
        // Who reads it still has the file open, and is not disturbed.
        *writer.lock().await = None;
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).remove(&built);
        self.remove_files(built).await
    }

    async fn progress(&self, shape: &Shape, generation: Generation) -> Result<Progress, ViewError> {
        let reading = self.read(&Arc::new(shape.clone()), generation, READ_LIMIT).await?;
        Ok(reading.progress()[0].clone())
    }

    async fn read(
        &self,
        shape: &Arc<Shape>,
        generation: Generation,
        limit: Duration,
    ) -> Result<Box<dyn Reading>, ViewError> {
        self.check(shape, generation).await?;
        Ok(Box::new(self.read_one(shape, generation, limit).await?))
    }

    async fn hold(&self, view: &'static str, live: Generation) -> Result<Box<dyn Hold + '_>, ViewError> {
        let built = (view, live);
        let mut writer = self.writer(built).lock_owned().await;
        let connection = self.connected(&mut writer, built).await?;
        sqlx::raw_sql(BEGIN_WRITING).execute(&mut *connection).await.map_err(view_error)?;
        let rows = sqlx::query(AssertSqlSafe(stored::select_held(""))).fetch_all(connection).await;
        let mut hold = SqliteHold { views: self, writer, view, live, positions: Vec::new() };
        hold.positions = stored::held(&rows.map_err(view_error)?)?;
        if Generations::live(self, view).await? != live {
            return Err(ViewError::NotLive { view: view.to_owned(), generation: live });
        }
        Ok(Box::new(hold))
    }
}

#[async_trait]
impl Hold for SqliteHold<'_> {
    fn positions(&self) -> &[HeldPosition] {
        &self.positions
    }

    async fn apply(mut self: Box<Self>, batch: &Batch) -> Result<Applied, ViewError> {
        let closed = || ViewError::Failed(format!("view {}: its file was closed while it was held", self.view));
        let connection = self.writer.as_mut().ok_or_else(closed)?;
        write::apply_within(connection, batch).await
    }

    async fn exchange(self: Box<Self>, by: Generation) -> Result<(), ViewError> {
        let mut control = self.views.control.lock().await;
        let mut transaction = control.begin_with(BEGIN_WRITING).await.map_err(view_error)?;
        let update = sqlx::query("UPDATE headwater_generations SET live = ? WHERE view = ? AND live = ?");
        let update = update.bind(by.0).bind(self.view).bind(self.live.0).execute(&mut *transaction);
        if update.await.map_err(view_error)?.rows_affected() == 0 {
            return Err(ViewError::NotLive { view: self.view.to_owned(), generation: self.live });
        }
        transaction.commit().await.map_err(view_error)
    }
}
