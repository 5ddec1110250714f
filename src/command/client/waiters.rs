//! Everyone who waits for an outcome.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{ClientError, Order};
use crate::clock;
use crate::command::Outcome;
use crate::position::Partition;

/// A command that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub aggregate_id: String,
    pub command_id: Uuid,
    /// The partition of the replies on which its reply is asked for; `None` if only the log's
    /// acknowledgement is waited for.
    pub reply_at: Option<Partition>,
}

/// What is heard of a command.
#[derive(Debug)]
pub(super) enum Answered {
    /// It stands in the log.
    Written,
    /// It was judged.
    Judged(Outcome),
}

pub(super) type Answer = Result<Answered, ClientError>;

/// Everyone who waits. The same command may be sent twice at once; its replies come in the order of
/// the sending, since both stand in one partition.
type Waiters = HashMap<Key, VecDeque<oneshot::Sender<Answer>>>;

/// Whether what is sent arrives.
#[derive(Default)]
struct Traffic {
    /// Commands that the log has taken and not yet acknowledged.
    on_their_way: usize,
    /// When it last acknowledged one, or was given one after it had acknowledged all.
    moved_at: Option<Instant>,
}

/// What the client and its threads share.
#[derive(Default)]
pub(super) struct Shared {
    waiters: Mutex<Waiters>,
    closing: AtomicBool,
    /// Grows with each command that was not acknowledged.
    order: AtomicU64,
    broken: OnceLock<String>,
    traffic: Mutex<Traffic>,
    /// The partition on which replies are asked for, and the one on which they are to be.
    reply_at: AtomicI32,
    wanted: AtomicI32,
    /// Tells this client's replies from others'.
    key: String,
}

impl Shared {
    /// Asks for replies on this partition, under a key that nobody else has.
    pub fn new(reply_at: Partition) -> Self {
        let key = clock::new_id().simple().to_string();
        Self { reply_at: reply_at.0.into(), wanted: reply_at.0.into(), key, ..Self::default() }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn reply_at(&self) -> Partition {
        Partition(self.reply_at.load(Ordering::Acquire))
    }

    pub fn wanted(&self) -> Partition {
        Partition(self.wanted.load(Ordering::Acquire))
    }

    /// The claiming thread's part; the reading thread goes there first.
    pub fn want_replies_at(&self, partition: Partition) {
        self.wanted.store(partition.0, Ordering::Release);
    }

    pub fn ask_for_replies_at(&self, partition: Partition) {
        self.reply_at.store(partition.0, Ordering::Release);
    }

    /// Whether a reply is still waited for on this partition.
    pub fn waits_at(&self, partition: Partition) -> bool {
        self.waiters().keys().any(|key| key.reply_at == Some(partition))
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        // Nothing panics under this lock, and a map of senders is whole after each step.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait_for(&self, key: &Key) -> Result<oneshot::Receiver<Answer>, ClientError> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.waiters();
        // Under the lock: a reader that breaks down afterwards finds this waiter.
        if let Some(reason) = self.broken.get() {
            return Err(ClientError::Stopped(reason.clone()));
        }
        waiters.entry(key.clone()).or_default().push_back(sender);
        Ok(receiver)
    }

    /// Answers who has waited longest. One that gave up takes its answer with it, so that the next
    /// copy is not given the answer of this one.
    pub fn answer(&self, key: &Key, answer: Answer) {
        let mut waiters = self.waiters();
        let Some(queue) = waiters.get_mut(key) else { return };
        if let Some(waiter) = queue.pop_front() {
            drop(waiter.send(answer));
        }
        if queue.is_empty() {
            waiters.remove(key);
        }
    }

    pub fn forget(&self, key: &Key) {
        let mut waiters = self.waiters();
        if waiters.get(key).is_some_and(|queue| queue.iter().all(oneshot::Sender::is_closed)) {
            waiters.remove(key);
        }
    }

    pub fn break_down(&self, reason: &str) {
        let mut waiters = self.waiters();
        drop(self.broken.set(reason.to_owned()));
        for waiter in waiters.drain().flat_map(|(_, queue)| queue) {
            drop(waiter.send(Err(ClientError::Stopped(reason.to_owned()))));
        }
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command is given to the log.
    pub fn is_on_its_way(&self) {
        let mut traffic = self.traffic();
        if traffic.on_their_way == 0 {
            traffic.moved_at = Some(clock::instant());
        }
        traffic.on_their_way += 1;
    }

    /// The log did not take it.
    pub fn was_not_taken(&self) {
        let mut traffic = self.traffic();
        traffic.on_their_way = traffic.on_their_way.saturating_sub(1);
    }

    /// The log has acknowledged one that it took, or given it up.
    pub fn has_arrived(&self, acknowledged: bool) {
        let mut traffic = self.traffic();
        traffic.on_their_way = traffic.on_their_way.saturating_sub(1);
        if acknowledged {
            traffic.moved_at = Some(clock::instant());
        }
    }

    /// For how long the log has acknowledged nothing of what is on its way to it, if that is `long`.
    pub fn away_for(&self, long: Duration) -> Option<Duration> {
        let traffic = self.traffic();
        let since = traffic.moved_at.filter(|_| traffic.on_their_way > 0)?.elapsed();
        (since > long).then_some(since)
    }

    pub fn order(&self) -> Order {
        Order(self.order.load(Ordering::Acquire))
    }

    /// Whatever was submitted before is held back, where order matters.
    pub fn end_order(&self) {
        self.order.fetch_add(1, Ordering::AcqRel);
    }

    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}
