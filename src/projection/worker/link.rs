//! What the thread and the task of a worker tell each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tracing::Span;

use super::status::WorkerStatus;
use crate::clock::Timestamp;
use crate::projection::{Batch, ParkedAggregate, Progress, ViewError};

/// What the thread asks of the task.
#[derive(Debug)]
pub enum Job {
    /// Write a batch.
    Write(Write),
    /// Say where partitions go on.
    Locate,
}

/// A batch on its way to the database.
#[derive(Debug)]
pub struct Write {
    /// Counted from 1.
    pub number: u64,
    /// What is to be written.
    pub batch: Batch,
    /// What is measured of it.
    pub measured: Measured,
    /// About how large it is.
    pub bytes: usize,
}

/// What is measured of a batch.
#[derive(Debug)]
pub struct Measured {
    /// The time of its youngest event.
    pub newest: Timestamp,
    /// One for each traced event; they end when it is written.
    pub spans: Vec<Span>,
}

impl Default for Measured {
    fn default() -> Self {
        Self { newest: Timestamp::MIN, spans: Vec::new() }
    }
}

impl Measured {
    /// With that of a batch behind it.
    pub fn merge(&mut self, next: Self) {
        self.newest = self.newest.max(next.newest);
        self.spans.extend(next.spans);
    }
}

/// Where partitions go on.
#[derive(Debug, Default)]
pub struct Located {
    /// How far the view is.
    pub progress: Progress,
    /// Its parked aggregates.
    pub parked: Vec<ParkedAggregate>,
}

/// What the task says to the thread.
#[derive(Debug)]
pub enum Report {
    /// Every batch up to this one is written, or was dropped as asked.
    Done(u64),
    /// Every batch up to this one changed nothing: another worker was faster, or the view was reset.
    Moved(u64),
    /// How far the view is.
    Progress(Progress),
    /// Where partitions go on; nowhere if the database does not say so.
    Located(Located),
    /// The live generation is not of this projection's shape.
    Unfit(ViewError),
}

/// What both may look at at any time.
#[derive(Debug)]
pub struct Control {
    view: &'static str,
    stopped: AtomicBool,
    /// Batches below this number are worthless.
    discard_below: AtomicU64,
    changed: Notify,
    status: Mutex<WorkerStatus>,
}

impl Control {
    pub fn new(view: &'static str) -> Self {
        Self {
            view,
            stopped: AtomicBool::new(false),
            discard_below: AtomicU64::new(0),
            changed: Notify::new(),
            status: Mutex::default(),
        }
    }

    pub const fn view(&self) -> &'static str {
        self.view
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Makes every batch below this number worthless, also one that waits to be tried again.
    pub fn discard_below(&self, number: u64) {
        self.discard_below.fetch_max(number, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub fn is_discarded(&self, number: u64) -> bool {
        number < self.discard_below.load(Ordering::SeqCst)
    }

    /// Waits until something may have become worthless.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    pub fn status(&self) -> WorkerStatus {
        self.locked().clone()
    }

    pub fn set_status(&self, change: impl FnOnce(&mut WorkerStatus)) {
        change(&mut self.locked());
    }

    fn locked(&self) -> MutexGuard<'_, WorkerStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
