//! A command under way.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::Span;
use uuid::Uuid;

use super::ClientError;
use super::waiters::{Answer, Answered, Key, Shared};
use crate::command::Outcome;
use crate::trace;

/// A command under way. Dropping it gives up waiting, not the command.
pub struct Pending {
    key: Key,
    receiver: oneshot::Receiver<Answer>,
    begun: Instant,
    deadline: Instant,
    shared: Arc<Shared>,
    /// Ends with it.
    span: Span,
    /// Held until the outcome is taken, so that a slow reader of outcomes slows the sending down.
    _permit: OwnedSemaphorePermit,
}

impl Pending {
    pub(super) fn wait_for(
        key: Key,
        begun: Instant,
        deadline: Instant,
        shared: &Arc<Shared>,
        span: Span,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, ClientError> {
        let receiver = shared.wait_for(&key)?;
        metrics::gauge!("headwater_client_commands_under_way").increment(1.0);
        Ok(Self { key, receiver, begun, deadline, shared: shared.clone(), span, _permit: permit })
    }

    /// The command's id.
    #[must_use]
    pub const fn command_id(&self) -> Uuid {
        self.key.command_id
    }

    /// Waits for the outcome, until the deadline.
    pub async fn outcome(self) -> Result<Outcome, ClientError> {
        let (command_id, begun) = (self.key.command_id, self.begun);
        match self.answer().await? {
            Answered::Judged(outcome) => Ok(outcome),
            // It asked for no reply.
            Answered::Written => Err(ClientError::Unknown { command_id, waited: begun.elapsed() }),
        }
    }

    /// Waits until the log has acknowledged it or more, until the deadline.
    pub(super) async fn answer(mut self) -> Answer {
        let answered = tokio::time::timeout_at(self.deadline.into(), &mut self.receiver).await;
        let unknown = ClientError::Unknown { command_id: self.key.command_id, waited: self.begun.elapsed() };
        let answer = answered.ok().and_then(Result::ok).unwrap_or(Err(unknown));
        match &answer {
            Ok(Answered::Judged(outcome)) => trace::note(&self.span, "outcome", outcome.kind()),
            Ok(Answered::Written) => {}
            Err(error) => trace::fail(&self.span, error),
        }
        answer
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        metrics::gauge!("headwater_client_commands_under_way").decrement(1.0);
        self.receiver.close();
        self.shared.forget(&self.key);
    }
}
