//! The sending thread: writes commands in the order in which they were submitted.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;
use uuid::Uuid;

use super::waiters::{Answered, Key, Shared};
use super::{ClientError, Order, RETRY_WAIT};
use crate::clock;
use crate::log::{LogError, Outgoing, Sender};
use crate::position::Offset;

/// A command to be sent.
pub(super) struct Letter {
    pub key: Key,
    pub record: Outgoing,
    pub deadline: Instant,
    pub order: Order,
}

/// Writes commands in the order in which they were submitted, until the client is closed.
pub(super) fn post(letters: &Receiver<Letter>, sender: &dyn Sender, shared: &Arc<Shared>) {
    for Letter { key, record, deadline, order } in letters {
        let command_id = key.command_id;
        loop {
            if order != shared.order() {
                shared.answer(&key, Err(ClientError::HeldBack { command_id }));
                break;
            }
            shared.is_on_its_way();
            match sender.send(record.clone(), Box::new(delivery(key.clone(), shared.clone()))) {
                Ok(()) => break,
                Err(error) if error.is_away() && clock::instant() < deadline && !shared.is_closing() => {
                    shared.was_not_taken();
                    std::thread::sleep(RETRY_WAIT);
                }
                Err(reason) => {
                    shared.was_not_taken();
                    if reason.is_away() {
                        shared.end_order();
                    }
                    shared.answer(&key, Err(ClientError::NotSent { command_id, reason }));
                    break;
                }
            }
        }
    }
}

/// What is done once the log has taken a command for good, or given it up.
fn delivery(key: Key, shared: Arc<Shared>) -> impl FnOnce(Result<Offset, LogError>) + Send {
    move |result| {
        shared.has_arrived(result.is_ok());
        match result {
            Ok(_) if key.reply_at.is_none() => shared.answer(&key, Ok(Answered::Written)),
            // The reply follows.
            Ok(_) => {}
            Err(error) => {
                if error.is_away() {
                    shared.end_order();
                }
                shared.answer(&key, Err(undelivered(key.command_id, error)));
            }
        }
    }
}

/// A record that was not acknowledged in time may still have been written.
fn undelivered(command_id: Uuid, reason: LogError) -> ClientError {
    if reason.is_away() {
        ClientError::Unacknowledged { command_id, reason }
    } else {
        ClientError::NotSent { command_id, reason }
    }
}
