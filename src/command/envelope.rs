//! What surrounds a command on its topic.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::position::Version;
use crate::schema::{Head, Message, MessageSchema};

/// The envelope of a command, all but its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Command")]
pub struct CommandHead {
    /// Names this command of this aggregate; a repeat is answered with the first outcome.
    pub id: Uuid,
    /// When its sender made it. Of a version-7 id, the time that the id says.
    pub issued_at: Timestamp,
    /// Judge it only if the aggregate stands at this version.
    pub expected_version: Option<Version>,
    /// The command or event that led to this command.
    pub causation_id: Option<Uuid>,
    /// Common to everything that follows from one wish.
    pub correlation_id: Uuid,
    /// Who waits for the outcome.
    pub reply_to: Option<ReplyTo>,
}

impl Head for CommandHead {
    const NAME: &'static str = "Command";
    const AVSC: &'static str = include_str!("../../schemas/headwater/Command.avsc");
}

/// Where an outcome is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    /// A reply or inbox topic of this application.
    pub topic: String,
    /// One of its partitions.
    pub partition: i32,
    /// The key of the reply.
    pub key: String,
}

/// Commands of the engine itself on a commands topic, so that the one writer of an aggregate carries
/// them out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Judge the aggregate's parked commands again, in order.
    RetryParked(RetryParked),
    /// Give the aggregate's first parked command up.
    SkipParked(SkipParked),
}

/// See [`Control::RetryParked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryParked {}

/// See [`Control::SkipParked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipParked {
    /// The command to give up, which must be the first in order.
    pub command_id: Uuid,
}

impl Message for Control {
    const SCHEMAS: &'static [MessageSchema] = &[
        MessageSchema::new("RetryParked", include_str!("../../schemas/headwater/RetryParked.avsc")).internal(),
        MessageSchema::new("SkipParked", include_str!("../../schemas/headwater/SkipParked.avsc")).internal(),
    ];
}
