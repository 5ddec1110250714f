//! What a restore makes of each record that it reads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hashbrown::HashMap;

use super::super::error::PartitionError;
use super::super::partition::Instance;
use super::{Restore, TORN_CHECK_COMMANDS};
use crate::aggregate::codecs::Codecs;
use crate::aggregate::{Aggregate, EventContext};
use crate::clock::Clock;
use crate::clock::is_planted;
use crate::command::Outcomes;
use crate::event::SnapshotControl;
use crate::lane::panic_message;
use crate::log::{LogError, Record};
use crate::schema::{Data, DecodeError};

impl<A: Aggregate> Restore<A> {
    pub(super) fn take_snapshot(&mut self, record: &Record, codecs: &Codecs<A>) -> Result<(), PartitionError> {
        let (Some(key), Some(value)) = (&record.key, &record.value) else { return Ok(()) };
        // A state in another shape is never resolved: what an event since then would have filled in is not
        // what the schema's default says.
        let decoded = match codecs.snapshots.decode(value) {
            Ok(decoded) if decoded.head.state != A::STATE => {
                let reason = format!("it is of STATE {}, this release's is {}", decoded.head.state, A::STATE);
                self.drop_snapshot(record, key, &reason);
                return Ok(());
            }
            Ok(decoded) if decoded.is_resolved && matches!(decoded.data, Data::User(_)) => {
                self.drop_snapshot(record, key, "it was written with another schema of the state");
                return Ok(());
            }
            Ok(decoded) => decoded,
            Err(DecodeError::RegistryAway(reason)) => return Err(LogError::Unavailable(reason).into()),
            Err(error) => {
                self.drop_snapshot(record, key, &error.to_string());
                return Ok(());
            }
        };
        self.useless.remove(&key[..]);
        match decoded.data {
            Data::Engine(SnapshotControl::Checkpoint(checkpoint)) => self.checkpoint = Some(checkpoint),
            Data::User(state) => {
                let Ok(id) = std::str::from_utf8(key) else { return Ok(()) };
                let instance = Instance {
                    state,
                    version: decoded.head.version,
                    sequence: decoded.head.sequence,
                    size_bytes: value.len(),
                    was_used: false,
                };
                let key: Arc<str> = Arc::from(id);
                self.owned.saved.iter_mut().for_each(|saved| saved.note_change(&key));
                self.owned.instances.insert(key, instance);
            }
        }
        Ok(())
    }

    fn drop_snapshot(&mut self, record: &Record, key: &[u8], reason: &str) {
        tracing::debug!(
            topic = %record.topic, partition = record.partition.0, offset = record.offset.0, reason,
            "a snapshot is of no use"
        );
        metrics::counter!("headwater_snapshots_dropped_total", "aggregate" => A::NAME).increment(1);
        self.useless.insert(key.into());
    }

    pub(super) fn take_event(&mut self, record: &Record, codecs: &Codecs<A>) -> Result<(), PartitionError> {
        let partition = || record.topic.partition(record.partition);
        let (id, decoded) = understood(record, |value| codecs.events.decode(value))?;
        let (head, event) = match decoded.data {
            Data::User(event) => (decoded.head, event),
            Data::Engine(never) => match never {},
        };
        if head.sequence != self.owned.sequence.next() {
            let (last, found) = (self.owned.sequence, head.sequence);
            return Err(PartitionError::SequenceGap { partition: partition(), offset: record.offset, last, found });
        }
        self.owned.sequence = head.sequence;
        self.owned.time = self.owned.time.max(head.occurred_at);
        self.owned.events_since_checkpoint += 1;
        self.owned.is_dirty = true;
        if !self.owned.instances.contains_key(id)
            && let Some(instance) = self.owned.saved_instance(id, codecs)?
        {
            self.owned.instances.insert(Arc::from(id), instance);
        }
        let (key, instance) = entry(&mut self.owned.instances, id);
        self.owned.changed.insert(key.clone());
        self.owned.saved.iter_mut().for_each(|saved| saved.note_change(&key));
        if record.offset >= self.answered_from {
            self.unanswered[0].insert(head.causation_id, key.clone());
            if self.unanswered[0].len() >= TORN_CHECK_COMMANDS {
                self.unanswered = [HashMap::new(), std::mem::take(&mut self.unanswered[0])];
            }
        }
        if head.version <= instance.version {
            return Ok(());
        }
        if head.version != instance.version.next() {
            let (id, last, found) = (id.to_owned(), instance.version, head.version);
            return Err(PartitionError::VersionGap { partition: partition(), offset: record.offset, id, last, found });
        }
        let at =
            EventContext { id, version: head.version, occurred_at: head.occurred_at, causation_id: head.causation_id };
        if !self.owned.unfoldable.contains_key(id)
            && let Err(panic) = catch_unwind(AssertUnwindSafe(|| instance.state.evolve(&event, &at)))
        {
            let (partition, offset, message) = (partition(), record.offset, panic_message(&*panic));
            let reason = format!("{partition}: folding version {} at offset {offset} panicked: {message}", at.version);
            tracing::error!(aggregate = A::NAME, id, reason, "an aggregate cannot be folded: its commands are parked");
            self.owned.unfoldable.insert(key, reason.into());
        }
        instance.version = head.version;
        instance.sequence = head.sequence;
        instance.size_bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
        Ok(())
    }

    pub(super) fn take_parked(&mut self, record: &Record, codecs: &Codecs<A>) -> Result<(), PartitionError> {
        let (id, parked) = understood(record, |value| codecs.parked.decode(value))?;
        self.owned.parked.fold(id, parked, record.offset);
        Ok(())
    }

    pub(super) fn take_outcomes(
        &mut self,
        record: &Record,
        codecs: &Codecs<A>,
        clock: &Clock,
    ) -> Result<(), PartitionError> {
        let Some(value) = &record.value else { return Ok(()) };
        let outcomes = decode_outcomes(record, value, codecs)?;
        self.last_outcomes = Some((outcomes.sequence, outcomes.next_offset));
        if let Some(saved) = &mut self.owned.saved {
            saved.note_outcomes(record.offset, value.clone());
            saved.note_last_outcomes(record.offset);
        }
        let appended_at = outcomes.entries.last().map(|entry| entry.appended_at);
        for entry in outcomes.entries {
            for unanswered in &mut self.unanswered {
                unanswered.remove(&entry.command_id);
            }
            self.owned.time = self.owned.time.max(entry.appended_at);
            if !is_planted!(RepeatNotSeenAfterRestore) {
                self.owned.memory.remember(entry, record.offset);
            }
        }
        if let Some(appended_at) = appended_at {
            self.owned.memory.forget(appended_at.min(clock.now()));
        }
        Ok(())
    }
}

pub(super) fn decode_outcomes<A: Aggregate>(
    record: &Record,
    value: &[u8],
    codecs: &Codecs<A>,
) -> Result<Outcomes, PartitionError> {
    codecs.outcomes.decode(value).map_err(|error| match error {
        DecodeError::RegistryAway(reason) => LogError::Unavailable(reason).into(),
        other => PartitionError::UnknownEvent {
            partition: record.topic.partition(record.partition),
            offset: record.offset,
            reason: other.to_string(),
        },
    })
}

fn entry<'a, A: Aggregate>(
    instances: &'a mut HashMap<Arc<str>, Instance<A>>,
    id: &str,
) -> (Arc<str>, &'a mut Instance<A>) {
    let key = instances.get_key_value(id).map_or_else(|| Arc::from(id), |(key, _)| key.clone());
    let instance = instances.entry(key.clone()).or_default();
    (key, instance)
}

/// The aggregate's id and the content of a record that the engine wrote itself.
fn understood<T>(
    record: &Record,
    decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
) -> Result<(&str, T), PartitionError> {
    let unknown = |reason: String| PartitionError::UnknownEvent {
        partition: record.topic.partition(record.partition),
        offset: record.offset,
        reason,
    };
    let id = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    let (Some(id), Some(value)) = (id, &record.value) else {
        return Err(unknown("its key is no text, or its value is missing".to_owned()));
    };
    let decoded = decode(value).map_err(|error| match error {
        DecodeError::RegistryAway(reason) => LogError::Unavailable(reason).into(),
        other => unknown(other.to_string()),
    })?;
    Ok((id, decoded))
}
