//! Views on `SQLite`: each generation of a view is a file, `NAME.NUMBER.db`, in one folder.
//!
//! Each file has one writer connection and several readers, and is in WAL mode: who reads never waits
//! for who writes. A commit survives the death of the process; after a loss of power the last ones may
//! be gone, rows and offsets together, and are folded again.

mod catalog;
mod read;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlitePool};
use tokio::sync::Mutex;

use super::error::view_error;
use crate::projection::{
    Applied, Batch, ParkedAggregate, Progress, Reading, Reset, Shape, SourcePartition, ViewError, ViewStore,
};

const BUSY_WAIT: Duration = Duration::from_secs(10);
/// Long enough for any query; a reading's own limit cuts it off earlier.
const READ_LIMIT: Duration = Duration::from_mins(1);
/// In KiB, if negative: 16 MiB for each connection, instead of 2.
const CACHE: &str = "-16384";
const BEGIN_WRITING: &str = "BEGIN IMMEDIATE";

/// A generation of a view.
type Generation = (&'static str, i64);

/// Views in a folder of `SQLite` files.
#[derive(Debug)]
pub struct SqliteViews {
    folder: PathBuf,
    control: Mutex<SqliteConnection>,
    /// The live generation of each view, as last seen. A reading checks it, a worker keeps to it.
    live: std::sync::Mutex<BTreeMap<&'static str, i64>>,
    writers: std::sync::Mutex<BTreeMap<Generation, Arc<Mutex<Option<SqliteConnection>>>>>,
    readers: std::sync::Mutex<BTreeMap<Vec<Generation>, SqlitePool>>,
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_WAIT)
        // Its log of slow statements writes out statements of thousands of rows.
        .disable_statement_logging()
        .pragma("cache_size", CACHE)
}

impl SqliteViews {
    /// Opens the folder, or makes it.
    pub async fn open(folder: &Path) -> Result<Self, ViewError> {
        let wrong = |error: &dyn std::fmt::Display| {
            ViewError::Address(format!("{}: no folder for the views' SQLite files: {error}", folder.display()))
        };
        tokio::fs::create_dir_all(folder).await.map_err(|error| wrong(&error))?;
        let control = SqliteConnection::connect_with(&options(&folder.join("views.db"))).await;
        let mut control = control.map_err(|error| wrong(&view_error(error)))?;
        catalog::make_control(&mut control).await?;
        Ok(Self {
            folder: folder.to_owned(),
            control: Mutex::new(control),
            live: std::sync::Mutex::default(),
            writers: std::sync::Mutex::default(),
            readers: std::sync::Mutex::default(),
        })
    }

    fn file(&self, (view, generation): Generation) -> PathBuf {
        self.folder.join(format!("{view}.{generation}.db"))
    }

    fn remember(&self, view: &'static str, generation: i64) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(view, generation);
    }

    fn remembered(&self, view: &str) -> Option<i64> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).get(view).copied()
    }

    /// The generation that is live, as last seen.
    async fn live(&self, shape: &Shape) -> Result<Generation, ViewError> {
        match self.remembered(shape.view) {
            Some(generation) => Ok((shape.view, generation)),
            None => self.look_up(shape.view).await,
        }
    }

    fn writer(&self, generation: Generation) -> Arc<Mutex<Option<SqliteConnection>>> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.entry(generation).or_default().clone()
    }

    /// The one connection that writes to a generation's file, opened when it is first used.
    async fn connected<'a>(
        &self,
        writer: &'a mut Option<SqliteConnection>,
        generation: Generation,
    ) -> Result<&'a mut SqliteConnection, ViewError> {
        if writer.is_none() {
            let connection = SqliteConnection::connect_with(&options(&self.file(generation))).await;
            *writer = Some(connection.map_err(view_error)?);
        }
        writer.as_mut().ok_or_else(|| ViewError::Unavailable("the writer was just closed".to_owned()))
    }
}

#[async_trait]
impl ViewStore for SqliteViews {
    async fn open(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError> {
        self.make(shape, partitions).await
    }

    async fn progress(&self, shape: &Shape) -> Result<Progress, ViewError> {
        let reading = self.begin_reading(&[Arc::new(shape.clone())], READ_LIMIT).await?;
        Ok(reading.progress()[0].clone())
    }

    async fn parked(&self, shape: &Shape, limit: usize) -> Result<Vec<ParkedAggregate>, ViewError> {
        let mut reading = self.begin_reading(&[Arc::new(shape.clone())], READ_LIMIT).await?;
        reading.parked(shape, limit).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Applied, ViewError> {
        let generation = self.live(batch.shape()).await?;
        let writer = self.writer(generation);
        let mut writer = writer.lock().await;
        let applied = write::apply(self.connected(&mut writer, generation).await?, batch).await;
        if applied.is_err() {
            // Whatever state it is in: the next attempt opens another one.
            *writer = None;
        }
        applied
    }

    async fn reset(&self, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError> {
        let generation = self.live(shape).await?;
        let writer = self.writer(generation);
        let mut writer = writer.lock().await;
        write::reset(self.connected(&mut writer, generation).await?, shape, reset).await
    }

    async fn read(&self, shapes: &[Arc<Shape>], limit: Duration) -> Result<Box<dyn Reading>, ViewError> {
        Ok(Box::new(self.begin_reading(shapes, limit).await?))
    }
}
