//! One who listens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{FeedEvent, Shared, told};
use crate::engine::AggregateGate;
use crate::engine::readers::{Readers, ReadersError};
use crate::log::{LogError, TopicPartition};
use crate::position::Offset;

/// The most records read at once, and for how long, before others have their turn.
const STRETCH_RECORDS: usize = 500;
const STRETCH_WAIT: Duration = Duration::from_millis(100);

/// Why there is nothing to listen to.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The log.
    #[error(transparent)]
    Readers(#[from] ReadersError),
    /// The offset asked for is not there.
    #[error("{partition} holds the offsets from {low} to {end}, and {from} is none of them")]
    OutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// What was asked for.
        from: Offset,
        /// The first.
        low: Offset,
        /// One past the last.
        end: Offset,
    },
    /// An event cannot be read.
    #[error("{partition}: offset {offset}: {reason}")]
    Unreadable {
        /// The partition.
        partition: TopicPartition,
        /// The event.
        offset: Offset,
        /// Why.
        reason: String,
    },
    /// Events are no longer read in this process.
    #[error("events are no longer read; subscribe again")]
    Ended,
}

impl From<LogError> for FeedError {
    fn from(error: LogError) -> Self {
        Self::Readers(error.into())
    }
}

/// The events of a partition, or of one instance in it, in order.
pub struct Subscription {
    readers: Arc<Readers>,
    shared: Arc<Shared>,
    aggregate: Arc<dyn AggregateGate>,
    place: TopicPartition,
    id: Option<Arc<str>>,
    /// Everything before it was given, or is not of this instance.
    next: Offset,
    live: broadcast::Receiver<Arc<FeedEvent>>,
    /// The thread tells everything from here on.
    live_from: Offset,
}

impl Subscription {
    #[expect(clippy::too_many_arguments, reason = "the parts of one value, put together in one place")]
    pub(super) fn new(
        readers: Arc<Readers>,
        shared: Arc<Shared>,
        aggregate: Arc<dyn AggregateGate>,
        place: TopicPartition,
        id: Option<String>,
        next: Offset,
        live: broadcast::Receiver<Arc<FeedEvent>>,
        live_from: Offset,
    ) -> Self {
        Self { readers, shared, aggregate, place, id: id.map(Arc::from), next, live, live_from }
    }

    /// Where to go on from: everything before this offset was given, or is not asked for.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.next
    }

    /// Waits for events; none if only the offset moved on. Giving up waiting loses nothing.
    pub async fn events(&mut self) -> Result<Vec<Arc<FeedEvent>>, FeedError> {
        if self.next < self.live_from {
            return self.read().await;
        }
        match self.live.recv().await {
            Ok(event) => {
                // What was read already comes once more after a change to what is told.
                if event.offset < self.next {
                    return Ok(Vec::new());
                }
                self.next = event.offset.next();
                if self.is_asked_for(&event.id) { self.readable(vec![event]) } else { Ok(Vec::new()) }
            }
            Err(RecvError::Lagged(_)) => self.fall_back(),
            Err(RecvError::Closed) => Err(FeedError::Ended),
        }
    }

    /// What was missed is read from the log, up to where the thread is now.
    fn fall_back(&mut self) -> Result<Vec<Arc<FeedEvent>>, FeedError> {
        let state = self.shared.state();
        let feed = state.feeds.get(&self.place).ok_or(FeedError::Ended)?;
        (self.live, self.live_from) = (feed.told.subscribe(), feed.next);
        Ok(Vec::new())
    }

    /// A stretch of what lies before the present.
    async fn read(&mut self) -> Result<Vec<Arc<FeedEvent>>, FeedError> {
        let (place, from, until) = (self.place.clone(), self.next, self.live_from);
        let (aggregate, id) = (self.aggregate.clone(), self.id.clone());
        let stretch = self.readers.lend(move |_, reader| -> Result<_, FeedError> {
            let stretch = reader.read(&place, from, until, STRETCH_WAIT, STRETCH_RECORDS)?;
            let is_asked_for = |key: Option<&[u8]>| id.as_ref().is_none_or(|id| key == Some(id.as_bytes()));
            let records = stretch.records.iter().filter(|record| is_asked_for(record.key.as_deref()));
            let events = records.map(|record| Arc::new(told(aggregate.as_ref(), record))).collect::<Vec<_>>();
            Ok((events, stretch.next))
        });
        let (events, next) = stretch.await?;
        self.next = next;
        self.readable(events)
    }

    fn is_asked_for(&self, id: &str) -> bool {
        self.id.as_ref().is_none_or(|asked| **asked == *id)
    }

    fn readable(&self, events: Vec<Arc<FeedEvent>>) -> Result<Vec<Arc<FeedEvent>>, FeedError> {
        let unreadable = events.iter().find_map(|event| Some((event.offset, event.json.as_ref().err()?.clone())));
        match unreadable {
            Some((offset, reason)) => Err(FeedError::Unreadable { partition: self.place.clone(), offset, reason }),
            None => Ok(events),
        }
    }
}
