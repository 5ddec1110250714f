//! The sending thread: writes commands in the order in which they were submitted.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;
use uuid::Uuid;

use super::waiters::{Key, Shared};
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
        loop {
            if order != shared.order() {
                shared.answer(&key, Err(ClientError::HeldBack { command_id: key.1 }));
                break;
            }
            let waiting = shared.clone();
            let delivered_key = key.clone();
            let delivered = Box::new(move |result: Result<Offset, LogError>| {
                if let Err(error) = result {
                    if error.is_temporary() {
                        waiting.end_order();
                    }
                    waiting.answer(&delivered_key, Err(undelivered(delivered_key.1, error)));
                }
            });
            match sender.send(record.clone(), delivered) {
                Ok(()) => break,
                Err(error) if error.is_temporary() && clock::instant() < deadline && !shared.is_closing() => {
                    std::thread::sleep(RETRY_WAIT);
                }
                Err(reason) => {
                    if reason.is_temporary() {
                        shared.end_order();
                    }
                    shared.answer(&key, Err(ClientError::NotSent { command_id: key.1, reason }));
                    break;
                }
            }
        }
    }
}

/// A record that was not acknowledged in time may still have been written.
fn undelivered(command_id: Uuid, reason: LogError) -> ClientError {
    if reason.is_temporary() {
        ClientError::Unacknowledged { command_id, reason }
    } else {
        ClientError::NotSent { command_id, reason }
    }
}
