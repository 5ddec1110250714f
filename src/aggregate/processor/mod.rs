//! The command processor: judges an aggregate's commands, and writes events, outcomes, replies,
//! handed-on commands and offsets in one transaction.
//!
//! | file | what |
//! |---|---|
//! | `commands` | the work of a lane on a commands topic, put together from the others |
//! | `judge` | one command: understood, in place, seen before, in time, decided; or parked |
//! | `batch` | what a batch changes in a partition: the overlay |
//! | `partition` | the committed state of one partition |
//! | `checkpoint` | snapshots and the promise that covers them |
//! | `restore` | a partition's state from the log |
//! | `saved` | what of it lies in the local store, so that a restore reads only what is new |

mod batch;
mod checkpoint;
mod commands;
mod error;
mod judge;
mod observe;
mod partition;
mod restore;
mod saved;
mod settings;

use std::sync::Arc;

pub use settings::ProcessorSettings;

use super::Aggregate;
use super::codecs::{Codecs, HandOffTargets};
use crate::clock::Clock;
use crate::lane::{LaneError, LaneParts, Lanes};
use crate::log::Log;
use crate::store::local::LocalStore;
use crate::topology::Topology;
use judge::Judge;
use observe::{Counters, SlowLog};

/// What the processors of a worker work with.
#[derive(Clone)]
pub struct ProcessorParts {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The application's topics.
    pub topology: Topology,
    /// Where commands may be handed to.
    pub targets: HandOffTargets,
    /// The wall clock.
    pub clock: Clock,
    /// The settings.
    pub settings: ProcessorSettings,
    /// Where the state of partitions is kept besides the log, if it is.
    pub store: Option<Arc<LocalStore>>,
    /// Names this process across restarts. Two live processes must never share it: they would fence each
    /// other for ever.
    pub instance: String,
}

impl ProcessorParts {
    /// The lanes of a processor of this name, in a group.
    pub(crate) fn lanes(&self, name: &str, group: String) -> LaneParts {
        LaneParts {
            log: self.log.clone(),
            clock: self.clock.clone(),
            settings: self.settings.lanes(),
            name: format!("{}.{name}.{}", self.topology.app, self.instance),
            group,
        }
    }
}

/// Starts to judge an aggregate's commands.
///
/// # Errors
/// If the log is away, or does not let this process join.
pub fn start<A: Aggregate>(codecs: &Arc<Codecs<A>>, parts: &ProcessorParts) -> Result<Lanes, LaneError> {
    let lanes = parts.lanes(A::NAME, parts.topology.command_group(A::NAME));
    Lanes::start(&lanes, || Judge {
        codecs: codecs.clone(),
        targets: parts.targets.clone(),
        topology: parts.topology.clone(),
        settings: parts.settings.clone(),
        store: parts.store.clone(),
        replies: parts.topology.replies(),
        dead_letters: parts.topology.dead_letters(),
        counters: Counters::of(A::NAME),
        slow_log: SlowLog::new(parts.settings.slow_command),
    })
}
