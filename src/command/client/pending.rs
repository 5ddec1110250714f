//! A command under way.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

use super::ClientError;
use super::waiters::{Answer, Answered, Key, Shared};
use crate::command::Outcome;

/// A command under way. Dropping it gives up waiting, not the command.
pub struct Pending {
    key: Key,
    receiver: oneshot::Receiver<Answer>,
    begun: Instant,
    deadline: Instant,
    shared: Arc<Shared>,
    /// Held until the outcome is taken, so that a slow reader of outcomes slows the sending down.
    _permit: OwnedSemaphorePermit,
}

impl Pending {
    pub(super) fn wait_for(
        key: Key,
        begun: Instant,
        deadline: Instant,
        shared: &Arc<Shared>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, ClientError> {
        let receiver = shared.wait_for(&key)?;
        Ok(Self { key, receiver, begun, deadline, shared: shared.clone(), _permit: permit })
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
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => {
                Err(ClientError::Unknown { command_id: self.key.command_id, waited: self.begun.elapsed() })
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.receiver.close();
        self.shared.forget(&self.key);
    }
}
