//! Events: facts, and where they stand.

mod snapshot;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::position::{Offset, Partition, Sequence, Version};
use crate::schema::Head;

pub use snapshot::{Checkpoint, SnapshotControl, SnapshotHead};

/// The envelope of an event, all but its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Event")]
pub struct EventHead {
    /// Names this event; made from the command's id and the event's place in the decision.
    pub id: Uuid,
    /// Its number within its aggregate.
    pub version: Version,
    /// Its number within its partition.
    pub sequence: Sequence,
    /// The command's time.
    pub occurred_at: Timestamp,
    /// The command that led to it.
    pub causation_id: Uuid,
    /// Common to everything that follows from one wish.
    pub correlation_id: Uuid,
}

impl Head for EventHead {
    const NAME: &'static str = "Event";
    const AVSC: &'static str = include_str!("../../schemas/headwater/Event.avsc");
}

/// An event as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded<E> {
    /// The type name of the aggregate that it happened to.
    pub aggregate: &'static str,
    /// The id of the aggregate that it happened to.
    pub aggregate_id: String,
    /// Names this event.
    pub id: Uuid,
    /// Its number within its aggregate.
    pub version: Version,
    /// The partition it stands in.
    pub partition: Partition,
    /// Its number within its partition.
    pub sequence: Sequence,
    /// Its offset within its partition.
    pub offset: Offset,
    /// The time of the command that led to it.
    pub occurred_at: Timestamp,
    /// The command that led to it.
    pub causation_id: Uuid,
    /// Common to everything that follows from one wish.
    pub correlation_id: Uuid,
    /// What happened.
    pub data: E,
}

impl<E> Recorded<E> {
    /// The same event with its data as something else.
    pub fn map<F>(self, into: impl FnOnce(E) -> F) -> Recorded<F> {
        let Self { aggregate, aggregate_id, id, version, partition, sequence, offset, .. } = self;
        let (occurred_at, causation_id, correlation_id) = (self.occurred_at, self.causation_id, self.correlation_id);
        Recorded {
            aggregate,
            aggregate_id,
            id,
            version,
            partition,
            sequence,
            offset,
            occurred_at,
            causation_id,
            correlation_id,
            data: into(self.data),
        }
    }
}
