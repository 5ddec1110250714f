//! What can be wrong with schemas and with values.

use super::SchemaId;
use super::registry::RegistryError;

/// A schema, or a value to be written, is wrong.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A schema file is not as it must be.
    #[error("{file}: {reason}")]
    Invalid {
        /// The file.
        file: String,
        /// What is wrong in it, and where.
        reason: String,
    },
    /// Two files give one name two meanings.
    #[error("{name} is defined in {first} and otherwise in {second}: one topic needs one meaning; rename one of them")]
    Conflict {
        /// The full name of the type.
        name: String,
        /// A file that defines it.
        first: String,
        /// A file that defines it differently.
        second: String,
    },
    /// A Rust type and its schema do not agree.
    #[error("the Rust type and {file} do not agree: {reason}")]
    Disagreement {
        /// The file.
        file: String,
        /// Where, and how.
        reason: String,
    },
    /// The registry does not know the schema to be written.
    #[error("subject {subject}: the registry does not know this release's schema; register it with `schemas push`")]
    NotRegistered {
        /// The subject.
        subject: String,
    },
    /// A value does not fit its schema.
    #[error("{subject}: the value cannot be written: {reason}")]
    Unwritable {
        /// The subject.
        subject: String,
        /// Why.
        reason: String,
    },
    /// See [`RegistryError`].
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Why a record's value could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Its bytes are not what they say they are. It will never be readable.
    #[error("undecodable: {0}")]
    Undecodable(String),
    /// The registry answers, and does not know this id. It may come to know it.
    #[error("the registry does not know schema id {0}")]
    UnknownSchema(SchemaId),
    /// The registry does not answer: nothing can be said of the record.
    #[error("{0}")]
    RegistryAway(String),
    /// Its schema is not that of the topic's envelope.
    #[error("schema id {id} is {found}, and this topic holds {expected}")]
    WrongEnvelope {
        /// The id in the record.
        id: SchemaId,
        /// The full name that the id stands for.
        found: String,
        /// The full name of the topic's envelope.
        expected: String,
    },
}

impl DecodeError {
    /// Whether the same bytes may become readable later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::UnknownSchema(_) | Self::RegistryAway(_))
    }
}
