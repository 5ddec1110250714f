//! What stands on a saga's state topic.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::StepKind;
use crate::clock::Timestamp;
use crate::position::{Offset, Sequence};
use crate::schema::{Head, Message, MessageSchema};

/// One instance of a saga, all but its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "SagaState")]
pub struct StateHead {
    /// [`Saga::STATE`](super::Saga::STATE) of who wrote it.
    pub state: i32,
    /// The time of its first input.
    pub started_at: Timestamp,
    /// The time of its last input.
    pub time: Timestamp,
    /// The inbox offset of its last input.
    pub input_offset: Offset,
    /// Common to everything that follows from one wish.
    pub correlation_id: Uuid,
    /// How many steps it has issued commands for.
    pub steps: i64,
    /// When it is to be told that its time is over.
    pub deadline: Option<Timestamp>,
    /// When it ended; what comes in later does nothing.
    pub ended_at: Option<Timestamp>,
    /// Whether it ends once its compensations are accepted.
    pub is_ending: bool,
    /// The steps whose end is awaited.
    pub under_way: Vec<UnderWay>,
}

impl Head for StateHead {
    const NAME: &'static str = "SagaState";
    const AVSC: &'static str = include_str!("../../schemas/headwater/SagaState.avsc");
}

/// A step whose end is awaited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Its number among the instance's steps.
    pub number: i64,
    /// The saga's name for it, as JSON.
    pub step: String,
    /// Whether it takes back what was done.
    pub is_compensation: bool,
    /// The type of the aggregate that judges it.
    pub aggregate: String,
    /// The aggregate's id.
    pub aggregate_id: String,
    /// How often its command was issued.
    pub attempt: i32,
    /// The last command's id, made from saga, instance, step and attempt.
    pub command_id: Uuid,
    /// When it is issued anew; `None` while its outcome is awaited.
    pub retry_at: Option<Timestamp>,
    /// The command's record.
    pub command: Bytes,
}

impl UnderWay {
    /// Whether it goes forward or back.
    #[must_use]
    pub const fn kind(&self) -> StepKind {
        if self.is_compensation { StepKind::Compensation } else { StepKind::Forward }
    }
}

impl StateHead {
    /// An instance that has taken nothing in yet.
    #[must_use]
    pub const fn new(state: i32, time: Timestamp, correlation_id: Uuid) -> Self {
        Self {
            state,
            started_at: time,
            time,
            input_offset: Offset::ZERO,
            correlation_id,
            steps: 0,
            deadline: None,
            ended_at: None,
            is_ending: false,
            under_way: Vec::new(),
        }
    }

    /// When it next has something to do without an input.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let retries = self.under_way.iter().filter_map(|step| step.retry_at);
        retries.chain(self.deadline).min()
    }
}

/// What the engine itself puts on a state topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateControl {
    /// The instance has ended.
    Ended(Ended),
    /// How far events were given to instances.
    Routed(Routed),
}

/// See [`StateControl::Ended`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {}

/// See [`StateControl::Routed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// The type of the aggregate.
    pub aggregate: String,
    /// The next event to read.
    pub next_offset: Offset,
    /// The sequence of the last event before it.
    pub sequence: Sequence,
}

impl Routed {
    /// What the keys of these records begin with; no instance's id does.
    pub const KEY: &'static str = "\0routed/";
}

impl Message for StateControl {
    const SCHEMAS: &'static [MessageSchema] = &[
        MessageSchema::new("Ended", include_str!("../../schemas/headwater/Ended.avsc")).internal(),
        MessageSchema::new("Routed", include_str!("../../schemas/headwater/Routed.avsc")).internal(),
    ];
}
