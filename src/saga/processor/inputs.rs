//! One inbox record: read, and taken in by its instance.

use std::sync::Arc;

use super::super::error::PartitionError;
use super::super::records::{StateHead, UnderWay};
use super::instance::{Cause, Instance, retry_at};
use super::partition::Entry;
use super::{Overlay, Runner};
use crate::clock::Timestamp;
use crate::clock::is_planted;
use crate::command::{DeadLetter, DeadLetterCode, EventInput, InboxData, InboxInput, OutcomeInput};
use crate::lane::{Treatment, Verdict};
use crate::log::Record;
use crate::projection::ReadError;
use crate::saga::{Delivery, Input, Saga};
use crate::schema::{Data, DecodeError, Decoded, SchemaError};
use crate::topology::partition_of;

/// Why a record is not taken in.
enum Obstacle {
    /// Its schema is not to be had at the moment.
    Wait { reason: String, unknown: bool },
    /// It is no inbox record: nobody of the engine has put it there.
    Foreign { code: DeadLetterCode, message: String },
    /// The partition must stop.
    Stop(PartitionError),
}

impl From<PartitionError> for Obstacle {
    fn from(error: PartitionError) -> Self {
        Self::Stop(error)
    }
}

/// An input that cannot be read, as a reason to stop.
pub(super) fn unreadable(record: &Record, reason: String) -> PartitionError {
    let partition = record.topic.partition(record.partition);
    PartitionError::Unreadable { partition, what: "the input", offset: record.offset, reason }
}

/// What cannot be decoded: later, or never.
fn undecodable(error: DecodeError, record: &Record) -> Obstacle {
    match error {
        DecodeError::RegistryAway(reason) => Obstacle::Wait { reason, unknown: false },
        DecodeError::UnknownSchema(_) => Obstacle::Wait { reason: error.to_string(), unknown: true },
        other => unreadable(record, other.to_string()).into(),
    }
}

impl<S: Saga> Runner<S> {
    pub(super) fn take_in(
        &self,
        overlay: &mut Overlay<'_>,
        record: &Record,
        treatment: Treatment<'_>,
        now: Timestamp,
    ) -> Result<Verdict, PartitionError> {
        if matches!(treatment, Treatment::Rejected) {
            return Err(unreadable(record, "what follows from it is larger than the log takes".to_owned()));
        }
        let time = record.timestamp.max(overlay.share.changes.time);
        let taken = self.read(record).and_then(|(id, input)| self.take(overlay, record, id, input, time, now));
        match taken {
            Ok(()) => {}
            Err(Obstacle::Wait { reason, unknown }) => return Ok(Verdict::Wait { reason, unknown }),
            Err(Obstacle::Foreign { code, message }) => self.set_aside(overlay, record, code, message, now)?,
            Err(Obstacle::Stop(error)) => return Err(error),
        }
        overlay.share.changes.time = time;
        Ok(Verdict::Done)
    }

    fn read<'r>(&self, record: &'r Record) -> Result<(&'r str, InboxInput), Obstacle> {
        let foreign = |code, message: &str| Obstacle::Foreign { code, message: message.to_owned() };
        let key = record
            .key
            .as_deref()
            .ok_or_else(|| foreign(DeadLetterCode::NullKey, "an input's key is an instance's id"))?;
        let id = std::str::from_utf8(key).map_err(|_| foreign(DeadLetterCode::BadKey, "the key is not UTF-8"))?;
        let value =
            record.value.as_deref().ok_or_else(|| foreign(DeadLetterCode::NullValue, "an input has a value"))?;
        if partition_of(key, self.topology.partitions) != record.partition {
            return Err(foreign(DeadLetterCode::Misplaced, "the key belongs into another partition (murmur2)"));
        }
        match self.codecs.inbox.decode(value) {
            Ok(input) => Ok((id, input)),
            Err(error @ DecodeError::WrongEnvelope { .. }) => {
                Err(foreign(DeadLetterCode::Undecodable, &error.to_string()))
            }
            Err(DecodeError::Undecodable(reason)) if value.first() != Some(&0) => {
                Err(foreign(DeadLetterCode::Undecodable, &reason))
            }
            Err(error) => Err(undecodable(error, record)),
        }
    }

    fn take(
        &self,
        overlay: &mut Overlay<'_>,
        record: &Record,
        id: &str,
        input: InboxInput,
        time: Timestamp,
        now: Timestamp,
    ) -> Result<(), Obstacle> {
        let cause = Cause {
            partition: record.topic.partition(record.partition),
            input: format!("the input at offset {}", record.offset),
            id: Some(input.id),
            time,
            issued_at: now.max(record.timestamp),
            offset: Some(record.offset),
            traceparent: record.traceparent.clone(),
        };
        let known = match overlay.entry(id) {
            Some(Entry { record: None, .. }) => return Ok(()),
            Some(Entry { record: Some(state), .. }) => Some(self.open(overlay.id(id), state, record)?),
            None => None,
        };
        let is_new = known.is_none();
        let mut instance = match (known, &input.data) {
            (Some(instance), _) => instance,
            (None, InboxData::EventInput(_)) => Instance {
                id: overlay.id(id),
                head: StateHead::new(S::STATE, time, input.correlation_id),
                state: S::default(),
                commands: Vec::new(),
            },
            // An outcome or a wake for nobody.
            (None, _) => return Ok(()),
        };
        let changed = match input.data {
            InboxData::EventInput(event) => self.take_event(&mut instance, &event, record, &cause)?,
            InboxData::OutcomeInput(outcome) => self.take_outcome(&mut instance, outcome, &cause)?,
            InboxData::Wake(_) => self.wake(&mut instance, &cause)?,
        };
        if !changed || (is_new && self.is_untouched(&instance, &cause)?) {
            return Ok(());
        }
        Ok(self.keep(instance, overlay.share, &cause)?)
    }

    /// An instance from its record. `of` is what it is to take in.
    pub(super) fn opened(&self, id: Arc<str>, state: &[u8]) -> Result<Instance<S>, DecodeError> {
        let Decoded { head, data, .. } = self.codecs.state.decode(state)?;
        match data {
            Data::User(state) => Ok(Instance { id, head, state, commands: Vec::new() }),
            Data::Engine(_) => Err(DecodeError::Undecodable("an open instance without a state".to_owned())),
        }
    }

    fn open(&self, id: Arc<str>, state: &[u8], of: &Record) -> Result<Instance<S>, Obstacle> {
        let name = id.clone();
        self.opened(id, state).map_err(|error| match undecodable(error, of) {
            Obstacle::Stop(error) => unreadable(of, format!("the state of instance {name:?}: {error}")).into(),
            wait => wait,
        })
    }

    /// Whether a new instance is none: its first event left it as every instance is before.
    fn is_untouched(&self, instance: &Instance<S>, cause: &Cause) -> Result<bool, PartitionError> {
        let Instance { head, state, .. } = instance;
        if head.is_ending || head.deadline.is_some() || head.steps > 0 {
            return Ok(false);
        }
        let encode = |state: &S| self.codecs.state.encode(head, Data::User(state));
        let unwritable = |error: SchemaError| cause.unwritable(&instance.id, error);
        Ok(encode(state).map_err(unwritable)? == encode(&S::default()).map_err(unwritable)?)
    }

    fn take_event(
        &self,
        instance: &mut Instance<S>,
        event: &EventInput,
        record: &Record,
        cause: &Cause,
    ) -> Result<bool, Obstacle> {
        if instance.head.is_ending {
            return Ok(false);
        }
        let foreign = || unreadable(record, format!("{} takes no events of {} in", S::NAME, event.aggregate));
        let event = self.codecs.event(event, record).ok_or_else(foreign)?.map_err(|error| match error {
            ReadError::Value(error) => undecodable(error, record),
            ReadError::Key => unreadable(record, "the event's key is no text".to_owned()).into(),
        })?;
        self.react(instance, Input::Event(event), None, cause)?;
        Ok(true)
    }

    /// Whether it was awaited.
    fn take_outcome(
        &self,
        instance: &mut Instance<S>,
        input: OutcomeInput,
        cause: &Cause,
    ) -> Result<bool, PartitionError> {
        let OutcomeInput { aggregate, aggregate_id, command_id, outcome } = input;
        let is_it = |step: &UnderWay| {
            let asked = step.command_id == command_id && step.retry_at.is_none();
            asked && step.aggregate == aggregate && step.aggregate_id == aggregate_id
        };
        let Some(index) = instance.head.under_way.iter().position(is_it) else { return Ok(false) };
        let mut step = instance.head.under_way.remove(index);
        if is_planted!(StepStaysUnderWay) {
            instance.head.under_way.push(step.clone());
        }
        match Delivery::of(step.kind(), outcome) {
            Delivery::Reissue => {
                tracing::warn!(
                    saga = S::NAME, id = &*instance.id, step = step.step, %command_id, attempt = step.attempt,
                    "a saga's command was not accepted; the engine issues it anew"
                );
                step.retry_at = Some(retry_at(&step, cause.time));
                instance.head.under_way.push(step);
            }
            // The saga has ended for itself; only its compensations are seen to their end.
            Delivery::Input(_) if instance.head.is_ending => {}
            Delivery::Input(outcome) => {
                let of: S::Step = serde_json::from_str(&step.step).map_err(|error| {
                    cause.unwritable(&instance.id, format!("{} is no step that this release knows: {error}", step.step))
                })?;
                self.react(instance, Input::Outcome { of, outcome }, Some(step), cause)?;
            }
        }
        Ok(true)
    }

    /// Issues now what waits for its time.
    fn wake(&self, instance: &mut Instance<S>, cause: &Cause) -> Result<bool, PartitionError> {
        self.reissue_where(instance, cause, |step| step.retry_at.is_some())
    }

    /// Issues anew what is picked; whether there was any.
    pub(super) fn reissue_where(
        &self,
        instance: &mut Instance<S>,
        cause: &Cause,
        is_picked: impl Fn(&UnderWay) -> bool,
    ) -> Result<bool, PartitionError> {
        let (picked, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut instance.head.under_way).into_iter().partition(is_picked);
        instance.head.under_way = rest;
        let any = !picked.is_empty();
        for step in picked {
            self.reissue(instance, step, cause)?;
        }
        Ok(any)
    }

    fn set_aside(
        &self,
        overlay: &mut Overlay<'_>,
        record: &Record,
        code: DeadLetterCode,
        message: String,
        now: Timestamp,
    ) -> Result<(), PartitionError> {
        tracing::warn!(
            topic = %record.topic, partition = record.partition.0, offset = record.offset.0, code = code.as_str(), %message,
            "a record that is no input goes to the dead letters"
        );
        let letter = DeadLetter::about(record, code, message, now);
        let value = self.codecs.dead_letters.encode(&letter).map_err(|error| unreadable(record, error.to_string()))?;
        overlay.share.write(self.topology.dead_letters().partition(record.partition), record.key.clone(), value, None);
        Ok(())
    }
}
