//! A registry for one process's life: for tests and for the test kit.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::subjects::Subjects;
use super::{Registered, Registry, RegistryError, SchemaId};

/// Keeps everything in memory, under the same rules as the others.
#[derive(Debug, Default)]
pub struct InMemoryRegistry(Mutex<Subjects>);

impl InMemoryRegistry {
    fn subjects(&self) -> MutexGuard<'_, Subjects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for InMemoryRegistry {
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        let mut subjects = self.subjects();
        if let Some(id) = subjects.lookup(subject, schema)? {
            return Ok(id);
        }
        let id = subjects.next_id(subject, schema)?;
        subjects.restore(id, subject, schema)?;
        Ok(id)
    }

    fn lookup(&self, subject: &str, schema: &str) -> Result<Option<SchemaId>, RegistryError> {
        self.subjects().lookup(subject, schema)
    }

    fn schema(&self, id: SchemaId) -> Result<Option<String>, RegistryError> {
        Ok(self.subjects().schema(id))
    }

    fn latest(&self, subject: &str) -> Result<Option<Registered>, RegistryError> {
        Ok(self.subjects().latest(subject))
    }

    fn check(&self, subject: &str, schema: &str) -> Result<Vec<String>, RegistryError> {
        self.subjects().check(subject, schema)
    }

    fn set_compatibility(&self, _subject: &str) -> Result<(), RegistryError> {
        Ok(())
    }
}
