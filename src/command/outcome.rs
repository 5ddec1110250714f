//! What became of a command.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::CommandKey;
use crate::clock::Timestamp;
use crate::position::{Offset, Partition, Sequence, Version};
use crate::schema::Record;

/// What became of a command; every command gets exactly one.
///
/// Version and position are the aggregate's and the partition's after it was judged, also when it made
/// no event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The aggregate did as asked.
    Accepted(Accepted),
    /// The aggregate, or the expected version, said no.
    Refused(Refused),
    /// The engine could not have it judged; it was not acted on.
    Failed(Failed),
}

/// See [`Outcome::Accepted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The aggregate's version afterwards.
    pub version: Version,
    /// The partition it was judged in.
    pub partition: Partition,
    /// The partition's sequence afterwards.
    pub sequence: Sequence,
    /// The aggregate's reply, as JSON text.
    pub data: Option<String>,
}

/// See [`Outcome::Refused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// One of the refusal's codes, or `version_mismatch`.
    pub code: String,
    /// For people.
    pub message: String,
    /// The aggregate's present version.
    pub version: Version,
    /// More about it, as JSON text.
    pub data: Option<String>,
}

/// See [`Outcome::Failed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why, for programs.
    pub code: Failure,
    /// For people.
    pub message: String,
}

/// Why a command was not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The same id came with another payload before.
    Conflict,
    /// Issued before what is still remembered: it cannot be told whether it is a repeat.
    TooOld,
    /// Issued more than a minute after it was appended.
    ClockSkew,
    /// What would follow from it is larger than a record may be.
    TooLarge,
    /// Its record could not be understood.
    Undecodable,
    /// Its id is no id of this aggregate, or not the record's key, or stands in the wrong partition.
    Misplaced,
    /// It was parked and given up by hand.
    Skipped,
}

impl Failure {
    /// The code as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::TooOld => "too_old",
            Self::ClockSkew => "clock_skew",
            Self::TooLarge => "too_large",
            Self::Undecodable => "undecodable",
            Self::Misplaced => "misplaced",
            Self::Skipped => "skipped",
        }
    }
}

impl Refused {
    /// The code of an expected version that is not the present one.
    pub const VERSION_MISMATCH: &'static str = "version_mismatch";
}

impl Outcome {
    /// An answer by the engine.
    #[must_use]
    pub fn failed(code: Failure, message: impl Into<String>) -> Self {
        Self::Failed(Failed { code, message: message.into() })
    }

    /// `accepted`, `refused` or `failed`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

/// 128-bit hash (xxh3) of a command's type, datum and expected version, to tell a repeat from a conflict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PayloadHash(pub u128);

impl Serialize for PayloadHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.to_be_bytes())
    }
}

impl<'de> Deserialize<'de> for PayloadHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sixteen;
        impl serde::de::Visitor<'_> for Sixteen {
            type Value = PayloadHash;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("16 bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<PayloadHash, E> {
                let bytes = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
                Ok(PayloadHash(u128::from_be_bytes(bytes)))
            }
        }
        deserializer.deserialize_bytes(Sixteen)
    }
}

/// One outcome with what is needed to recognise a repeat of its command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeEntry {
    /// The aggregate's id.
    pub aggregate_id: Arc<str>,
    /// The command's id.
    pub command_id: Uuid,
    /// When the command was appended.
    pub appended_at: Timestamp,
    /// The offset of the command.
    pub offset: Offset,
    /// The schema id the command was written with; 0 where it could not be read.
    pub schema_id: i32,
    /// 128-bit hash of the command's type, datum and expected version.
    pub payload_hash: PayloadHash,
    /// Whether this answers a copy (`conflict`, `too_old`, `clock_skew`): it never enters the memory.
    pub about_copy: bool,
    /// What became of it.
    pub outcome: Outcome,
}

impl OutcomeEntry {
    /// The command's name.
    #[must_use]
    pub fn key(&self) -> CommandKey<'_> {
        CommandKey::new(&self.aggregate_id, self.command_id)
    }

    /// Whether a copy with this payload is a conflict. Across schema ids a repeat counts as honest, so
    /// that an upgraded client's resend is no conflict.
    #[must_use]
    pub fn conflicts_with(&self, schema_id: i32, payload_hash: PayloadHash) -> bool {
        self.schema_id == schema_id && self.payload_hash != payload_hash
    }
}

/// All outcomes of one partition and batch: one record of an outcomes topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// The offset of the first command answered here.
    pub first_offset: Offset,
    /// The next command offset to read.
    pub next_offset: Offset,
    /// The partition's sequence after these commands.
    pub sequence: Sequence,
    /// In the order of the commands.
    pub entries: Vec<OutcomeEntry>,
}

/// An outcome on its way to who waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The aggregate's id.
    pub aggregate_id: Arc<str>,
    /// The command's id.
    pub command_id: Uuid,
    /// What became of it.
    pub outcome: Outcome,
}

impl Record for Outcomes {
    const NAME: &'static str = "Outcomes";
    const AVSC: &'static str = include_str!("../../schemas/headwater/Outcomes.avsc");
}

impl Record for Reply {
    const NAME: &'static str = "Reply";
    const AVSC: &'static str = include_str!("../../schemas/headwater/Reply.avsc");
}
