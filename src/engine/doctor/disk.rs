//! The folders of this machine that are written to: whether they can be, and for how long.

use std::io;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::settings::{LogSetting, Settings, ViewsSetting};

const GIB: u64 = 1 << 30;
/// Below this nothing should be started any more.
const LEAST_BYTES: u64 = GIB / 4;
/// Below this somebody should look after it soon.
const FEW_BYTES: u64 = 2 * GIB;

pub(super) fn examine(settings: &Settings) -> Vec<Finding> {
    let mut folders: Vec<(&'static str, PathBuf)> = vec![("local state", settings.state())];
    if let LogSetting::Embedded(folder) = &settings.log {
        folders.push(("the embedded log", folder.join("log")));
    }
    if let ViewsSetting::Sqlite(folder) = settings.views() {
        folders.push(("the views", folder));
    }
    folders.into_iter().map(|(what, folder)| folder_finding(what, &folder)).collect()
}

fn folder_finding(what: &str, folder: &Path) -> Finding {
    let named = format!("{} ({what})", folder.display());
    if let Err(error) = probe(folder) {
        return Finding::bad("disk", format!("{named} cannot be written to: {error}"), "give this user the right to");
    }
    match free_bytes(folder) {
        Ok(free) => judge(&named, free),
        Err(error) => {
            Finding::warning("disk", format!("{named}: its free space cannot be had: {error}"), "look yourself")
        }
    }
}

fn judge(named: &str, free: u64) -> Finding {
    let found = format!("{named} has {} MiB free", free >> 20);
    if free < LEAST_BYTES {
        Finding::bad("disk", found, "make room before anything is started")
    } else if free < FEW_BYTES {
        Finding::warning("disk", found, "make room soon")
    } else {
        Finding::ok("disk", found)
    }
}

fn probe(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let probe = folder.join(format!("doctor-{}", std::process::id()));
    std::fs::write(&probe, b"probe")?;
    std::fs::remove_file(&probe)
}

/// What this user may still write.
fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::*;

    #[test]
    fn a_disk_that_runs_full_is_told_before_it_is() {
        assert_eq!(judge("x", 100 * GIB).health, Health::Ok);
        assert_eq!(judge("x", GIB).health, Health::Warning);
        assert_eq!(judge("x", 1 << 20).health, Health::Bad);
    }

    #[test]
    fn a_folder_is_looked_at_where_it_lies_and_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("state");
        assert!(free_bytes(folder.path()).expect("space") > 0);
        assert_ne!(folder_finding("local state", &inner).health, Health::Bad);
        assert_eq!(std::fs::read_dir(&inner).expect("it is there").count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_bad() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let finding = folder_finding("local state", &file.path().join("state"));
        assert_eq!(finding.health, Health::Bad);
        assert!(finding.found.contains("cannot be written to"), "{finding:?}");
    }
}
