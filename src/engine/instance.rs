//! Names a worker process, so that its partitions wait for it over a restart.
//!
//! Two live processes of one name would fence each other for ever. Without a name in the settings, a
//! locked slot file in the state folder gives one: host, folder and number. The lock ends with the
//! process, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

/// More workers than one folder should ever serve.
const MOST_SLOTS: u32 = 1000;

/// A name that no other live process has while this value lives.
#[derive(Debug)]
pub struct Instance {
    name: String,
    /// The lock of the slot; none if the name was given.
    _slot: Option<File>,
}

impl Instance {
    /// The name given, or the first free slot of the folder.
    pub fn claim(given: Option<&str>, folder: &Path) -> io::Result<Self> {
        if let Some(name) = given {
            return Ok(Self { name: name.to_owned(), _slot: None });
        }
        let slots = folder.join("workers");
        std::fs::create_dir_all(&slots)?;
        let place = xxh3_64(slots.canonicalize()?.as_os_str().as_encoded_bytes());
        for number in 0..MOST_SLOTS {
            let path = slots.join(number.to_string());
            let slot = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            match slot.try_lock() {
                Ok(()) => {
                    let name = format!("{}-{:08x}-{number}", host(), place >> 32);
                    return Ok(Self { name, _slot: Some(slot) });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("{}: all {MOST_SLOTS} worker slots are taken", slots.display())))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The machine's name; containers have one each.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if name.is_empty() { "host".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_live_workers_of_one_folder_never_share_a_name_and_a_freed_name_is_taken_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Instance::claim(None, folder.path()).expect("a name");
        let other = Instance::claim(None, folder.path()).expect("a name");
        assert_ne!(one.name(), other.name());
        let freed = one.name().to_owned();
        drop(one);
        assert_eq!(Instance::claim(None, folder.path()).expect("a name").name(), freed);
    }
}
