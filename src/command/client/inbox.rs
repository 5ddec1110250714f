//! The reading thread: hands each reply to who waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RETRY_WAIT;
use super::waiters::{Answered, Key, Shared};
use crate::clock;
use crate::command::Reply;
use crate::log::{Isolation, Log, LogError, Reader, Record, Topic, TopicPartition};
use crate::position::{Offset, Partition};
use crate::schema::RecordCodec;

/// How long it waits before it looks whether the client is closed, or asks for replies elsewhere. A reply
/// ends the wait at once.
const IDLE_WAIT: Duration = Duration::from_millis(250);

/// The most replies taken at once.
const REPLIES_AT_ONCE: usize = 1000;

/// How long a partition that was left is followed at least: a command that was prepared before may be
/// submitted after.
const GRACE: Duration = Duration::from_secs(10);

/// The reading thread's part.
pub(super) struct Inbox {
    log: Arc<dyn Log>,
    reader: Box<dyn Reader>,
    topic: Topic,
    /// The next offset of each partition that is followed: where replies are asked for now, and where some
    /// may still come that were asked for before.
    places: BTreeMap<Partition, Offset>,
    moved_at: Option<Instant>,
    replies: RecordCodec<Reply>,
    shared: Arc<Shared>,
    /// Since the log was last heard of, so that it is told once and not at every try.
    away: bool,
}

impl Inbox {
    /// Follows the partition of the replies where the client asks for them, from its present end on.
    pub fn open(
        log: &Arc<dyn Log>,
        topic: Topic,
        replies: RecordCodec<Reply>,
        shared: Arc<Shared>,
    ) -> Result<Self, LogError> {
        let (reader, log) = (log.reader()?, log.clone());
        let (places, first) = (BTreeMap::new(), shared.reply_at());
        let mut inbox = Self { log, reader, topic, places, moved_at: None, replies, shared, away: false };
        inbox.add(first)?;
        Ok(inbox)
    }

    pub fn run(mut self) {
        while !self.shared.is_closing() {
            let polled = self.keep_places().and_then(|()| self.reader.poll(IDLE_WAIT, REPLIES_AT_ONCE));
            match polled {
                Ok(records) => {
                    self.away = false;
                    for record in records {
                        self.take(&record);
                    }
                }
                Err(error) => {
                    if let Err(error) = self.follow_again(error) {
                        tracing::error!(%error, topic = %self.topic, "replies can no longer be read");
                        return self.shared.break_down(&error.to_string());
                    }
                }
            }
        }
    }

    fn take(&mut self, record: &Record) {
        self.places.insert(record.partition, record.offset.next());
        if record.key.as_deref() != Some(self.shared.key().as_bytes()) {
            return;
        }
        match self.replies.decode(record.value.as_deref().unwrap_or_default()) {
            Ok(Reply { aggregate_id, command_id, outcome }) => {
                let aggregate_id = aggregate_id.to_string();
                let key = Key { aggregate_id, command_id, reply_at: Some(record.partition) };
                self.shared.answer(&key, Ok(Answered::Judged(outcome)));
            }
            Err(error) => {
                let place = record.topic.partition(record.partition);
                tracing::warn!(%error, partition = %place, "passed over an unreadable reply");
            }
        }
    }

    /// Goes where the client wants its replies, and leaves where none are waited for any more.
    fn keep_places(&mut self) -> Result<(), LogError> {
        let (now, wanted) = (self.shared.reply_at(), self.shared.wanted());
        if now != wanted {
            // Its end is known before the first command asks for a reply there.
            self.add(wanted)?;
            self.shared.ask_for_replies_at(wanted);
            self.moved_at = Some(clock::instant());
            tracing::debug!(partition = %self.place(wanted), "replies are asked for here now");
        }
        if self.moved_at.is_some_and(|moved_at| moved_at.elapsed() > GRACE) {
            let before = self.places.len();
            let shared = &self.shared;
            self.places.retain(|partition, _| *partition == wanted || shared.waits_at(*partition));
            if self.places.len() < before {
                self.follow()?;
            }
            if self.places.len() == 1 {
                self.moved_at = None;
            }
        }
        Ok(())
    }

    fn place(&self, partition: Partition) -> TopicPartition {
        self.topic.partition(partition)
    }

    fn add(&mut self, partition: Partition) -> Result<(), LogError> {
        if !self.places.contains_key(&partition) {
            let end = self.log.bounds(&[self.place(partition)], Isolation::Uncommitted)?[0].end;
            self.places.insert(partition, end);
        }
        self.follow()
    }

    fn follow(&mut self) -> Result<(), LogError> {
        let places: Vec<_> = self.places.iter().map(|(partition, next)| (self.place(*partition), *next)).collect();
        self.reader.follow(&places)
    }

    /// Replies that come meanwhile are not missed: it goes on at the offsets that it had reached. Those that
    /// are no longer kept are lost, and who waits for them is told by the deadline.
    fn follow_again(&mut self, error: LogError) -> Result<(), LogError> {
        match &error {
            LogError::OutOfRange { partition, low, .. } => {
                tracing::warn!(%error, "replies are gone that were not read in time");
                self.places.insert(partition.partition, *low);
            }
            error if error.is_temporary() => {
                if !std::mem::replace(&mut self.away, true) {
                    tracing::warn!(%error, topic = %self.topic, "replies cannot be read now; trying again");
                }
            }
            _ => return Err(error),
        }
        std::thread::sleep(RETRY_WAIT);
        match self.follow() {
            Err(error) if !error.is_temporary() => Err(error),
            _ => Ok(()),
        }
    }
}
