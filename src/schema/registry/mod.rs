//! The registry port: which id stands for which schema, and whether a new one may follow the old ones.
//!
//! Two adapters stand behind it: a Confluent-compatible server, and the embedded log itself. They
//! keep apart "away" (ask again) from "unknown" (an answer). Everything here blocks.

mod confluent;
mod embedded;
mod memory;
mod subjects;

use std::fmt;

pub use confluent::ConfluentRegistry;
pub use embedded::EmbeddedRegistry;
pub use memory::InMemoryRegistry;
pub(super) use subjects::Subjects;

/// Names a schema in a registry; positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub i32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A subject's version, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectVersion(pub i32);

/// A schema that stands in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub id: SchemaId,
    /// Its number within its subject.
    pub version: SubjectVersion,
    /// Its text.
    pub schema: String,
}

/// The registry did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It does not answer, or not as a registry does: ask again.
    #[error("the schema registry is away: {0}")]
    Away(String),
    /// It says no; asking again does not help.
    #[error("the schema registry refuses: {0}")]
    Refused(String),
    /// The schema may not follow those of its subject.
    #[error("subject {subject}: the schema is not compatible with what was written before: {}", reasons.join("; "))]
    Incompatible {
        /// The subject.
        subject: String,
        /// Every incompatibility.
        reasons: Vec<String>,
    },
}

/// Where ids and schemas are kept.
///
/// Compatibility is always that of `BACKWARD_TRANSITIVE`: a new schema reads what any earlier one of
/// its subject wrote.
pub trait Registry: Send + Sync + 'static {
    /// Registers a schema under a subject; the id it has already, if it is known there.
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError>;
    /// The id of a schema under a subject; `None` if it is not registered there.
    fn lookup(&self, subject: &str, schema: &str) -> Result<Option<SchemaId>, RegistryError>;
    /// The schema that an id stands for; `None` if the registry does not know the id.
    fn schema(&self, id: SchemaId) -> Result<Option<String>, RegistryError>;
    /// The subject's last schema.
    fn latest(&self, subject: &str) -> Result<Option<Registered>, RegistryError>;
    /// Why this schema may not follow those of the subject; empty if it may.
    fn check(&self, subject: &str, schema: &str) -> Result<Vec<String>, RegistryError>;
    /// Has the registry hold the subject to `BACKWARD_TRANSITIVE`.
    fn set_compatibility(&self, subject: &str) -> Result<(), RegistryError>;
}
