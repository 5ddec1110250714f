//! The books of a registry: which schemas there are, and in which subjects. Pure.

use hashbrown::HashMap;
use serde_json::Value;

use super::{Registered, RegistryError, SchemaId, SubjectVersion};
use crate::schema::{avsc, compatibility};

/// More schemas than an embedded log should ever see; bounds memory.
const MAX_SCHEMAS: usize = 100_000;

/// A registry's contents.
#[derive(Debug, Default)]
pub struct Subjects {
    schemas: HashMap<SchemaId, Stored>,
    subjects: HashMap<String, Vec<SchemaId>>,
}

#[derive(Debug)]
struct Stored {
    text: String,
    tree: Value,
}

impl Subjects {
    /// Takes in a schema that was registered before.
    pub fn restore(&mut self, id: SchemaId, subject: &str, text: &str) -> Result<(), RegistryError> {
        let tree = tree(text)?;
        self.schemas.insert(id, Stored { text: text.to_owned(), tree });
        let versions = self.subjects.entry(subject.to_owned()).or_default();
        if !versions.contains(&id) {
            versions.push(id);
        }
        Ok(())
    }

    /// The id that a new schema is to have. Ids say nothing but their order.
    pub fn next_id(&self, subject: &str, text: &str) -> Result<SchemaId, RegistryError> {
        if self.schemas.len() >= MAX_SCHEMAS {
            return Err(RegistryError::Refused(format!("it holds {MAX_SCHEMAS} schemas already")));
        }
        let reasons = self.check(subject, text)?;
        if !reasons.is_empty() {
            return Err(RegistryError::Incompatible { subject: subject.to_owned(), reasons });
        }
        let last = self.schemas.keys().map(|id| id.0).max().unwrap_or(0);
        Ok(SchemaId(last + 1))
    }

    /// See [`Registry::lookup`](super::Registry::lookup).
    pub fn lookup(&self, subject: &str, text: &str) -> Result<Option<SchemaId>, RegistryError> {
        let wanted = tree(text)?;
        let versions = self.subjects.get(subject).map_or(&[][..], Vec::as_slice);
        Ok(versions.iter().copied().find(|id| self.schemas.get(id).is_some_and(|stored| stored.tree == wanted)))
    }

    /// See [`Registry::schema`](super::Registry::schema).
    pub fn schema(&self, id: SchemaId) -> Option<String> {
        self.schemas.get(&id).map(|stored| stored.text.clone())
    }

    /// See [`Registry::latest`](super::Registry::latest).
    pub fn latest(&self, subject: &str) -> Option<Registered> {
        let versions = self.subjects.get(subject)?;
        let id = *versions.last()?;
        let version = SubjectVersion(i32::try_from(versions.len()).unwrap_or(i32::MAX));
        Some(Registered { id, version, schema: self.schema(id)? })
    }

    /// See [`Registry::check`](super::Registry::check).
    pub fn check(&self, subject: &str, text: &str) -> Result<Vec<String>, RegistryError> {
        let reader = tree(text)?;
        let versions = self.subjects.get(subject).into_iter().flatten().enumerate();
        let obstacles = versions.filter_map(|(index, id)| Some((index + 1, self.schemas.get(id)?))).flat_map(
            |(version, writer)| {
                let found = compatibility::obstacles(&writer.tree, &reader);
                found.into_iter().map(move |obstacle| format!("version {version}: {obstacle}"))
            },
        );
        Ok(obstacles.collect())
    }
}

fn tree(text: &str) -> Result<Value, RegistryError> {
    avsc::expand("the schema", text, "").map_err(|error| RegistryError::Refused(error.to_string()))
}
