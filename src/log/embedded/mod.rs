//! The embedded log: the log port within one process, durable on fjall or in memory, for a first try
//! without a broker and for the crash schedules.
//!
//! It behaves as Kafka does wherever the engine can see it, down to the offsets that markers and
//! aborted records take. Commits survive the death of the process, and with
//! [`sync`](Settings::sync) the loss of power. Transactions that a dead process left open hold up
//! readers until their writer id is opened again or their time is up, as they do on Kafka.
//!
//! One lock guards the broker (`broker.rs`); below it lies storage (`storage.rs`), which readers read
//! without the lock. A member or a writer that is dropped without a word counts as one that died: the
//! member's partitions are free at once, the writer's transaction stays open.

mod aborted;
mod assignment;
mod broker;
mod chunk;
mod compaction;
mod fetch;
mod folder;
mod group;
mod keys;
mod maintenance;
mod member;
mod partition;
mod reader;
mod recovery;
mod retention;
mod sender;
mod settings;
mod shared;
mod sharing;
mod storage;
mod time_search;
mod transaction;
mod upkeep;
mod writer;
mod writers;

use std::path::Path;
use std::sync::Arc;

use self::folder::FolderLock;
use self::shared::Shared;
use self::sharing::Serving;
use self::storage::Storage;
use self::upkeep::Effort;
use super::{
    Bounds, CommittedOffset, Group, Isolation, Log, LogError, Member, Reader, Sender, Topic, TopicPartition, TopicSpec,
    Writer,
};
use crate::clock::{Clock, Timestamp};
use crate::position::Offset;

pub use settings::Settings;
pub use sharing::{Opened, RemoteLog, connect_or_open};

/// A handle on an embedded log. Clones share one log; it is closed when the last handle, member,
/// writer, sender and reader is gone.
#[derive(Clone)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    /// Tells guests that it is over when the last handle goes.
    _serving: Option<Arc<Serving>>,
}

impl std::fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLog").finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// Opens or creates the log in a folder. Only one process can hold it; the error names the holder.
    pub fn open(folder: &Path, settings: Settings) -> Result<Self, LogError> {
        Self::open_with_clock(folder, settings, Clock::system())
    }

    /// [`Self::open`], with records stamped by another clock.
    pub fn open_with_clock(folder: &Path, settings: Settings, clock: Clock) -> Result<Self, LogError> {
        Self::open_locked(folder, FolderLock::take(folder)?, settings, clock)
    }

    fn open_locked(folder: &Path, lock: FolderLock, settings: Settings, clock: Clock) -> Result<Self, LogError> {
        let storage = Storage::open(&folder.join("data"), &settings)?;
        let broker = recovery::recover(Arc::new(storage), settings, clock)?;
        let (shared, closed) = Shared::on_disk(broker, lock);
        maintenance::start(&shared, closed)?;
        Ok(Self { shared, _serving: None })
    }

    /// A log that ends with its last handle.
    pub fn in_memory(clock: Clock) -> Result<Self, LogError> {
        Self::in_memory_with(Settings::default(), clock)
    }

    /// [`Self::in_memory`], with other settings.
    pub fn in_memory_with(settings: Settings, clock: Clock) -> Result<Self, LogError> {
        let broker = recovery::recover(Arc::new(Storage::in_memory()), settings, clock)?;
        Ok(Self { shared: Shared::in_memory(broker), _serving: None })
    }

    /// Lets other processes go through this one, for as long as a clone of this handle lives.
    fn serve(self, folder: &Path) -> Result<Self, LogError> {
        let serving = Serving::start(folder, &self.shared)?;
        Ok(Self { _serving: Some(Arc::new(serving)), ..self })
    }

    /// Deletes everything that [retention](super::Retention) lets go. A log on disk does this by
    /// itself now and then, as far as it is worth it.
    pub fn maintain(&self) -> Result<(), LogError> {
        maintenance::maintain(&self.shared, Effort::All)
    }
}

impl Log for EmbeddedLog {
    fn cluster(&self) -> Result<String, LogError> {
        Ok(self.shared.lock()?.cluster.clone())
    }

    fn describe(&self, topics: &[Topic]) -> Result<Vec<Option<TopicSpec>>, LogError> {
        let broker = self.shared.lock()?;
        Ok(topics.iter().map(|it| broker.topics.get(it).map(|it| it.spec.clone())).collect())
    }

    fn create(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.shared.lock()?.create(topics)
    }

    fn bounds(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<Bounds>, LogError> {
        let broker = self.shared.lock()?;
        let bounds = partitions.iter().map(|it| {
            let log = broker.partition(it)?;
            let end = match isolation {
                Isolation::Uncommitted => log.end,
                Isolation::Committed => log.stable(),
            };
            Ok(Bounds { low: log.low, end })
        });
        bounds.collect()
    }

    fn offset_at(&self, partition: &TopicPartition, time: Timestamp) -> Result<Option<Offset>, LogError> {
        let plan = {
            let broker = self.shared.lock()?;
            let log = broker.partition(partition)?;
            log.plan(log.low, log.end)
        };
        time_search::first_at_or_after(self.shared.storage(), partition, plan, time)
    }

    fn committed(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        self.shared.stable_offsets(group, partitions)
    }

    fn set_committed(&self, group: &str, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), LogError> {
        self.shared.lock()?.set_committed(group, offsets)
    }

    fn join(&self, group: &Group) -> Result<Box<dyn Member>, LogError> {
        Ok(Box::new(member::GroupMember::join(Arc::clone(&self.shared), group.clone())?))
    }

    fn writer(&self, id: &str) -> Result<Box<dyn Writer>, LogError> {
        Ok(Box::new(writer::TransactionalWriter::open(Arc::clone(&self.shared), id)?))
    }

    fn sender(&self) -> Result<Arc<dyn Sender>, LogError> {
        Ok(Arc::new(sender::DirectSender::new(Arc::clone(&self.shared))))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(reader::FreeReader::new(Arc::clone(&self.shared))))
    }
}
