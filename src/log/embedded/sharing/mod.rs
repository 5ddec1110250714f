//! Sharing: one process holds an embedded log, others go through it.
//!
//! The holder [serves](server::Serving) its log on a loopback address, which it writes beside the lock
//! together with a secret, readable by its own user only. Another invocation on the same folder becomes
//! a guest: it looks, reads and sends, but is no member and no transactional writer, since a worker
//! beside the holder would be a second process that owns partitions.

mod address;
mod connection;
mod remote;
mod remote_reader;
mod remote_sender;
mod server;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::folder::FolderLock;
use super::{EmbeddedLog, Settings};
use crate::clock::{self, Clock};
use crate::log::{Log, LogError};

pub use remote::RemoteLog;
pub(super) use server::Serving;

/// How long a holder that does not answer yet is waited for: it may be opening the log.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// What [`connect_or_open`] came to.
#[derive(Debug)]
pub enum Opened {
    /// This process holds the log, and serves it to others for as long as a clone of this lives.
    Holder(EmbeddedLog),
    /// Another process holds it.
    Guest(RemoteLog),
}

impl Opened {
    /// The log, whoever holds it.
    pub fn into_log(self) -> Arc<dyn Log> {
        match self {
            Self::Holder(log) => Arc::new(log),
            Self::Guest(log) => Arc::new(log),
        }
    }
}

/// Opens the log in a folder and serves it, its records stamped by this clock; goes through its holder if
/// there is one.
pub fn connect_or_open(folder: &Path, settings: &Settings, clock: &Clock) -> Result<Opened, LogError> {
    let deadline = clock::instant() + PATIENCE;
    loop {
        let holder = match FolderLock::try_take(folder)? {
            Ok(lock) => {
                let log = EmbeddedLog::open_locked(folder, lock, settings.clone(), clock.clone())?;
                return Ok(Opened::Holder(log.serve(folder)?));
            }
            Err(holder) => holder,
        };
        match RemoteLog::connect(folder) {
            Ok(log) => return Ok(Opened::Guest(log)),
            Err(error) if error.is_temporary() && clock::instant() < deadline => std::thread::sleep(PAUSE),
            Err(error) if error.is_temporary() => {
                return Err(LogError::Fatal(format!(
                    "the embedded log in {} is held by {holder}, which does not answer: {error}; end it or wait for it",
                    folder.display()
                )));
            }
            Err(error) => return Err(error),
        }
    }
}
