//! Opening a store's folder: as it was left, or anew if what is in it cannot be read.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions};

use super::{LocalStore, LocalStoreError};

/// Blocks of the files held in memory.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// What is written is held in memory up to this, and then becomes a file.
const MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;
/// The most that has to be read when the store is opened.
const JOURNAL_BYTES: u64 = 128 * 1024 * 1024;

/// In a folder whose files turned out to be damaged: what was wrong.
const CONDEMNED: &str = "damaged";

/// Has the next start make the store anew.
pub(super) fn condemn(folder: &str, why: &LocalStoreError) {
    if let Err(error) = std::fs::write(Path::new(folder).join(CONDEMNED), why.to_string()) {
        tracing::error!(folder, %error, "the damaged local store cannot be marked: remove the folder");
    }
}

/// The folder of the worker of this name, which may be any text.
#[must_use]
pub fn folder_of(state: &Path, instance: &str) -> PathBuf {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let plain: String = instance.chars().map(|c| if is_plain(c) { c } else { '_' }).take(80).collect();
    let name = if plain == instance {
        plain
    } else {
        format!("{plain}.{:016x}", xxhash_rust::xxh3::xxh3_64(instance.as_bytes()))
    };
    state.join("store").join(name)
}

impl LocalStore {
    /// Opens the store in a folder, or creates it. One whose files cannot be made sense of is thrown away and
    /// begun anew, which a warning tells; never for a mere crash.
    pub fn open(folder: &Path) -> Result<Arc<Self>, LocalStoreError> {
        let shown = folder.display().to_string();
        let refused = |error: &dyn std::fmt::Display| LocalStoreError::Folder {
            folder: shown.clone(),
            reason: error.to_string(),
        };
        std::fs::create_dir_all(folder).map_err(|error| refused(&error))?;
        let (database, all) = match catch_unwind(AssertUnwindSafe(|| try_open(folder))) {
            Ok(Ok(opened)) if !folder.join(CONDEMNED).exists() => opened,
            Ok(Err(fjall::Error::Locked)) => return Err(LocalStoreError::Held(shown)),
            Ok(Err(fjall::Error::Io(error))) if !is_damage(&error) => return Err(refused(&error)),
            unreadable => {
                let reason = match &unreadable {
                    Ok(Ok(_)) => std::fs::read_to_string(folder.join(CONDEMNED)).unwrap_or_default(),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "the library that reads it panicked".to_owned(),
                };
                drop(unreadable);
                tracing::warn!(folder = shown, reason, "the local store is damaged: it is made anew from the log");
                metrics::counter!("headwater_store_rebuilds_total", "reason" => "damaged").increment(1);
                std::fs::remove_dir_all(folder).map_err(|error| refused(&error))?;
                std::fs::create_dir_all(folder).map_err(|error| refused(&error))?;
                try_open(folder).map_err(|error| refused(&error))?
            }
        };
        Ok(Arc::new(Self {
            database,
            all,
            folder: shown,
            opened: Mutex::default(),
            is_given_up: AtomicBool::new(false),
        }))
    }
}

fn try_open(folder: &Path) -> Result<(Database, Keyspace), fjall::Error> {
    let database = Database::builder(folder)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES)
        .journal_compression(CompressionType::None)
        .open()?;
    let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
    let all = database.keyspace("partitions", options)?;
    Ok((database, all))
}

/// Whether files are missing or hold what they should not, and not the disk or its rights are at fault.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | NotFound | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_folder_of_its_own() {
        let of = |name: &str| folder_of(Path::new("/state"), name);
        assert_eq!(of("host-1"), Path::new("/state/store/host-1"));
        assert_ne!(of("a/b"), of("a_b"));
        assert_ne!(of("a/b"), of("a.b"));
        assert!(of("../x").starts_with("/state/store"), "{:?}", of("../x"));
    }
}
