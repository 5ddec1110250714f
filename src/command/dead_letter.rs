//! Records that cannot be understood: kept whole, with where they stood and why.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::clock::Timestamp;
use crate::log::Record;
use crate::position::{Offset, Partition};

/// A record of a dead-letters topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Why, for programs.
    pub code: String,
    /// Why, for people.
    pub message: String,
    /// The topic it stood on.
    pub topic: String,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value, cut where it is too long for a record.
    pub value: Option<Bytes>,
    /// How long the whole value was, in bytes.
    pub value_length: i64,
    /// Hash of the whole value (xxh3, 64 bits, hexadecimal).
    pub value_hash: String,
    /// When it was set aside.
    pub failed_at: Timestamp,
}

impl crate::schema::Record for DeadLetter {
    const NAME: &'static str = "DeadLetter";
    const AVSC: &'static str = include_str!("../../schemas/headwater/DeadLetter.avsc");
}

/// Why a record was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterCode {
    /// It has no key.
    NullKey,
    /// It has no value.
    NullValue,
    /// Its key is no text, or too long.
    BadKey,
    /// Its bytes are not what they say they are, or of another envelope.
    Undecodable,
    /// Its key belongs into another partition.
    Misplaced,
    /// Its key is no id of its aggregate.
    BadId,
    /// Its id says another time than its `issued_at`.
    IssuedAtMismatch,
    /// The registry did not come to know its schema.
    UnknownSchema,
}

impl DeadLetterCode {
    /// The code as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NullKey => "null_key",
            Self::NullValue => "null_value",
            Self::BadKey => "bad_key",
            Self::Undecodable => "undecodable",
            Self::Misplaced => "misplaced",
            Self::BadId => "bad_id",
            Self::IssuedAtMismatch => "issued_at_mismatch",
            Self::UnknownSchema => "unknown_schema",
        }
    }

    /// What its sender is told.
    #[must_use]
    pub const fn failure(self) -> Failure {
        match self {
            Self::Misplaced | Self::BadId | Self::BadKey => Failure::Misplaced,
            _ => Failure::Undecodable,
        }
    }
}

impl DeadLetter {
    /// How much of a value is kept, in bytes.
    pub const MAX_VALUE_BYTES: usize = 512 * 1024;
    const MAX_KEY_BYTES: usize = 16 * 1024;

    /// A letter about `record`.
    #[must_use]
    pub fn about(record: &Record, code: DeadLetterCode, message: String, failed_at: Timestamp) -> Self {
        let value = record.value.as_deref().unwrap_or_default();
        Self {
            code: code.as_str().to_owned(),
            message,
            topic: record.topic.as_str().to_owned(),
            partition: record.partition,
            offset: record.offset,
            key: record.key.as_ref().map(|key| key.slice(..key.len().min(Self::MAX_KEY_BYTES))),
            value: record.value.as_ref().map(|it| it.slice(..it.len().min(Self::MAX_VALUE_BYTES))),
            value_length: i64::try_from(value.len()).unwrap_or(i64::MAX),
            value_hash: format!("{:016x}", xxhash_rust::xxh3::xxh3_64(value)),
            failed_at,
        }
    }
}
