//! Records as the audit needs them, read one after the other with a look ahead.

use std::collections::VecDeque;

use uuid::Uuid;

use super::{Scope, VerifyError};
use crate::aggregate::{Aggregate, Codecs};
use crate::clock::Timestamp;
use crate::command::{DeadLetter, Outcomes, ParkedCommand, PayloadHash, payload_hash};
use crate::event::EventHead;
use crate::log::{RangeReader, Reader, Record, TopicPartition};
use crate::position::Offset;
use crate::schema::{Data, DecodeError};

/// A record of a known offset, understood or not.
pub(super) struct Item<T> {
    pub offset: Offset,
    /// The reason where it cannot be understood.
    pub read: Result<T, String>,
}

/// A command, as far as it matters whose answer it got.
pub(super) struct CommandRecord {
    pub aggregate_id: String,
    pub command_id: Uuid,
    pub issued_at: Timestamp,
    pub appended_at: Timestamp,
    pub schema_id: i32,
    pub payload_hash: PayloadHash,
    /// Whether it is one of the engine's own.
    pub is_control: bool,
}

/// What was done with a command of this aggregate.
pub(super) type ParkedRecord = (String, ParkedCommand);

/// An event.
pub(super) struct EventRecord<E> {
    pub aggregate_id: String,
    pub head: EventHead,
    pub event: E,
}

/// Why a record was not read; only the registry's absence ends the audit.
fn understood<T>(read: Result<T, DecodeError>) -> Result<Result<T, String>, VerifyError> {
    match read {
        Ok(value) => Ok(Ok(value)),
        Err(DecodeError::RegistryAway(reason)) => Err(VerifyError::RegistryAway(reason)),
        Err(other) => Ok(Err(other.to_string())),
    }
}

fn key_and_value(record: &Record) -> Result<(&str, &[u8]), String> {
    let key = record.key.as_deref().ok_or("it has no key")?;
    let key = std::str::from_utf8(key).map_err(|_| "its key is no text")?;
    Ok((key, record.value.as_deref().ok_or("it has no value")?))
}

/// What is understood of a record's key and value, which it must have.
fn keyed<'r, T>(
    record: &'r Record,
    understand: impl FnOnce(&'r str, &'r [u8]) -> Result<Result<T, String>, VerifyError>,
) -> Result<Result<T, String>, VerifyError> {
    match key_and_value(record) {
        Ok((key, value)) => understand(key, value),
        Err(reason) => Ok(Err(reason)),
    }
}

pub(super) fn command<A: Aggregate>(
    codecs: &Codecs<A>,
    record: &Record,
) -> Result<Result<CommandRecord, String>, VerifyError> {
    keyed(record, |key, value| {
        let command = understood(codecs.commands.decode(value))?.map(|decoded| CommandRecord {
            aggregate_id: key.to_owned(),
            command_id: decoded.head.id,
            issued_at: decoded.head.issued_at,
            appended_at: record.timestamp,
            schema_id: decoded.schema_id.0,
            payload_hash: payload_hash(&value[decoded.payload], decoded.head.expected_version),
            is_control: matches!(decoded.data, Data::Engine(_)),
        });
        Ok(command)
    })
}

pub(super) fn event<A: Aggregate>(
    codecs: &Codecs<A>,
    record: &Record,
) -> Result<Result<EventRecord<A::Event>, String>, VerifyError> {
    keyed(record, |key, value| {
        let event = understood(codecs.events.decode(value))?.map(|decoded| {
            let event = match decoded.data {
                Data::User(event) => event,
                Data::Engine(never) => match never {},
            };
            EventRecord { aggregate_id: key.to_owned(), head: decoded.head, event }
        });
        Ok(event)
    })
}

pub(super) fn outcomes<A: Aggregate>(
    codecs: &Codecs<A>,
    record: &Record,
) -> Result<Result<Outcomes, String>, VerifyError> {
    match &record.value {
        Some(value) => understood(codecs.outcomes.decode(value)),
        None => Ok(Err("it has no value".to_owned())),
    }
}

pub(super) fn dead_letter<A: Aggregate>(
    codecs: &Codecs<A>,
    record: &Record,
) -> Result<Result<DeadLetter, String>, VerifyError> {
    match &record.value {
        Some(value) => understood(codecs.dead_letters.decode(value)),
        None => Ok(Err("it has no value".to_owned())),
    }
}

pub(super) fn parked<A: Aggregate>(
    codecs: &Codecs<A>,
    record: &Record,
) -> Result<Result<ParkedRecord, String>, VerifyError> {
    keyed(record, |key, value| Ok(understood(codecs.parked.decode(value))?.map(|parked| (key.to_owned(), parked))))
}

/// How records of one topic are understood.
type Understand<'a, T> = Box<dyn Fn(&Record) -> Result<Result<T, String>, VerifyError> + 'a>;

/// The records of one partition, up to an end that was fixed before.
pub(super) struct Stream<'a, T> {
    pub place: TopicPartition,
    scope: &'a Scope<'a>,
    reader: &'a mut dyn Reader,
    range: RangeReader,
    fetched: VecDeque<Record>,
    understand: Understand<'a, T>,
    ahead: Option<Item<T>>,
}

impl<'a, T> Stream<'a, T> {
    pub fn new(
        scope: &'a Scope<'a>,
        reader: &'a mut Box<dyn Reader>,
        range: RangeReader,
        understand: impl Fn(&Record) -> Result<Result<T, String>, VerifyError> + 'a,
    ) -> Self {
        let place = range.partition().clone();
        let (reader, understand) = (reader.as_mut(), Box::new(understand));
        Self { place, scope, reader, range, fetched: VecDeque::new(), understand, ahead: None }
    }

    /// The next record, which stays.
    pub fn peek(&mut self) -> Result<Option<&Item<T>>, VerifyError> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref())
    }

    /// The next record.
    pub fn next(&mut self) -> Result<Option<Item<T>>, VerifyError> {
        match self.ahead.take() {
            Some(item) => Ok(Some(item)),
            None => self.read(),
        }
    }

    /// The next record if it is one of those wanted.
    pub fn next_if(&mut self, wanted: impl FnOnce(&Item<T>) -> bool) -> Result<Option<Item<T>>, VerifyError> {
        match self.peek()? {
            Some(item) if wanted(item) => self.next(),
            _ => Ok(None),
        }
    }

    fn read(&mut self) -> Result<Option<Item<T>>, VerifyError> {
        while self.fetched.is_empty() {
            match self.range.step(self.scope.log, self.reader)? {
                Some(records) => {
                    (self.scope.progress)(u64::try_from(records.len()).unwrap_or(0));
                    self.fetched.extend(records);
                }
                None => return Ok(None),
            }
        }
        let Some(record) = self.fetched.pop_front() else { return Ok(None) };
        Ok(Some(Item { offset: record.offset, read: (self.understand)(&record)? }))
    }
}
