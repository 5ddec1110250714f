//! Committing a batch: one transaction of records and offsets, on writers used in turn; and what to do
//! when it fails.
//!
//! Writers take turns because the broker still writes the markers of one transaction while the next
//! begins. A transaction begins only after its predecessor's commit returned.
//!
//! retriable → the same call again · abortable → abort · fatal, unknown or slow → replace the writer. A
//! replaced writer ends whatever the old one left, so a failed batch is reported only after that: what is
//! then read from the log is final.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::error::LaneError;
use crate::clock::{self, Thread, is_planted, turns};
use crate::log::{CommittedOffset, Fence, Log, LogError, Outgoing, TopicPartition, TransactionError, Writer, Written};

/// For how long a retriable call is made again before the writer is replaced.
const RETRY: Duration = Duration::from_secs(10);
const RETRY_PAUSE: Duration = Duration::from_millis(20);
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

/// What goes into one transaction.
#[derive(Debug)]
pub(super) struct Job {
    pub records: Vec<Outgoing>,
    pub offsets: Vec<(TopicPartition, CommittedOffset)>,
    pub fence: Fence,
}

/// Why a batch is not known to be committed. It may be: the answer to a commit can get lost. Only the log
/// knows, so its partitions are restored from there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unresolved {
    /// A record cannot be written, however often it is tried.
    #[error("rejected: {0}")]
    Rejected(String),
    /// Something else; the next try may do.
    #[error("{0}")]
    Aborted(String),
}

/// The writers of one lane.
struct Writers {
    log: Arc<dyn Log>,
    ids: Vec<String>,
    open: Vec<Option<Box<dyn Writer>>>,
    turn: usize,
    stop: Arc<AtomicBool>,
}

impl Writers {
    fn open(log: Arc<dyn Log>, ids: Vec<String>, stop: Arc<AtomicBool>) -> Result<Self, LogError> {
        let open = ids.iter().map(|id| log.writer(id).map(Some)).collect::<Result<_, _>>()?;
        Ok(Self { log, ids, open, turn: 0, stop })
    }

    fn run(&mut self, job: &Job) -> Result<Written, Unresolved> {
        self.turn = (self.turn + 1) % self.ids.len();
        self.repair().map_err(|error| Unresolved::Aborted(error.to_string()))?;
        let Some(writer) = self.open[self.turn].as_deref_mut() else {
            return Err(Unresolved::Aborted("the writer could not be opened".to_owned()));
        };
        let failure = match write(writer, job) {
            Ok(written) => return Ok(written),
            Err(failure) => failure,
        };
        let must_replace = match &failure {
            TransactionError::Abortable(_) | TransactionError::Rejected(_) => retried(|| writer.abort()).is_err(),
            TransactionError::Retriable(_) | TransactionError::Fatal(_) => true,
        };
        if must_replace {
            self.open[self.turn] = None;
        }
        // Also the other writers: after this the lane reads what the log holds, and nothing may be open then.
        if let Err(error) = self.repair() {
            return Err(Unresolved::Aborted(error.to_string()));
        }
        Err(match failure {
            TransactionError::Rejected(reason) => Unresolved::Rejected(reason),
            other => Unresolved::Aborted(other.to_string()),
        })
    }

    /// Replaces the writers that are lost or suspect; tries until it succeeds or the lane is to stop.
    fn repair(&mut self) -> Result<(), LogError> {
        for (slot, id) in self.ids.iter().enumerate() {
            let is_kept = |writer: &dyn Writer| !writer.is_suspect() || is_planted!(SuspectWriterKept);
            if self.open[slot].as_deref().is_some_and(is_kept) {
                continue;
            }
            self.open[slot] = None;
            metrics::counter!("headwater_producer_recycles_total").increment(1);
            self.open[slot] = Some(loop {
                match self.log.writer(id) {
                    Ok(writer) => break writer,
                    Err(error) if self.stop.load(Ordering::Relaxed) || !error.is_temporary() => return Err(error),
                    Err(error) => {
                        tracing::warn!(transactional_id = id, %error, "a transactional writer cannot be opened; tries again");
                        clock::pause(REOPEN_PAUSE);
                    }
                }
            });
        }
        Ok(())
    }
}

/// begin → records → offsets at once, whose round trips overlap the deliveries → commit: three round trips.
fn write(writer: &mut dyn Writer, job: &Job) -> Result<Written, TransactionError> {
    retried(|| writer.begin())?;
    writer.send(&job.records)?;
    retried(|| writer.send_offsets(&job.fence, &job.offsets))?;
    retried(|| writer.commit())
}

fn retried<T>(mut call: impl FnMut() -> Result<T, TransactionError>) -> Result<T, TransactionError> {
    let mut failing_since = None;
    loop {
        match call() {
            Err(TransactionError::Retriable(reason))
                if clock::elapsed(*failing_since.get_or_insert_with(clock::instant)) < RETRY =>
            {
                tracing::debug!(reason, "a transactional call is made again");
                clock::pause(RETRY_PAUSE);
            }
            other => return other,
        }
    }
}

/// The next job; `None` once there will be none.
fn next(jobs: &Receiver<Job>) -> Option<Job> {
    const LOOK_AGAIN: Duration = Duration::from_mins(1);
    loop {
        match clock::receive(jobs, LOOK_AGAIN) {
            Err(RecvTimeoutError::Timeout) => {}
            received => return received.ok(),
        }
    }
}

/// Commits batches beside the lane, one at a time.
#[derive(Debug)]
pub(super) struct Committer {
    jobs: Option<Sender<Job>>,
    done: Receiver<Result<Written, Unresolved>>,
    thread: Option<Thread<()>>,
}

impl Committer {
    /// Opens the writers, which ends what earlier ones of the same ids left open, and starts the thread.
    pub fn start(log: Arc<dyn Log>, ids: Vec<String>, stop: Arc<AtomicBool>) -> Result<Self, LaneError> {
        let mut writers = Writers::open(log, ids, stop)?;
        let (jobs, to_do) = crossbeam_channel::bounded::<Job>(1);
        let (report, done) = crossbeam_channel::bounded(1);
        let name = format!("commit-{}", writers.ids[0]);
        let thread = clock::spawn(name, move || {
            while let Some(job) = next(&to_do) {
                if report.send(writers.run(&job)).is_err() {
                    break;
                }
                turns::stir();
                // After the report, so that nobody waits for it.
                if writers.repair().is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), done, thread: Some(thread) })
    }

    /// Hands a batch over. The one before must have been reported.
    pub fn submit(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // If the thread is gone, `wait` says so.
            drop(jobs.send(job));
            turns::stir();
        }
    }

    /// What became of the batch handed over; `None` if that is not known within `wait`.
    pub fn wait(&self, wait: Duration) -> Result<Option<Result<Written, Unresolved>>, LaneError> {
        match clock::receive(&self.done, wait) {
            Ok(done) => Ok(Some(done)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(LaneError::Panicked("the thread that commits batches ended".to_owned()))
            }
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.jobs = None;
        turns::stir();
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, was its last word; there is nobody left to report it to.
            drop(thread.join());
        }
    }
}
