//! From a record to a command; and where records go that are none.

use super::super::batch::Overlay;
use super::super::error::PartitionError;
use super::super::observe::Traced;
use super::{Judge, encoding};
use crate::aggregate::Aggregate;
use crate::clock::{Timestamp, time_of_id};
use crate::command::{CommandHead, Control, DeadLetter, DeadLetterCode, Outcome, PayloadHash, Reply, payload_hash};
use crate::log::Record;
use crate::schema::{Data, DecodeError, Decoded, SchemaId};
use crate::topology::partition_of;

/// The longest id of an aggregate, in bytes: it is the key of every record about it.
const MAX_ID_BYTES: usize = 1024;

/// A command that was read, without what it asks for, and where it came from.
pub(in super::super) struct Received<'a> {
    pub record: &'a Record,
    pub id: &'a str,
    pub head: CommandHead,
    pub schema_id: SchemaId,
    pub payload_hash: PayloadHash,
    pub time: Timestamp,
    /// Its type name.
    pub name: &'static str,
    /// Its spans, if it is traced.
    pub traced: Option<Traced>,
}

impl Received<'_> {
    /// What became of it, for whoever waits.
    pub fn reply(&self, outcome: Outcome) -> Reply {
        Reply { aggregate_id: self.id.into(), command_id: self.head.id, outcome }
    }
}

/// A command, and what it asks for.
pub(super) type Read<'a, A> = (Received<'a>, Data<<A as Aggregate>::Command, Control>);

/// Why a record was not read as a command.
pub(super) enum Unread {
    Wait { reason: String, unknown: bool },
    Bad { code: DeadLetterCode, message: String, head: Option<Box<CommandHead>> },
}

impl<A: Aggregate> Judge<A> {
    pub(super) fn read<'a>(&self, record: &'a Record, time: Timestamp) -> Result<Read<'a, A>, Unread> {
        let bad = |code, message: String| Unread::Bad { code, message, head: None };
        let key = record
            .key
            .as_deref()
            .ok_or_else(|| bad(DeadLetterCode::NullKey, "a command's key is its aggregate's id".into()))?;
        let value =
            record.value.as_deref().ok_or_else(|| bad(DeadLetterCode::NullValue, "a command has a value".into()))?;
        if key.len() > MAX_ID_BYTES {
            return Err(bad(
                DeadLetterCode::BadKey,
                format!("a key of {} bytes; at most {MAX_ID_BYTES} are an id", key.len()),
            ));
        }
        let id = std::str::from_utf8(key)
            .map_err(|error| bad(DeadLetterCode::BadKey, format!("the key is not UTF-8: {error}")))?;
        let decoded = self.codecs.commands.decode(value).map_err(|error| match error {
            DecodeError::RegistryAway(reason) => Unread::Wait { reason, unknown: false },
            DecodeError::UnknownSchema(_) => Unread::Wait { reason: error.to_string(), unknown: true },
            other => bad(DeadLetterCode::Undecodable, other.to_string()),
        })?;
        let Decoded { head, data, name, schema_id, payload, .. } = decoded;
        let misplaced = |code, message| Unread::Bad { code, message, head: Some(Box::new(head.clone())) };
        let partition = partition_of(key, self.topology.partitions);
        if partition != record.partition {
            let message =
                format!("key {id:?} belongs into partition {partition} (murmur2), not into {}", record.partition);
            return Err(misplaced(DeadLetterCode::Misplaced, message));
        }
        if let Err(error) = id.parse::<A::Id>() {
            return Err(misplaced(DeadLetterCode::BadId, format!("{id:?} is no id of {}: {error}", A::NAME)));
        }
        if let Some(made) = time_of_id(head.id).filter(|made| made.as_millis() != head.issued_at.as_millis()) {
            let message = format!("issued_at is {}, but the command's id says {made}", head.issued_at);
            return Err(misplaced(DeadLetterCode::IssuedAtMismatch, message));
        }
        let payload_hash = payload_hash(&value[payload], head.expected_version);
        let traced = Traced::begin(A::NAME, id, head.id, name, record);
        Ok((Received { record, id, head, schema_id, payload_hash, time, name, traced }, data))
    }

    /// Sends a record to the dead letters, with a failed outcome to whoever waits, as far as that can be read.
    pub(super) fn set_aside(
        &self,
        overlay: &mut Overlay<'_, A>,
        record: &Record,
        code: DeadLetterCode,
        message: String,
        head: Option<&CommandHead>,
        now: Timestamp,
    ) -> Result<(), PartitionError> {
        tracing::warn!(
            topic = %record.topic, partition = record.partition.0, offset = record.offset.0, code = code.as_str(), %message,
            "a command that cannot be understood goes to the dead letters"
        );
        self.counters.dead_letters.increment(1);
        let head = head.cloned().or_else(|| {
            let value = record.value.as_deref()?;
            self.codecs.commands.decode_head(value).ok()
        });
        let key = record.key.as_ref().map(|key| key.slice(..key.len().min(MAX_ID_BYTES)));
        let letter = DeadLetter::about(record, code, message.clone(), now);
        let value = self.codecs.dead_letters.encode(&letter).map_err(|source| encoding(record, source))?;
        overlay.share.write(self.dead_letters.partition(record.partition), key.clone(), value, None);
        if let Some(head) = head {
            let aggregate_id = String::from_utf8_lossy(key.as_deref().unwrap_or_default()).into();
            let outcome = Outcome::failed(code.failure(), message);
            self.reply(overlay, record, &head, &Reply { aggregate_id, command_id: head.id, outcome })?;
        }
        Ok(())
    }
}
