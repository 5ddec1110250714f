//! The lock on an embedded log's folder: one process holds it, and whoever comes second is told who.
//! The operating system frees it when the holder dies, however it dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use crate::clock;
use crate::log::LogError;

const CLOSING: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

/// The lock, as long as this lives.
pub(super) struct FolderLock {
    _file: File,
}

/// Who holds a lock that was not free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder(Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

impl FolderLock {
    /// Creates the folder if need be and takes the lock. When this very process holds it, a log that was
    /// dropped may be about to close: that is waited for.
    pub(super) fn take(folder: &Path) -> Result<Self, LogError> {
        let deadline = clock::instant() + CLOSING;
        loop {
            let holder = match Self::try_take(folder)? {
                Ok(lock) => return Ok(lock),
                Err(holder) => holder,
            };
            if holder.0 != Some(std::process::id()) || clock::instant() >= deadline {
                let folder = folder.display();
                return Err(LogError::Fatal(format!(
                    "the embedded log in {folder} is held by {holder}; only one can open it"
                )));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Creates the folder if need be and takes the lock, if it is free.
    pub(super) fn try_take(folder: &Path) -> Result<Result<Self, Holder>, LogError> {
        let failed = |what: &str, error: &io::Error| {
            LogError::Fatal(format!("the embedded log in {} cannot be {what}: {error}", folder.display()))
        };
        fs::create_dir_all(folder).map_err(|error| failed("created", &error))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(folder.join("lock")).map_err(|error| failed("locked", &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(Holder(holder(&mut file)))),
            Err(TryLockError::Error(error)) => return Err(failed("locked", &error)),
        }
        let pid = std::process::id();
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{pid}"))
            .map_err(|error| failed("locked", &error))?;
        Ok(Ok(Self { _file: file }))
    }
}

/// The holder's process id, for people; between locking and writing it, there is none.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
