//! What all handles of one embedded log share: the broker under its lock, and the bell that wakes
//! whoever waits for records, offsets or partitions.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::broker::Broker;
use super::folder::FolderLock;
use super::storage::Storage;
use crate::clock;
use crate::log::{CommittedOffset, LogError, TopicPartition};

/// Longer waits are cut to this; no deadline overflows.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

pub(super) struct Shared {
    broker: Mutex<Broker>,
    changed: Condvar,
    storage: Arc<Storage>,
    offsets_wait: Duration,
    maintenance: Mutex<()>,
    /// Tells maintenance of the end by going away.
    _open: Option<Sender<()>>,
    /// Dropped last: the folder is free only when storage is closed.
    _lock: Option<FolderLock>,
}

impl Shared {
    /// Shares a log that ends with its last handle.
    pub(super) fn in_memory(broker: Broker) -> Arc<Self> {
        Arc::new(Self::new(broker, None, None))
    }

    /// Shares a log on disk; the receiver is told of its end.
    pub(super) fn on_disk(broker: Broker, lock: FolderLock) -> (Arc<Self>, Receiver<()>) {
        let (open, closed) = crossbeam_channel::bounded(0);
        (Arc::new(Self::new(broker, Some(open), Some(lock))), closed)
    }

    fn new(broker: Broker, open: Option<Sender<()>>, lock: Option<FolderLock>) -> Self {
        Self {
            storage: Arc::clone(&broker.storage),
            offsets_wait: broker.settings.offsets_wait,
            broker: Mutex::new(broker),
            changed: Condvar::new(),
            maintenance: Mutex::new(()),
            _open: open,
            _lock: lock,
        }
    }

    /// The right to delete from storage.
    pub(super) fn maintaining(&self) -> Result<MutexGuard<'_, ()>, LogError> {
        self.maintenance.lock().map_err(|_| poisoned())
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The broker, with everything that is overdue ended.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Broker>, LogError> {
        let broker = self.broker.lock().map_err(|_| poisoned())?;
        self.up_to_date(broker)
    }

    /// Waits until something changed, or something is overdue, or the deadline.
    pub(super) fn wait<'a>(
        &'a self,
        broker: MutexGuard<'a, Broker>,
        deadline: Instant,
    ) -> Result<MutexGuard<'a, Broker>, LogError> {
        let until = broker.next_expiry.map_or(deadline, |it| it.min(deadline));
        let wait = until.saturating_duration_since(clock::instant());
        let broker = clock::wait(&self.broker, &self.changed, broker, wait).map_err(|_| poisoned())?;
        self.up_to_date(broker)
    }

    /// Wakes everybody who waits.
    pub(super) fn wake(&self) {
        clock::ring(&self.changed);
    }

    fn up_to_date<'a>(&self, mut broker: MutexGuard<'a, Broker>) -> Result<MutexGuard<'a, Broker>, LogError> {
        if let Some(reason) = &broker.failed {
            return Err(LogError::Fatal(reason.clone()));
        }
        if broker.next_expiry.is_some() && broker.expire(clock::instant())? {
            self.wake();
        }
        Ok(broker)
    }

    /// A group's offsets, once no open transaction changes them any more.
    pub(super) fn stable_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        let deadline = deadline(self.offsets_wait);
        let mut broker = self.lock()?;
        while broker.has_pending_offsets(group, partitions) {
            if clock::instant() >= deadline {
                return Err(LogError::Unavailable(format!(
                    "group {group}: a transaction with offsets of these partitions has been open for {:?}",
                    self.offsets_wait
                )));
            }
            broker = self.wait(broker, deadline)?;
        }
        let offsets = broker.groups.get(group).map(|it| &it.offsets);
        Ok(partitions.iter().map(|it| offsets?.get(it).cloned()).collect())
    }
}

/// When a wait that begins now ends.
pub(super) fn deadline(wait: Duration) -> Instant {
    clock::instant() + wait.min(LONGEST_WAIT)
}

fn poisoned() -> LogError {
    LogError::Fatal("a thread panicked within the embedded log; start the process again".to_owned())
}
