//! A worker's store on its own disk (fjall): what its partitions hold, so that it need not all be in
//! memory, and a restart reads only what is new.
//!
//! Everything in it can be made again from the log. So it is written without waiting for the disk: a store
//! that lost its last writes is only older, and one that cannot be opened for what its files hold is thrown
//! away. It knows bytes, not what they mean: who keeps a partition here says by which signs he knows it
//! again.
//!
//! A partition's writes are all or nothing, and what is left after a crash, however it came, is what the
//! store held after one of them. Keys of one partition begin with the number of its incarnation: to clear it
//! is to give it another one.

mod folder;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fjall::{Database, Keyspace, PersistMode};

pub use folder::folder_of;

/// What cannot be done with the local store.
#[derive(Debug, thiserror::Error)]
pub enum LocalStoreError {
    /// Another process works in the folder.
    #[error(
        "the local store in {0} is held by another process: two workers of one `instance` and one state folder; \
         give each its own name or folder"
    )]
    Held(String),
    /// The folder cannot be worked in.
    #[error(
        "the local store in {folder}: {reason}; free the disk or repair its rights, or set processor.store = false"
    )]
    Folder {
        /// The folder.
        folder: String,
        /// What the system says.
        reason: String,
    },
    /// Something in it cannot be read or written.
    #[error("the local store in {folder} failed: {reason}")]
    Failed {
        /// The folder.
        folder: String,
        /// What the library says.
        reason: String,
    },
    /// A partition was opened again since: it belongs to that one.
    #[error("{0} was opened again in the local store")]
    Superseded(String),
}

/// The store of one worker process. No two processes share a folder.
pub struct LocalStore {
    database: Database,
    all: Keyspace,
    folder: String,
    /// How often each partition was opened, and its incarnation.
    opened: Mutex<HashMap<String, Opened>>,
    is_given_up: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opened {
    times: u64,
    incarnation: u64,
}

/// The part of a store that belongs to one partition, until somebody opens it again.
pub struct PartitionStore {
    store: Arc<LocalStore>,
    name: String,
    opened: Opened,
}

/// Changes of one partition that are written together.
#[derive(Debug, Default)]
pub struct Batch(Vec<(Vec<u8>, Option<Bytes>)>);

impl Batch {
    /// Puts a value.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Bytes>) {
        self.0.push((key.into(), Some(value.into())));
    }

    /// Removes a value.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.0.push((key.into(), None));
    }
}

/// Before the name of a partition: its incarnation follows. No incarnation begins with this byte.
const NAMES: u8 = 0xff;
/// The last incarnation that was given.
const LAST_INCARNATION: [u8; 1] = [0xfe];
/// How many keys of an incarnation that is gone are removed at once.
const REMOVED_AT_ONCE: usize = 10_000;

impl LocalStore {
    /// Whether it can be worked with.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.is_given_up.load(Ordering::Relaxed)
    }

    /// It failed: this process goes on without it. If what it holds `is_damaged`, the next start makes it anew.
    pub fn give_up(&self, error: &LocalStoreError, is_damaged: bool) {
        if matches!(error, LocalStoreError::Superseded(_)) || self.is_given_up.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::error!(%error, "the local store is given up: this worker holds all its state in memory until it is started again");
        metrics::counter!("headwater_store_failures_total").increment(1);
        if is_damaged {
            folder::condemn(&self.folder, error);
        }
    }

    /// A partition's part, as it was left; who had it before cannot write any more.
    pub fn partition(self: &Arc<Self>, name: &str) -> Result<PartitionStore, LocalStoreError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let times = opened.get(name).map_or(0, |it| it.times) + 1;
        let incarnation = match self.number(&name_key(name))? {
            Some(incarnation) => incarnation,
            None => self.incarnate(name)?,
        };
        let now = Opened { times, incarnation };
        opened.insert(name.to_owned(), now);
        Ok(PartitionStore { store: self.clone(), name: name.to_owned(), opened: now })
    }

    /// A new incarnation of a partition, with nothing in it.
    fn incarnate(&self, name: &str) -> Result<u64, LocalStoreError> {
        let incarnation = self.number(&LAST_INCARNATION)?.unwrap_or(0) + 1;
        let mut writes = self.database.batch().durability(Some(PersistMode::Buffer));
        writes.insert(&self.all, LAST_INCARNATION, incarnation.to_be_bytes());
        writes.insert(&self.all, name_key(name), incarnation.to_be_bytes());
        writes.commit().map_err(|error| self.failed(&error))?;
        Ok(incarnation)
    }

    fn number(&self, key: &[u8]) -> Result<Option<u64>, LocalStoreError> {
        let value = self.all.get(key).map_err(|error| self.failed(&error))?;
        Ok(value.and_then(|value| Some(u64::from_be_bytes(value[..].try_into().ok()?))))
    }

    /// Removes what an incarnation that is gone had; where it cannot be read, it stays and is never looked at.
    fn remove_incarnation(&self, incarnation: u64) -> Result<(), LocalStoreError> {
        loop {
            let keys: Vec<_> = self
                .all
                .prefix(incarnation.to_be_bytes())
                .take(REMOVED_AT_ONCE)
                .map_while(|entry| entry.key().ok())
                .collect();
            if keys.is_empty() {
                return Ok(());
            }
            let mut writes = self.database.batch();
            for key in keys {
                writes.remove(&self.all, key);
            }
            writes.commit().map_err(|error| self.failed(&error))?;
        }
    }

    fn failed(&self, error: &fjall::Error) -> LocalStoreError {
        LocalStoreError::Failed { folder: self.folder.clone(), reason: error.to_string() }
    }
}

impl PartitionStore {
    /// The store that it is a part of.
    #[must_use]
    pub fn whole(&self) -> &LocalStore {
        &self.store
    }

    /// What it holds is not what was written.
    #[must_use]
    pub fn damaged(&self, reason: String) -> LocalStoreError {
        LocalStoreError::Failed { folder: self.store.folder.clone(), reason: format!("{}: {reason}", self.name) }
    }

    /// One value.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, LocalStoreError> {
        let value = self.store.all.get(self.key(key)).map_err(|error| self.store.failed(&error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// The values whose keys begin so, in the order of the keys, each with the rest of its key.
    pub fn each(&self, prefix: &[u8]) -> impl Iterator<Item = Result<(Vec<u8>, Bytes), LocalStoreError>> {
        let from = self.key(prefix);
        let begins = from.len();
        self.store.all.prefix(from).map(move |entry| {
            let (key, value) = entry.into_inner().map_err(|error| self.store.failed(&error))?;
            Ok((key[begins..].to_vec(), Bytes::copy_from_slice(&value)))
        })
    }

    /// Writes all changes or none. They survive the death of the process.
    pub fn write(&self, batch: Batch) -> Result<(), LocalStoreError> {
        let opened = self.own()?;
        let mut writes = self.store.database.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in batch.0 {
            match value {
                Some(value) => writes.insert(&self.store.all, self.key(&key), &value[..]),
                None => writes.remove(&self.store.all, self.key(&key)),
            }
        }
        let written = writes.commit().map_err(|error| self.store.failed(&error));
        drop(opened);
        written
    }

    /// Forgets everything.
    pub fn clear(&mut self) -> Result<(), LocalStoreError> {
        let mut opened = self.own()?;
        let gone = self.opened.incarnation;
        let anew = Opened { incarnation: self.store.incarnate(&self.name)?, ..self.opened };
        opened.insert(self.name.clone(), anew);
        drop(opened);
        self.opened = anew;
        self.store.remove_incarnation(gone)
    }

    /// That nobody opened it since, for as long as the answer is kept.
    fn own(&self) -> Result<MutexGuard<'_, HashMap<String, Opened>>, LocalStoreError> {
        let opened = self.store.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.get(&self.name) == Some(&self.opened) {
            return Ok(opened);
        }
        Err(LocalStoreError::Superseded(self.name.clone()))
    }

    fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.opened.incarnation.to_be_bytes(), key].concat()
    }
}

impl std::fmt::Debug for PartitionStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionStore").field("name", &self.name).finish_non_exhaustive()
    }
}

fn name_key(name: &str) -> Vec<u8> {
    [&[NAMES], name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &PartitionStore, key: &str, value: &'static str) -> Result<(), LocalStoreError> {
        let mut batch = Batch::default();
        batch.put(key.as_bytes(), value);
        store.write(batch)
    }

    fn all(store: &PartitionStore) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        store.each(b"").map(|it| it.map(|(key, value)| (text(&key), text(&value))).expect("read")).collect()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn partitions_hold_their_own_and_keep_it_over_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = LocalStore::open(folder.path()).expect("a store");
        let (one, other) = (store.partition("a/1").expect("one"), store.partition("a/11").expect("other"));
        put(&one, "k", "1").expect("written");
        put(&other, "k", "11").expect("written");
        put(&one, "l", "2").expect("written");
        let mut batch = Batch::default();
        batch.remove(*b"k");
        one.write(batch).expect("written");
        drop((one, other, store));
        let store = LocalStore::open(folder.path()).expect("a store");
        assert_eq!(all(&store.partition("a/1").expect("one")), pairs(&[("l", "2")]));
        let mut other = store.partition("a/11").expect("other");
        assert_eq!(other.get(b"k").expect("read").as_deref(), Some(&b"11"[..]));
        other.clear().expect("cleared");
        assert_eq!(all(&other), pairs(&[]));
        put(&other, "m", "3").expect("written");
        assert_eq!(all(&store.partition("a/11").expect("other")), pairs(&[("m", "3")]));
        assert_eq!(all(&store.partition("a/1").expect("one")), pairs(&[("l", "2")]));
        let left = store.all.iter().count();
        assert_eq!(left, 5, "two values, two names and the count: nothing of what was cleared is left");
    }

    #[test]
    fn who_had_a_partition_before_writes_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = LocalStore::open(folder.path()).expect("a store");
        let mut before = store.partition("a/1").expect("it opens");
        let after = store.partition("a/1").expect("it opens again");
        assert!(matches!(put(&before, "k", "old"), Err(LocalStoreError::Superseded(_))));
        assert!(matches!(before.clear(), Err(LocalStoreError::Superseded(_))));
        put(&after, "k", "new").expect("written");
        assert_eq!(all(&after), pairs(&[("k", "new")]));
    }

    #[test]
    fn a_second_one_on_a_folder_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let _held = LocalStore::open(folder.path()).expect("a store");
        let refused = LocalStore::open(folder.path()).err().expect("refused").to_string();
        assert!(refused.contains("held by another process"), "{refused}");
    }

    #[test]
    fn a_store_whose_files_are_damaged_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = LocalStore::open(folder.path()).expect("a store");
        put(&store.partition("a/1").expect("one"), "k", "1").expect("written");
        drop(store);
        for entry in std::fs::read_dir(folder.path()).expect("a folder").map(|it| it.expect("an entry").path()) {
            if entry.extension().is_some_and(|it| it == "jnl") {
                let mut bytes = std::fs::read(&entry).expect("a journal");
                for byte in &mut bytes {
                    *byte = byte.wrapping_mul(31).wrapping_add(7);
                }
                std::fs::write(&entry, bytes).expect("damaged");
            }
        }
        let store = LocalStore::open(folder.path()).expect("a store, whatever lay there");
        let one = store.partition("a/1").expect("one");
        put(&one, "k", "2").expect("written");
        assert_eq!(all(&one), pairs(&[("k", "2")]));
    }

    #[test]
    fn a_write_that_the_process_died_in_is_dropped_and_those_before_it_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = LocalStore::open(folder.path()).expect("a store");
        let one = store.partition("a/1").expect("one");
        put(&one, "k", "1").expect("written");
        let journal = || {
            let files = std::fs::read_dir(folder.path()).expect("a folder").map(|it| it.expect("an entry").path());
            files.filter(|it| it.extension().is_some_and(|it| it == "jnl")).max().expect("a journal")
        };
        put(&one, "l", "2").expect("written");
        drop((one, store));
        let path = journal();
        let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the journal");
        let bytes = std::fs::read(&path).expect("the journal");
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("something is written");
        file.set_len(u64::try_from(end - 3).expect("small")).expect("cut");
        let store = LocalStore::open(folder.path()).expect("a store");
        assert_eq!(all(&store.partition("a/1").expect("one")), pairs(&[("k", "1")]));
    }
}
