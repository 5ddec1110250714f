//! Views on `SQLite`: each generation of a view is a file, `NAME.NUMBER.db`, in one folder.
//!
//! Each file has one writer connection and several readers, and is in WAL mode: who reads never waits
//! for who writes. A commit survives the death of the process; after a loss of power the last ones may
//! be gone, rows and offsets together, and are folded again.

mod catalog;
mod generations;
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
use super::live::Live;
use crate::projection::{
    Applied, Batch, Generation, Generations, ParkedAggregate, Progress, Reading, Reset, Shape, SourcePartition,
    ViewError, ViewStore,
};

const BUSY_WAIT: Duration = Duration::from_secs(10);
/// Long enough for any query; a reading's own limit cuts it off earlier.
const READ_LIMIT: Duration = Duration::from_mins(1);
/// In KiB, if negative: 16 MiB for each connection, instead of 2.
const CACHE: &str = "-16384";
const BEGIN_WRITING: &str = "BEGIN IMMEDIATE";

/// A generation of a view.
type Built = (&'static str, Generation);
/// The one connection that writes to a generation's file, opened when it is first used.
type Writer = Arc<Mutex<Option<SqliteConnection>>>;

/// Views in a folder of `SQLite` files.
#[derive(Debug)]
pub struct SqliteViews {
    folder: PathBuf,
    control: Mutex<SqliteConnection>,
    live: Live,
    writers: std::sync::Mutex<BTreeMap<Built, Writer>>,
    readers: std::sync::Mutex<BTreeMap<Vec<Built>, SqlitePool>>,
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
            live: Live::default(),
            writers: std::sync::Mutex::default(),
            readers: std::sync::Mutex::default(),
        })
    }

    fn file(&self, (view, generation): Built) -> PathBuf {
        self.folder.join(format!("{view}.{generation}.db"))
    }

    /// The live generation of a view: as last seen, or looked up.
    async fn live(&self, shape: &Shape) -> Result<Built, ViewError> {
        match self.live.remembered(shape.view) {
            Some(generation) => Ok((shape.view, generation)),
            None => self.look_up(shape).await,
        }
    }

    fn writer(&self, built: Built) -> Writer {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.entry(built).or_default().clone()
    }

    async fn connected<'a>(
        &self,
        writer: &'a mut Option<SqliteConnection>,
        built: Built,
    ) -> Result<&'a mut SqliteConnection, ViewError> {
        if writer.is_none() {
            let options = options(&self.file(built)).create_if_missing(false);
            *writer = Some(SqliteConnection::connect_with(&options).await.map_err(view_error)?);
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

    async fn parked(
        &self,
        shape: &Shape,
        generation: Generation,
        limit: usize,
    ) -> Result<Vec<ParkedAggregate>, ViewError> {
        self.parked_of(shape, (shape.view, generation), limit).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Applied, ViewError> {
        let built = (batch.shape().view, batch.generation());
        let writer = self.writer(built);
        let mut writer = writer.lock().await;
        let applied = write::apply(self.connected(&mut writer, built).await?, batch).await;
        if applied.is_err() {
            // Whatever state it is in: the next attempt opens another one.
            *writer = None;
        }
        applied
    }

    async fn reset(&self, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError> {
        if self.look_up(shape).await?.1 != reset.generation {
            return Ok(Applied::Moved);
        }
        let built = (shape.view, reset.generation);
        let writer = self.writer(built);
        let mut writer = writer.lock().await;
        write::reset(self.connected(&mut writer, built).await?, shape, reset).await
    }

    fn generations(&self) -> &dyn Generations {
        self
    }

    async fn read(&self, shapes: &[Arc<Shape>], limit: Duration) -> Result<Box<dyn Reading>, ViewError> {
        Ok(Box::new(self.begin_reading(shapes, limit).await?))
    }
}
