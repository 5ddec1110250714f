//! What past releases wrote, kept as files beside the source: `<folder>/<subject>/<version>.avsc`.
//!
//! A build can so be held to what was released without a registry to ask. A file is never changed
//! once it is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::registry::Subjects;
use super::{RegistryError, SchemaError, SchemaId, SubjectVersion};

/// The schemas that were released, by subject.
#[derive(Clone, Debug)]
pub struct Released {
    folder: PathBuf,
}

impl Released {
    /// Those in a folder; none if it does not exist.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The version that this schema was released as; `None` if it was not.
    pub fn lookup(&self, subject: &str, schema: &str) -> Result<Option<SubjectVersion>, SchemaError> {
        let id = self.read(subject)?.lookup(subject, schema)?;
        Ok(id.map(|id| SubjectVersion(id.0)))
    }

    /// The last version of a subject; `None` if nothing of it was released.
    pub fn latest(&self, subject: &str) -> Result<Option<SubjectVersion>, SchemaError> {
        Ok(self.read(subject)?.latest(subject).map(|latest| latest.version))
    }

    /// Why this schema cannot read everything that was released under its subject; empty if it can.
    pub fn check(&self, subject: &str, schema: &str) -> Result<Vec<String>, SchemaError> {
        Ok(self.read(subject)?.check(subject, schema)?)
    }

    /// Adds a schema to what was released, if it is new.
    pub fn release(&self, subject: &str, schema: &str) -> Result<SubjectVersion, SchemaError> {
        let mut released = self.read(subject)?;
        if let Some(id) = released.lookup(subject, schema)? {
            return Ok(SubjectVersion(id.0));
        }
        let id = released.next_id(subject, schema)?;
        released.restore(id, subject, schema)?;
        let file = self.file(subject, id.0);
        let pretty = serde_json::from_str::<serde_json::Value>(schema).and_then(|it| serde_json::to_string_pretty(&it));
        let pretty = pretty.map_err(|error| invalid(&file, &error.to_string()))?;
        let write = || {
            fs::create_dir_all(self.folder.join(subject))?;
            let mut created = fs::File::create_new(&file)?;
            io::Write::write_all(&mut created, format!("{pretty}\n").as_bytes())
        };
        write().map_err(|error| invalid(&file, &error.to_string()))?;
        Ok(SubjectVersion(id.0))
    }

    /// Everything that was released under a subject; a version's number is its id.
    fn read(&self, subject: &str) -> Result<Subjects, SchemaError> {
        let mut subjects = Subjects::default();
        if subject.contains(['/', '\\']) || subject.starts_with('.') {
            return Err(RegistryError::Refused(format!("{subject:?} is no name for a folder")).into());
        }
        for version in 1.. {
            let file = self.file(subject, version);
            match fs::read_to_string(&file) {
                Ok(schema) => subjects
                    .restore(SchemaId(version), subject, &schema)
                    .map_err(|error| invalid(&file, &error.to_string()))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(invalid(&file, &error.to_string())),
            }
        }
        Ok(subjects)
    }

    fn file(&self, subject: &str, version: i32) -> PathBuf {
        self.folder.join(subject).join(format!("{version}.avsc"))
    }
}

fn invalid(file: &Path, reason: &str) -> SchemaError {
    SchemaError::Invalid { file: file.display().to_string(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: &str = "bank.coins-value";
    const FIRST: &str = r#"{"type": "record", "name": "Coin", "fields": [{"name": "worth", "type": "long"}]}"#;
    const SECOND: &str = r#"{"type": "record", "name": "Coin", "fields": [
        {"name": "worth", "type": "long"}, {"name": "minted", "type": ["null", "int"], "default": null}]}"#;
    const INCOMPATIBLE: &str = r#"{"type": "record", "name": "Coin", "fields": [{"name": "weight", "type": "long"}]}"#;

    #[test]
    fn a_build_is_held_to_every_release() {
        let folder = tempfile::tempdir().expect("a folder");
        let released = Released::in_folder(&folder.path().join("released"));
        assert_eq!(released.latest(SUBJECT).expect("none"), None);
        assert_eq!(released.check(SUBJECT, FIRST).expect("none"), Vec::<String>::new());
        assert_eq!(released.release(SUBJECT, FIRST).expect("new"), SubjectVersion(1));
        assert_eq!(released.release(SUBJECT, SECOND).expect("compatible"), SubjectVersion(2));
        assert_eq!(released.release(SUBJECT, FIRST).expect("known"), SubjectVersion(1));
        assert_eq!(released.lookup(SUBJECT, SECOND).expect("known"), Some(SubjectVersion(2)));
        assert_eq!(released.latest(SUBJECT).expect("two"), Some(SubjectVersion(2)));
        let reasons = released.check(SUBJECT, INCOMPATIBLE).expect("read");
        assert_eq!(reasons.len(), 2, "one for each release: {reasons:?}");
        assert!(released.release(SUBJECT, INCOMPATIBLE).is_err());
        assert_eq!(released.latest(SUBJECT).expect("two"), Some(SubjectVersion(2)), "nothing was added");
    }

    #[test]
    fn a_release_that_cannot_be_read_names_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join(SUBJECT)).expect("a folder");
        fs::write(folder.path().join(SUBJECT).join("1.avsc"), "{").expect("a file");
        let error = Released::in_folder(folder.path()).check(SUBJECT, FIRST).expect_err("no schema").to_string();
        assert!(error.contains("1.avsc"), "{error}");
    }

    #[test]
    fn a_subject_cannot_lead_out_of_the_folder() {
        let released = Released::in_folder(Path::new("released"));
        for subject in ["../other", "a/b", ".."] {
            assert!(released.check(subject, FIRST).is_err(), "{subject}");
        }
    }
}
