//! What a decision and a fold may know besides state and message.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::position::Version;

/// What surrounds a command while it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The instance's id.
    pub id: &'a str,
    /// The version that the first event of the decision will have.
    pub next_version: Version,
    /// The command's id.
    pub command_id: Uuid,
    /// The command's time: given by the log when it was appended, never running backwards within a
    /// partition, and the same on every replay.
    pub time: Timestamp,
}

/// What surrounds an event while it is folded.
#[derive(Clone, Copy, Debug)]
pub struct EventContext<'a> {
    /// The instance's id.
    pub id: &'a str,
    /// The event's version.
    pub version: Version,
    /// The command's time.
    pub occurred_at: Timestamp,
    /// The command that led to it.
    pub causation_id: Uuid,
}
