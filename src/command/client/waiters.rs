//! Everyone who waits for an outcome.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use hashbrown::HashMap;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{ClientError, Order};
use crate::command::Outcome;

/// An aggregate's id and a command's.
pub(super) type Key = (String, Uuid);

/// Everyone who waits. The same command may be sent twice at once; its replies come in the order of
/// the sending, since both stand in one partition.
type Waiters = HashMap<Key, VecDeque<oneshot::Sender<Result<Outcome, ClientError>>>>;

/// What the client and its threads share.
#[derive(Default)]
pub(super) struct Shared {
    waiters: Mutex<Waiters>,
    closing: AtomicBool,
    /// Grows with each command that was not acknowledged.
    order: AtomicU64,
    broken: OnceLock<String>,
}

impl Shared {
    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        // Nothing panics under this lock, and a map of senders is whole after each step.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait_for(&self, key: &Key) -> Result<oneshot::Receiver<Result<Outcome, ClientError>>, ClientError> {
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
    pub fn answer(&self, key: &Key, answer: Result<Outcome, ClientError>) {
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
