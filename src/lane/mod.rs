//! Lanes: OS threads that own partitions of one topic and run the processor loop on it.
//!
//! poll → process against an overlay → hand the batch to the committer → go on while it commits → on
//! success fold the batch into the state; else drop it, and everything decided after it, and restore what
//! it touched from the log. What is processed is not this room's business: a `Processor` says how one
//! partition is restored, what a record leads to, and what is folded once it is committed. Command
//! processors, saga routers and saga processors are three of them.
//!
//! | file | what |
//! |---|---|
//! | `processor` | what a lane is told of the work it does |
//! | `running` | the loop of one thread; `deciding`, `committing` and `owning` are its parts |
//! | `share`, `batch` | what is decided and not committed, and how a decision sees it: the overlay |
//! | `transaction` | committing a batch, and replacing a writer that failed |
//! | `restore`, `tools` | a partition's state from the log, in steps; what a lost owner left open |
//!
//! What it promises: nothing that a batch decided is folded before its transaction committed; a batch
//! commits only under the assignment it was decided under; a failed batch leaves nothing behind.

mod batch;
mod committing;
mod deciding;
mod error;
mod meters;
mod owning;
mod processor;
mod restore;
mod running;
mod settings;
mod share;
mod status;
mod tools;
mod transaction;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use error::LaneError;
pub(crate) use error::StopReason;
pub(crate) use processor::{Committed, Moments, Processor, Step, Treatment, Verdict};
pub(crate) use settings::LaneSettings;
pub(crate) use share::{Overlay, Share};
pub use status::{PartitionState, Progress};
pub(crate) use tools::Tools;

use crate::clock::{self, Clock, Thread};
use crate::log::Log;
use crate::position::Partition;
use running::Lane;
use status::{PartitionStates, Pulse};

/// What lanes work with, besides their processors.
pub(crate) struct LaneParts {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The wall clock.
    pub clock: Clock,
    /// The settings.
    pub settings: LaneSettings,
    /// Names these lanes across restarts, and their transactional writers. No two live processes may
    /// share it: they would fence each other for ever.
    pub name: String,
    /// The consumer group that shares the partitions out.
    pub group: String,
}

/// Running lanes of one kind in this process. Dropping them stops them.
#[derive(Debug)]
pub struct Lanes {
    kind: &'static str,
    group: String,
    threads: Vec<Thread<Result<(), LaneError>>>,
    stop: Arc<AtomicBool>,
    states: PartitionStates,
    pulses: Vec<Pulse>,
}

impl Lanes {
    /// Starts lanes, each with a processor of its own.
    ///
    /// # Errors
    /// If the log is away, or does not let this process join.
    pub(crate) fn start<P: Processor>(parts: &LaneParts, processor: impl Fn() -> P) -> Result<Self, LaneError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (kind, group) = (P::KIND, parts.group.clone());
        let (threads, states, pulses) = (Vec::new(), PartitionStates::default(), Vec::new());
        let mut lanes = Self { kind, group, threads, stop, states, pulses };
        for number in 0..parts.settings.lanes {
            // Should one fail, dropping `lanes` stops those before it.
            let pulse = Pulse::new();
            let thread = lanes.open(parts, number, processor(), pulse.clone())?;
            lanes.threads.push(thread);
            lanes.pulses.push(pulse);
        }
        Ok(lanes)
    }

    fn open<P: Processor>(
        &self,
        parts: &LaneParts,
        number: usize,
        processor: P,
        pulse: Pulse,
    ) -> Result<Thread<Result<(), LaneError>>, LaneError> {
        let name = format!("{}.{number}", parts.name);
        let of = processor.name();
        let lane = Lane::open(parts, &name, processor, (self.states.clone(), pulse), self.stop.clone())?;
        let run = move || {
            let ended = catch_unwind(AssertUnwindSafe(|| lane.run()));
            let ended = ended.unwrap_or_else(|panic| Err(LaneError::Panicked(panic_message(&*panic))));
            if let Err(error) = &ended {
                tracing::error!(lane = number, kind = P::KIND, processor = of, %error, "a lane ended");
            }
            ended
        };
        Ok(clock::spawn(name, run)?)
    }

    /// What they do: `commands`, `router` or `saga`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// Their consumer group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// What each partition owned here is doing.
    #[must_use]
    pub fn partitions(&self) -> BTreeMap<Partition, PartitionState> {
        self.states.read()
    }

    /// Whether a lane has ended, which it only does on its own when it cannot go on.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.threads.iter().any(Thread::is_finished)
    }

    /// Whether every lane is a member of the group: there may be no partitions for it.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.pulses.iter().all(Pulse::has_joined)
    }

    /// For how long the lane that stands still longest has not been round its loop. A commit or the log's
    /// silence takes seconds; what takes minutes is stuck.
    #[must_use]
    pub fn still_for(&self) -> Duration {
        self.pulses.iter().map(Pulse::still_for).max().unwrap_or_default()
    }

    /// Tells the lanes to finish their batches and leave.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Stops, and waits until all lanes have left.
    ///
    /// # Errors
    /// The first error that a lane ended with.
    pub fn join(mut self) -> Result<(), LaneError> {
        self.stop();
        self.join_threads()
    }

    fn join_threads(&mut self) -> Result<(), LaneError> {
        let mut first = Ok(());
        for thread in self.threads.drain(..) {
            let ended = thread.join().unwrap_or_else(|panic| Err(LaneError::Panicked(panic_message(&*panic))));
            first = first.and(ended);
        }
        first
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.stop();
        if let Err(error) = self.join_threads() {
            tracing::error!(%error, "a lane ended with an error");
        }
    }
}

/// The text of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
