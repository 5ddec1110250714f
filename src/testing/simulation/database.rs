//! The database of the views in one schedule: `SQLite`, as it is.
//!
//! A call is done whole, within the turn of the thread that makes it. That it is slow, fails, or is done
//! unheard is a matter of fate; what is done is what the database does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Runtime;

use crate::clock;
use crate::projection::{
    Applied, Batch, Generation, Generations, ParkedAggregate, Progress, Reading, Reset, Shape, SourcePartition,
    ViewError, ViewStore, Views,
};

/// How often a question is asked that finds no connection.
const ATTEMPTS: usize = 10;

/// A folder of files, which goes with it.
pub(super) struct Database {
    views: Option<Views>,
    pub runtime: Arc<Runtime>,
    folder: PathBuf,
}

impl Database {
    /// A database without views. Not within a simulation: no other may have its name.
    pub fn make(runtime: &Arc<Runtime>, app: &str) -> Result<Self, ViewError> {
        let folder = std::env::temp_dir().join(format!("{app}-simulation-{}", clock::new_id().simple()));
        let views = runtime.block_on(Views::connect(&format!("sqlite:{}", folder.display()), app))?;
        Ok(Self { views: Some(views), runtime: runtime.clone(), folder })
    }

    /// What is in it, past all faults.
    pub fn views(&self) -> &Views {
        self.views.as_ref().expect("they are there until it is dropped")
    }

    fn store(&self) -> &dyn ViewStore {
        self.views().store()
    }

    /// How far a view is. On a machine that is busy with something else a connection may be long in coming,
    /// which is no part of the schedule.
    pub fn progress_of(&self, shape: &Shape) -> Result<Progress, ViewError> {
        patiently(|| self.runtime.block_on(self.store().progress(shape)), ViewError::is_away)
    }
}

/// What `ask` gives in the end.
pub(super) fn patiently<T, E>(ask: impl Fn() -> Result<T, E>, is_away: impl Fn(&E) -> bool) -> Result<T, E> {
    let mut answer = ask();
    for _ in 0..ATTEMPTS {
        match &answer {
            Err(error) if is_away(error) => answer = ask(),
            _ => break,
        }
    }
    answer
}

impl Drop for Database {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        self.views = None;
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "the files of a simulation were not removed");
        }
    }
}

#[async_trait]
impl ViewStore for Database {
    async fn open(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError> {
        self.runtime.block_on(self.store().open(shape, partitions))
    }

    async fn progress(&self, shape: &Shape) -> Result<Progress, ViewError> {
        self.progress_of(shape)
    }

    async fn parked(
        &self,
        shape: &Shape,
        generation: Generation,
        limit: usize,
    ) -> Result<Vec<ParkedAggregate>, ViewError> {
        patiently(|| self.runtime.block_on(self.store().parked(shape, generation, limit)), ViewError::is_away)
    }

    async fn apply(&self, batch: &Batch) -> Result<Applied, ViewError> {
        self.runtime.block_on(self.store().apply(batch))
    }

    async fn reset(&self, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError> {
        self.runtime.block_on(self.store().reset(shape, reset))
    }

    fn generations(&self) -> &dyn Generations {
        self.store().generations()
    }

    async fn read(&self, shapes: &[Arc<Shape>], limit: Duration) -> Result<Box<dyn Reading>, ViewError> {
        self.runtime.block_on(self.store().read(shapes, limit))
    }
}
