//! The projection worker: follows the events of a projection's sources and writes its view.
//!
//! Two halves, so that neither waits for the other's kind of I/O. A thread owns the group
//! membership: it polls, decodes, checks that no event is missing or there twice, and folds. A tokio
//! task writes what it folded. Between them is a short queue; when it is full the partitions
//! are paused, while the thread goes on polling so that the group keeps it.
//!
//! Where a partition goes on is read from the database, never from the group: rows and offsets change
//! in one transaction, so a worker may die anywhere and nothing is lost or counted twice. A partition
//! that another worker took over, or that was reset, shows as a batch that changes nothing; then
//! everything under way is dropped and begun anew from what the database says.

mod applier;
pub(super) mod fold;
mod follower;
mod lag;
mod link;
pub(super) mod partition;
mod queue;
mod size;
mod status;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::views::Views;
use super::{Projection, Source, WorkerError, shape_of};
use crate::clock::{self, Clock, Thread};
use crate::log::Log;
use crate::schema::Registry;
use crate::topology::Topology;

use self::applier::Applier;
use self::fold::Fold;
use self::follower::Follower;
use self::link::Control;
use self::queue::Queue;

pub use status::{Flow, PartitionStatus, WorkerStatus};

/// What a worker works with.
#[derive(Clone)]
pub struct WorkerParts {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The schemas of its events.
    pub registry: Arc<dyn Registry>,
    /// The application's topics.
    pub topology: Topology,
    /// The wall clock.
    pub clock: Clock,
    /// Names this worker across restarts. No two that live may share it.
    pub instance: Option<String>,
}

impl std::fmt::Debug for WorkerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerParts").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// How a worker works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// The most events taken from the log at once.
    pub poll_events: usize,
    /// How many batches may wait for the database.
    pub queued_batches: usize,
    /// The most events written in one transaction.
    pub batch_events: usize,
    /// How often an event that fails is tried before its aggregate is parked.
    pub attempts: u32,
    /// The most aggregates that may be parked: with more, it is the projection that is wrong.
    pub parked_aggregates: usize,
    /// How often resets are looked for.
    pub reset_check: Duration,
    /// The first and the longest pause before a failed transaction is tried again.
    pub retry: (Duration, Duration),
    /// How long a transaction may take.
    pub transaction_limit: Duration,
    /// How long what is under way may take when partitions are handed over.
    pub hand_over: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            poll_events: 5_000,
            queued_batches: 2,
            batch_events: 20_000,
            attempts: 3,
            parked_aggregates: 1_000,
            reset_check: Duration::from_millis(500),
            retry: (Duration::from_millis(100), Duration::from_secs(10)),
            transaction_limit: Duration::from_mins(2),
            hand_over: Duration::from_secs(5),
        }
    }
}

/// A running projection worker. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Worker {
    view: &'static str,
    control: Arc<Control>,
    thread: Thread<()>,
    ended: Option<oneshot::Receiver<Result<(), WorkerError>>>,
}

impl Worker {
    /// Makes the view if there is none, and starts to fold onto it. To be called within a tokio
    /// runtime, which must live as long as the worker.
    ///
    /// # Errors
    /// If the projection's tables are wrong or have changed, its schemas are wrong, or the database is
    /// away.
    pub async fn start<P: Projection>(
        projection: P,
        views: &Views,
        parts: WorkerParts,
        settings: WorkerSettings,
    ) -> Result<Self, WorkerError> {
        let shape = Arc::new(shape_of::<P>().map_err(super::ViewError::from)?);
        let readers = P::Source::readers(&parts.log, &parts.registry, &parts.topology)?;
        views.store().open(&shape, &shape.partitions(parts.topology.partitions)).await?;

        let control = Arc::new(Control::new(P::NAME));
        let (sender, reports, applier) = Applier::new(views.clone(), &shape, &control, parts.clock.clone(), settings);
        let fold = Fold::new(projection, readers, &shape, parts.clock.clone(), settings);
        let queue = Queue::new(control.clone(), sender, reports);
        let follower = Follower::new(fold, parts, settings, control.clone(), queue);
        let (end, ended) = oneshot::channel();
        let run = move || {
            // Nobody listens if the worker was dropped.
            let _ = end.send(follower.run());
        };
        let name = format!("view-{}", P::NAME);
        let started = clock::start(&name, applier.run()).and_then(|()| clock::spawn(name, run));
        let thread = started.map_err(|error| WorkerError::Thread(error.to_string()))?;
        Ok(Self { view: P::NAME, control, thread, ended: Some(ended) })
    }

    /// The view it writes.
    #[must_use]
    pub const fn view(&self) -> &'static str {
        self.view
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        self.control.status()
    }

    /// How it is from now on, for somebody who does not own it.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse(self.control.clone())
    }

    /// Whether it goes no further.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets it finish what is under way and leave its group.
    pub fn stop(&self) {
        self.control.stop();
    }

    /// Waits until it has ended: after [`stop`](Self::stop), or because it cannot go on.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub async fn ended(&mut self) -> Result<(), WorkerError> {
        let Some(ended) = self.ended.take() else { return Ok(()) };
        ended.await.unwrap_or_else(|_| Err(WorkerError::Thread("it panicked".to_owned())))
    }
}

/// How a worker is, seen from outside.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Control>);

impl Pulse {
    /// How it is.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        self.0.status()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.control.stop();
    }
}
