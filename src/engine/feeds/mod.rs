//! Events as they come, for many subscribers: one thread follows every partition that somebody listens to,
//! and each event is read once for all of them.
//!
//! A [`Subscription`] begins at any offset. What lies before the present it reads by itself, a stretch at a
//! time, and then goes over to what the thread tells, without a gap and without a repeat. One that is too
//! slow falls behind what is held for it, and goes back to reading by itself: nobody makes another wait, and
//! what is held is bounded.

mod follower;
mod subscription;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tokio::sync::broadcast;

pub use subscription::{FeedError, Subscription};

use super::calls::Calls;
use super::readers::Readers;
use super::{AggregateGate, Engine};
use crate::log::{Bounds, Isolation, TopicPartition};
use crate::position::{Offset, Partition};
use crate::schema::json::Secrets;

/// Events of a partition that are held for subscribers who are a little behind.
const HELD: usize = 1024;

/// The events of an application, to be listened to.
pub struct Feeds {
    engine: Arc<Engine>,
    readers: Arc<Readers>,
    shared: Arc<Shared>,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first event after now.
    Latest,
    /// With the first event there is.
    Earliest,
    /// At this offset.
    At(Offset),
}

/// An event on its way to subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its offset.
    pub offset: Offset,
    /// The aggregate's id.
    pub id: String,
    /// The [event](super::EventRow) as JSON, or why it cannot be read.
    pub json: Result<String, String>,
}

/// What subscribers and the thread share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the thread where nobody listened.
    woken: Condvar,
}

#[derive(Default)]
struct State {
    feeds: HashMap<TopicPartition, Feed>,
    /// Grows whenever a partition is added.
    changes: u64,
    closing: bool,
    is_running: bool,
}

/// A partition that somebody listens to.
struct Feed {
    aggregate: Arc<dyn AggregateGate>,
    /// The next offset that will be told.
    next: Offset,
    told: broadcast::Sender<Arc<FeedEvent>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feeds {
    /// The events of an application.
    #[must_use]
    pub fn new(calls: &Calls) -> Self {
        Self { engine: calls.engine().clone(), readers: calls.readers().clone(), shared: Arc::default() }
    }

    /// Listens to a partition of an aggregate, or to one instance in it.
    pub async fn subscribe(
        &self,
        aggregate: &Arc<dyn AggregateGate>,
        partition: Partition,
        id: Option<String>,
        start: Start,
    ) -> Result<Subscription, FeedError> {
        let place = aggregate.topics().events.partition(partition);
        let asked = place.clone();
        let bounds = self.readers.lend(move |log, _| -> Result<_, FeedError> {
            Ok(log.bounds(std::slice::from_ref(&asked), Isolation::Committed)?[0])
        });
        let Bounds { low, end } = bounds.await?;
        let from = match start {
            Start::Latest => None,
            Start::Earliest => Some(low),
            Start::At(from) if from < low || from > end => {
                return Err(FeedError::OutOfRange { partition: place, from, low, end });
            }
            Start::At(from) => Some(from),
        };
        let mut state = self.shared.state();
        if !state.feeds.contains_key(&place) {
            let (told, _) = broadcast::channel(HELD);
            let feed = Feed { aggregate: aggregate.clone(), next: end, told };
            state.feeds.insert(place.clone(), feed);
            state.changes += 1;
        }
        self.keep_running(&mut state)?;
        let feed = &state.feeds[&place];
        let (told, live_from) = (feed.told.subscribe(), feed.next);
        drop(state);
        self.shared.woken.notify_one();
        let (readers, shared) = (self.readers.clone(), self.shared.clone());
        let next = from.unwrap_or(live_from);
        Ok(Subscription::new(readers, shared, aggregate.clone(), place, id, next, told, live_from))
    }

    /// The thread begins with the first subscriber, and anew if it came to an end.
    fn keep_running(&self, state: &mut State) -> Result<(), FeedError> {
        if state.is_running {
            return Ok(());
        }
        let (engine, shared) = (self.engine.clone(), self.shared.clone());
        let spawned =
            std::thread::Builder::new().name("events".to_owned()).spawn(move || follower::run(&engine, &shared));
        spawned.map_err(|error| crate::log::LogError::Fatal(format!("cannot start a thread: {error}")))?;
        state.is_running = true;
        Ok(())
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.woken.notify_one();
    }
}

/// An event of a record, for whoever listens.
fn told(aggregate: &dyn AggregateGate, record: &crate::log::Record) -> FeedEvent {
    let id = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
    let row = aggregate.event(record, Secrets::Hidden).map_err(|error| error.to_string());
    let json = row.and_then(|row| serde_json::to_string(&row).map_err(|error| error.to_string()));
    FeedEvent { offset: record.offset, id, json }
}
