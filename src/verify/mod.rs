//! Audits of a whole log: whether what must always hold does hold, read from the log alone.
//!
//! | file | what is compared |
//! |---|---|
//! | `fold` | events with each other: versions, sequences, times; and what they fold to |
//! | `trail` | outcomes with each other: each command once, in order |
//! | `answers` | commands with outcomes and dead letters: exactly one for each |
//! | `parked` | parked commands with commands and outcomes: in order, and none lost |
//! | `causes` | events with outcomes: none without the other |
//! | `snapshots` | snapshots and checkpoints with the full fold |
//! | `views`, `rows` | the tables of a view with the fold of its events |
//! | `generations` | two generations of a view with each other |
//! | `sagas` | what the instances of a saga took in with what they issued |
//! | `invariant` | all events with what the application itself holds to be true |
//! | `partition` | reads the topics of one partition side by side, each once |
//! | `cut` | where the audit ends, while others go on writing |
//! | `report` | what was found, and where |
//!
//! Memory: the states of one partition's aggregates at a time, which is what the lane that owns it
//! holds too, and its last snapshots; of a saga the ids of its commands, and the inputs of one partition; half a million rows of a view at a time, and its sums; what an
//! application's invariant holds; besides that a fixed amount, whatever the log's length.
//!
//! It never writes, belongs to no consumer group, and may run beside workers: what they add after it
//! began is counted as pending or not looked at.

mod answers;
mod causes;
mod cut;
mod fold;
mod generations;
mod invariant;
mod parked;
mod partition;
mod records;
mod report;
mod rows;
mod sagas;
mod seen;
mod snapshots;
mod suspects;
mod trail;
mod views;

pub use generations::{TableComparison, compare};
pub use invariant::{Invariant, invariant};
pub use report::{
    AggregateCounts, Check, Findings, InvariantCounts, Place, Report, Rule, SagaCounts, ViewCounts, Violation,
};
pub use sagas::{CommandHeads, saga};
pub use views::{Database, view};

use std::time::Duration;

use crate::aggregate::{Aggregate, Codecs};
use crate::log::{Log, LogError, StallError, TopicPartition};
use crate::position::{Offset, Partition};
use crate::projection::ViewError;
use crate::schema::SchemaError;
use crate::topology::Topology;

/// What an audit works with.
pub struct Scope<'a> {
    /// The log.
    pub log: &'a dyn Log,
    /// The application's topics.
    pub topology: &'a Topology,
    /// How long nothing may move before the audit gives up.
    pub stall: Duration,
    /// Told how many more records were read.
    pub progress: &'a dyn Fn(u64),
}

/// Why an audit was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log failed, or an open transaction is in the way.
    #[error(transparent)]
    Stalled(#[from] StallError),
    /// The registry does not answer, so that nothing can be read.
    #[error("the registry does not answer: {0}")]
    RegistryAway(String),
    /// A projection's events cannot be read at all.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The database of the views.
    #[error(transparent)]
    View(#[from] ViewError),
}

impl From<LogError> for VerifyError {
    fn from(error: LogError) -> Self {
        Self::Stalled(StallError::Log(error))
    }
}

impl VerifyError {
    /// Whether the same may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Stalled(StallError::Log(error)) => error.is_temporary(),
            Self::Stalled(_) | Self::Schema(_) => false,
            Self::View(error) => error.is_temporary(),
            Self::RegistryAway(_) => true,
        }
    }
}

/// Audits every partition of an aggregate type, one after the other. Blocks.
pub fn aggregate<A: Aggregate>(
    scope: &Scope<'_>,
    codecs: &Codecs<A>,
    findings: &mut Findings,
) -> Result<AggregateCounts, VerifyError> {
    let mut counts = AggregateCounts { aggregate: A::NAME, ..AggregateCounts::default() };
    let partitions: Vec<TopicPartition> =
        (0..scope.topology.partitions).map(|number| codecs.topics.commands.partition(Partition(number))).collect();
    // What is judged comes first: all that followed from it is then within the ends asked for later.
    let committed = scope.log.committed(&scope.topology.command_group(A::NAME), &partitions)?;
    let mut readers = partition::Readers::open(scope.log)?;
    for (place, committed) in partitions.iter().zip(committed) {
        let committed = committed.map_or(Offset::ZERO, |it| it.offset);
        let of = (place.partition, committed);
        partition::audit(scope, codecs, &mut readers, of, &mut counts, findings)?;
    }
    Ok(counts)
}
