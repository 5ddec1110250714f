//! The command processor: judges an aggregate's commands, and writes events, outcomes, replies,
//! handed-on commands and offsets in one transaction.
//!
//! | file | what |
//! |---|---|
//! | `lane` | the loop of one thread, and what it does on assignment and revocation |
//! | `judge` | one command: understood, in place, seen before, in time, decided |
//! | `batch` | what is decided and not committed: the overlay |
//! | `transaction` | committing a batch, and replacing a writer that failed |
//! | `partition` | the committed state of one partition |
//! | `checkpoint` | snapshots and the promise that covers them |
//! | `restore` | a partition's state from the log |

mod batch;
mod checkpoint;
mod error;
mod judge;
mod lane;
mod partition;
mod restore;
mod settings;
mod status;
mod transaction;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

pub use error::{LaneError, PartitionError};
pub use settings::ProcessorSettings;
pub use status::PartitionState;

use super::Aggregate;
use super::codecs::{Codecs, HandOffTargets};
use crate::clock::Clock;
use crate::log::{Group, Log};
use crate::position::Partition;
use crate::topology::Topology;
use judge::Judge;
use lane::{Lane, Parts};
use status::Board;
use transaction::Committer;

/// What a command processor works with.
pub struct ProcessorParts<A: Aggregate> {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The application's topics.
    pub topology: Topology,
    /// The aggregate's codecs.
    pub codecs: Arc<Codecs<A>>,
    /// Where commands may be handed to.
    pub targets: HandOffTargets,
    /// The wall clock.
    pub clock: Clock,
    /// The settings.
    pub settings: ProcessorSettings,
    /// Names this process across restarts. Two live processes must never share it: they would fence each
    /// other for ever.
    pub instance: String,
}

/// The running lanes of one aggregate in this process.
#[derive(Debug)]
pub struct Processor {
    lanes: Vec<JoinHandle<Result<(), LaneError>>>,
    stop: Arc<AtomicBool>,
    board: Board,
}

impl Processor {
    /// Starts the lanes.
    ///
    /// # Errors
    /// If the log is away, or does not let this process join.
    pub fn start<A: Aggregate>(parts: &ProcessorParts<A>) -> Result<Self, LaneError> {
        let stop = Arc::new(AtomicBool::new(false));
        let board = Board::default();
        let mut processor = Self { lanes: Vec::new(), stop: stop.clone(), board: board.clone() };
        for lane in 0..parts.settings.lane_count() {
            let lane = open_lane(parts, lane, stop.clone(), board.clone());
            // Dropping the processor stops the lanes that were started before.
            processor.lanes.push(lane?);
        }
        Ok(processor)
    }

    /// What each partition owned here is doing.
    #[must_use]
    pub fn partitions(&self) -> BTreeMap<Partition, PartitionState> {
        self.board.read()
    }

    /// Whether a lane has ended, which it only does on its own when it cannot go on.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.lanes.iter().any(JoinHandle::is_finished)
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
        self.join_lanes()
    }

    fn join_lanes(&mut self) -> Result<(), LaneError> {
        let mut first = Ok(());
        for lane in self.lanes.drain(..) {
            let ended = lane.join().unwrap_or_else(|panic| Err(LaneError::Panicked(judge::panic_message(&*panic))));
            first = first.and(ended);
        }
        first
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        self.stop();
        if let Err(error) = self.join_lanes() {
            tracing::error!(%error, "a lane ended with an error");
        }
    }
}

fn open_lane<A: Aggregate>(
    parts: &ProcessorParts<A>,
    number: usize,
    stop: Arc<AtomicBool>,
    board: Board,
) -> Result<JoinHandle<Result<(), LaneError>>, LaneError> {
    let topology = &parts.topology;
    let name = format!("{}.{}.{}.{number}", topology.app, A::NAME, parts.instance);
    let ids: Vec<_> = (0..parts.settings.writers.max(1)).map(|slot| format!("{name}.{slot}")).collect();
    let transactional_ids = ids.join(",");
    let committer = Committer::start(parts.log.clone(), ids, stop.clone())?;
    let group = Group {
        name: topology.command_group(A::NAME),
        instance: Some(name.clone()),
        topics: vec![parts.codecs.topics.commands.clone()],
    };
    let member = parts.log.join(&group)?;
    let judge = Judge {
        codecs: parts.codecs.clone(),
        targets: parts.targets.clone(),
        topology: topology.clone(),
        settings: parts.settings.clone(),
        replies: topology.replies(),
        dead_letters: topology.dead_letters(),
    };
    let (log, clock) = (parts.log.clone(), parts.clock.clone());
    let lane = Lane::new(Parts { judge, log, clock, member, committer, transactional_ids, board, stop })?;
    let run = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| lane.run()));
        let ended = ended.unwrap_or_else(|panic| Err(LaneError::Panicked(judge::panic_message(&*panic))));
        if let Err(error) = &ended {
            tracing::error!(lane = number, aggregate = A::NAME, %error, "a lane ended");
        }
        ended
    };
    Ok(std::thread::Builder::new().name(name).spawn(run)?)
}
