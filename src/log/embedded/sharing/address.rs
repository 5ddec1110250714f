//! The note that the holder leaves for guests: where it listens, and the secret to show there. Only
//! the holder's own user can read it, so no other user of the machine can read or write the log.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock;

/// Where the holder listens.
#[derive(Serialize, Deserialize)]
pub(super) struct Address {
    pub(super) address: SocketAddr,
    pub(super) token: Token,
}

/// The secret that a guest must show.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Token(String);

impl Token {
    pub(super) fn random() -> Self {
        Self(format!("{:016x}{:016x}", clock::random(), clock::random()))
    }

    /// Compares in a time that does not tell how much of it was right.
    pub(super) fn matches(&self, shown: &Self) -> bool {
        let (own, shown) = (self.0.as_bytes(), shown.0.as_bytes());
        own.len() == shown.len() && own.iter().zip(shown).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("address")
}

impl Address {
    /// Leaves the note, in one step, so that nobody reads half of it.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let draft = folder.join("address.new");
        // A draft of one who died may have other permissions.
        if let Err(error) = fs::remove_file(&draft)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(draft, path(folder))
    }

    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path(folder))?)?)
    }

    /// Takes the note away.
    pub(super) fn remove(folder: &Path) {
        // A note without a holder does no harm: nobody listens there any more.
        let _ = fs::remove_file(path(folder));
    }
}
