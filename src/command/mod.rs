//! Commands: wishes, and what becomes of them.

mod answer;
mod client;
mod dead_letter;
mod deduplication;
mod envelope;
mod inbox;
mod issued;
mod outcome;
mod parked;

pub use answer::Answer;
pub use client::{Client, ClientError, EncodedCommand, Order, Pending};
pub use dead_letter::{DeadLetter, DeadLetterCode};
pub use deduplication::{CommandIndex, CommandKey, Deduplication, payload_hash};
pub use envelope::{CommandHead, Control, ReplyTo, RetryParked, SkipParked};
pub use inbox::{EventInput, InboxData, InboxInput, OutcomeInput, Wake};
pub use issued::{IssuedAtError, issued_at};
pub use outcome::{Accepted, Failed, Failure, Outcome, OutcomeEntry, Outcomes, PayloadHash, Refused, Reply};
pub use parked::{
    Judged, Parked, ParkedChange, ParkedCommand, ParkedQueue, ParkedQueues, ParkedSize, Retried, Skipped,
    WaitingCommand,
};
