//! Where the embedded log keeps its bytes: two ordered maps with atomic batches over both, on disk
//! (fjall) or in memory. It promises that a batch is written as a whole or not at all, and that on
//! disk it has reached the operating system when [`Storage::write`] returns. It knows nothing of
//! records, transactions or groups.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::settings::Settings;
use crate::log::LogError;

/// Which of the two maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Chunks of records.
    Records,
    /// Everything else: topics, writers, offsets, indexes.
    Meta,
}

/// Changes that are written together.
#[derive(Default)]
pub(super) struct Batch {
    changes: Vec<Change>,
    bytes: usize,
}

struct Change {
    space: Space,
    key: Vec<u8>,
    value: Option<Bytes>,
}

impl Batch {
    pub(super) fn put(&mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.changes.push(Change { space, key, value: Some(value) });
    }

    pub(super) fn remove(&mut self, space: Space, key: impl Into<Vec<u8>>) {
        let key = key.into();
        self.bytes += key.len();
        self.changes.push(Change { space, key, value: None });
    }

    /// Adds the changes of `other` after its own.
    pub(super) fn extend(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.bytes += other.bytes;
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many bytes of keys and values it holds.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The two maps.
pub(super) enum Storage {
    Disk(Disk),
    Memory(RwLock<Memory>),
}

pub(super) struct Disk {
    database: Database,
    records: Keyspace,
    meta: Keyspace,
    sync: bool,
}

#[derive(Default)]
pub(super) struct Memory {
    records: BTreeMap<Vec<u8>, Bytes>,
    meta: BTreeMap<Vec<u8>, Bytes>,
}

/// What a scan does with each entry.
pub(super) type Visit<'a> = dyn FnMut(&[u8], Bytes) -> Result<ControlFlow<()>, LogError> + 'a;

impl Storage {
    /// Storage that ends with the process.
    pub(super) fn in_memory() -> Self {
        Self::Memory(RwLock::default())
    }

    /// Opens or creates the storage in a folder that this process holds the lock of.
    pub(super) fn open(folder: &Path, settings: &Settings) -> Result<Self, LogError> {
        let failed = |error| failed(&format!("cannot open {}", folder.display()), &error);
        // Chunks are compressed when they leave the memtable; compressing them for the journal too
        // would be paid by every commit.
        let database = Database::builder(folder)
            .cache_size(settings.cache_bytes)
            .journal_compression(CompressionType::None)
            .open()
            .map_err(failed)?;
        let records = database.keyspace("records", KeyspaceCreateOptions::default).map_err(failed)?;
        let meta = database.keyspace("meta", KeyspaceCreateOptions::default).map_err(failed)?;
        Ok(Self::Disk(Disk { database, records, meta, sync: settings.sync }))
    }

    /// Writes all changes or none.
    pub(super) fn write(&self, batch: Batch) -> Result<(), LogError> {
        match self {
            Self::Disk(disk) => disk.write(batch),
            Self::Memory(memory) => {
                let mut memory = memory.write().unwrap_or_else(PoisonError::into_inner);
                for Change { space, key, value } in batch.changes {
                    match value {
                        Some(value) => memory.space_mut(space).insert(key, value),
                        None => memory.space_mut(space).remove(&key),
                    };
                }
                Ok(())
            }
        }
    }

    /// Visits the entries from `from` up to `until` (not included), in order, until told to stop.
    pub(super) fn scan(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), LogError> {
        if from >= until {
            return Ok(());
        }
        match self {
            Self::Disk(disk) => {
                for entry in disk.space(space).range(from..until) {
                    let (key, value) = entry.into_inner().map_err(|error| failed("cannot read", &error))?;
                    if visit(&key, Bytes::copy_from_slice(&value))?.is_break() {
                        break;
                    }
                }
            }
            Self::Memory(memory) => {
                let memory = memory.read().unwrap_or_else(PoisonError::into_inner);
                let range = memory
                    .space(space)
                    .range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(until)));
                for (key, value) in range {
                    if visit(key, value.clone())?.is_break() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The last entry from `lowest` up to `at`, both included.
    pub(super) fn floor(&self, space: Space, lowest: &[u8], at: &[u8]) -> Result<Option<(Vec<u8>, Bytes)>, LogError> {
        if lowest > at {
            return Ok(None);
        }
        match self {
            Self::Disk(disk) => {
                let Some(entry) = disk.space(space).range(lowest..=at).next_back() else { return Ok(None) };
                let (key, value) = entry.into_inner().map_err(|error| failed("cannot read", &error))?;
                Ok(Some((key.to_vec(), Bytes::copy_from_slice(&value))))
            }
            Self::Memory(memory) => {
                let memory = memory.read().unwrap_or_else(PoisonError::into_inner);
                let mut range = memory
                    .space(space)
                    .range::<[u8], _>((std::ops::Bound::Included(lowest), std::ops::Bound::Included(at)));
                Ok(range.next_back().map(|(key, value)| (key.clone(), value.clone())))
            }
        }
    }
}

impl Disk {
    const fn space(&self, space: Space) -> &Keyspace {
        match space {
            Space::Records => &self.records,
            Space::Meta => &self.meta,
        }
    }

    fn write(&self, batch: Batch) -> Result<(), LogError> {
        let mode = if self.sync { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut writes = self.database.batch().durability(Some(mode));
        for Change { space, key, value } in batch.changes {
            match value {
                Some(value) => writes.insert(self.space(space), key, &value[..]),
                None => writes.remove(self.space(space), key),
            }
        }
        writes.commit().map_err(|error| failed("cannot write", &error))
    }
}

impl Memory {
    const fn space(&self, space: Space) -> &BTreeMap<Vec<u8>, Bytes> {
        match space {
            Space::Records => &self.records,
            Space::Meta => &self.meta,
        }
    }

    const fn space_mut(&mut self, space: Space) -> &mut BTreeMap<Vec<u8>, Bytes> {
        match space {
            Space::Records => &mut self.records,
            Space::Meta => &mut self.meta,
        }
    }
}

fn failed(what: &str, error: &fjall::Error) -> LogError {
    LogError::Fatal(format!("the embedded log's storage {what}: {error}; check the disk, then start again"))
}
