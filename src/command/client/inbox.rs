//! The reading thread: hands each reply to who waits for it.

use std::sync::Arc;
use std::time::Duration;

use super::RETRY_WAIT;
use super::waiters::{Answered, Key, Shared};
use crate::command::Reply;
use crate::log::{LogError, Reader, TopicPartition};
use crate::position::Offset;
use crate::schema::RecordCodec;

/// How long it waits before it looks whether the client is closed. A reply ends the wait at once.
const IDLE_WAIT: Duration = Duration::from_millis(250);

/// The most replies taken at once.
const REPLIES_AT_ONCE: usize = 1000;

/// The reading thread's part.
pub(super) struct Inbox {
    reader: Box<dyn Reader>,
    place: TopicPartition,
    next: Offset,
    key: String,
    replies: RecordCodec<Reply>,
    shared: Arc<Shared>,
    /// Since the log was last heard of, so that it is told once and not at every try.
    away: bool,
}

impl Inbox {
    /// Follows one partition of the replies from `next` on; `key` tells this client's replies from others'.
    pub fn new(
        reader: Box<dyn Reader>,
        place: TopicPartition,
        next: Offset,
        key: String,
        replies: RecordCodec<Reply>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { reader, place, next, key, replies, shared, away: false }
    }

    pub fn run(mut self) {
        while !self.shared.is_closing() {
            match self.reader.poll(IDLE_WAIT, REPLIES_AT_ONCE) {
                Ok(records) => {
                    self.away = false;
                    for record in records {
                        self.next = record.offset.next();
                        if record.key.as_deref() == Some(self.key.as_bytes()) {
                            self.deliver(record.value.as_deref().unwrap_or_default());
                        }
                    }
                }
                Err(error) if error.is_temporary() => self.follow_again(&error),
                Err(error) => {
                    tracing::error!(%error, partition = %self.place, "replies can no longer be read");
                    return self.shared.break_down(&error.to_string());
                }
            }
        }
    }

    fn deliver(&mut self, value: &[u8]) {
        match self.replies.decode(value) {
            Ok(Reply { aggregate_id, command_id, outcome }) => {
                let aggregate_id = aggregate_id.as_ref().to_owned();
                let key = Key { aggregate_id, command_id, reply_at: Some(self.place.partition) };
                self.shared.answer(&key, Ok(Answered::Judged(outcome)));
            }
            Err(error) => tracing::warn!(%error, partition = %self.place, "passed over an unreadable reply"),
        }
    }

    /// Replies that come meanwhile are not missed: it goes on at the offset that it had reached.
    fn follow_again(&mut self, error: &LogError) {
        if !std::mem::replace(&mut self.away, true) {
            tracing::warn!(%error, partition = %self.place, "replies cannot be read now; trying again");
        }
        std::thread::sleep(RETRY_WAIT);
        if let Err(error) = self.reader.follow(&[(self.place.clone(), self.next)]) {
            tracing::debug!(%error, "still not");
        }
    }
}
