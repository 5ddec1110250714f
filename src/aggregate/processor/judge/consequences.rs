//! What follows from a command that was accepted: events, commands handed on, reply data and the state
//! after them. Everything is encoded and measured before anything is kept.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use uuid::Uuid;

use super::super::batch::Overlay;
use super::super::error::PartitionError;
use super::super::observe;
use super::reading::Received;
use super::{Judge, encoding, panicked};
use crate::aggregate::{Aggregate, Decision, EventContext, HandOff};
use crate::clock::Timestamp;
use crate::command::{Accepted, CommandHead, Failure, Outcome};
use crate::event::{EventHead, SnapshotHead};
use crate::position::Version;
use crate::schema::{Data, SchemaError};

/// Events and hand-offs of a decision, encoded and within their sizes.
struct Encoded<E> {
    events: Vec<(E, Bytes)>,
    hand_offs: Vec<(HandOff, Bytes)>,
    data: Option<String>,
}

impl<A: Aggregate> Judge<A> {
    pub(super) fn carry_out(
        &self,
        overlay: &mut Overlay<'_, A>,
        received: &Received<'_>,
        decision: Decision<A::Event>,
        version: Version,
        now: Timestamp,
    ) -> Result<Outcome, PartitionError> {
        let encoded = match self.encode(overlay, received, decision, version, now)? {
            Ok(encoded) => encoded,
            Err(too_large) => return Ok(Outcome::failed(Failure::TooLarge, too_large)),
        };
        if let Err(too_large) = self.fold(overlay, received, &encoded.events, version)? {
            return Ok(Outcome::failed(Failure::TooLarge, too_large));
        }
        let partition = received.record.partition;
        let key = &received.record.key;
        let traceparent = observe::header(received.traced.as_ref(), received.record);
        let version = Version(version.0 + i64::try_from(encoded.events.len()).unwrap_or(i64::MAX));
        for (_, value) in encoded.events {
            let to = self.codecs.topics.events.partition(partition);
            overlay.share.changes.sequence = overlay.share.changes.sequence.next();
            overlay.share.write(to, key.clone(), value, traceparent.clone());
        }
        for (hand_off, value) in encoded.hand_offs {
            let target = self.targets.get(hand_off.aggregate).expect("its encoding has found it");
            let to = self.targets.place(target, &hand_off.id);
            overlay.share.write(to, Some(hand_off.id.into_bytes().into()), value, traceparent.clone());
        }
        Ok(Outcome::Accepted(Accepted {
            version,
            partition,
            sequence: overlay.share.changes.sequence,
            data: encoded.data,
        }))
    }

    /// Encodes everything a decision leads to; `Err` within says what is too large to be written.
    fn encode(
        &self,
        overlay: &Overlay<'_, A>,
        received: &Received<'_>,
        decision: Decision<A::Event>,
        version: Version,
        now: Timestamp,
    ) -> Result<Result<Encoded<A::Event>, String>, PartitionError> {
        let (events, hand_offs, reply) = decision.into_parts();
        let wrong = |source| encoding(received.record, source);
        let mut encoded = Encoded { events: Vec::with_capacity(events.len()), hand_offs: Vec::new(), data: None };
        let mut head = EventHead {
            id: received.head.id,
            version,
            sequence: overlay.share.changes.sequence,
            occurred_at: received.time,
            causation_id: received.head.id,
            correlation_id: received.head.correlation_id,
        };
        for (index, event) in events.into_iter().enumerate() {
            head.id = derived_id(received.head.id, "event", received.id, index);
            head.version = head.version.next();
            head.sequence = head.sequence.next();
            let value = self.codecs.events.encode(&head, Data::User(&event)).map_err(wrong)?;
            if let Err(too_large) = self.within_limit("an event", value.len()) {
                return Ok(Err(too_large));
            }
            encoded.events.push((event, value));
        }
        for (index, hand_off) in hand_offs.into_iter().enumerate() {
            let value = self.encode_hand_off(received, &hand_off, index, now)?;
            if let Err(too_large) = self.within_limit("a command handed on", value.len()) {
                return Ok(Err(too_large));
            }
            encoded.hand_offs.push((hand_off, value));
        }
        encoded.data = match reply {
            None => None,
            Some(Ok(data)) => match self.within_limit("the reply", data.len().saturating_mul(2)) {
                Ok(()) => Some(data),
                Err(too_large) => return Ok(Err(too_large)),
            },
            Some(Err(error)) => {
                let message = format!("its reply data cannot be written as JSON: {error}");
                return Err(PartitionError::Panicked {
                    partition: received.record.topic.partition(received.record.partition),
                    offset: received.record.offset,
                    id: received.id.to_owned(),
                    command_id: received.head.id,
                    message,
                });
            }
        };
        Ok(Ok(encoded))
    }

    fn encode_hand_off(
        &self,
        received: &Received<'_>,
        hand_off: &HandOff,
        index: usize,
        now: Timestamp,
    ) -> Result<Bytes, PartitionError> {
        let wrong = |source| encoding(received.record, source);
        let head = CommandHead {
            id: derived_id(received.head.id, hand_off.aggregate, &hand_off.id, index),
            issued_at: now.max(received.record.timestamp),
            expected_version: None,
            causation_id: Some(received.head.id),
            correlation_id: received.head.correlation_id,
            reply_to: None,
        };
        let target = self.targets.get(hand_off.aggregate).ok_or_else(|| {
            wrong(SchemaError::Unwritable {
                subject: hand_off.aggregate.to_owned(),
                reason: format!("{} hands a command to it, and it is not registered with App::aggregate", A::NAME),
            })
        })?;
        target.encode(&head, hand_off.payload()).map_err(wrong)
    }

    /// Folds the events into the instance; `Err` within if its snapshot would no longer fit a record.
    fn fold(
        &self,
        overlay: &mut Overlay<'_, A>,
        received: &Received<'_>,
        events: &[(A::Event, Bytes)],
        version: Version,
    ) -> Result<Result<(), String>, PartitionError> {
        if events.is_empty() {
            return Ok(Ok(()));
        }
        let added: usize = events.iter().map(|(_, value)| value.len()).sum();
        let sequence = overlay.share.changes.sequence.0 + i64::try_from(events.len()).unwrap_or(i64::MAX);
        let size_bytes = overlay.instance(received.id).map_or(0, |instance| instance.size_bytes) + added;
        let folding = |state: &mut A| {
            let evolve = || {
                for ((event, _), version) in events.iter().zip(version.0 + 1..) {
                    let (id, version) = (received.id, Version(version));
                    let (occurred_at, causation_id) = (received.time, received.head.id);
                    state.evolve(event, &EventContext { id, version, occurred_at, causation_id });
                }
            };
            catch_unwind(AssertUnwindSafe(evolve)).map_err(|panic| panicked(received, panic.as_ref()))
        };
        if size_bytes > self.settings.record_bytes / 2 {
            return self.fold_measured(overlay, received, folding, events.len());
        }
        let instance = overlay.instance_mut(received.id);
        folding(&mut instance.state)?;
        instance.version = Version(instance.version.0 + i64::try_from(events.len()).unwrap_or(i64::MAX));
        instance.sequence.0 = sequence;
        instance.size_bytes = size_bytes;
        Ok(Ok(()))
    }

    /// As [`fold`](Self::fold), on a copy that is measured before it is kept.
    fn fold_measured(
        &self,
        overlay: &mut Overlay<'_, A>,
        received: &Received<'_>,
        folding: impl FnOnce(&mut A) -> Result<(), PartitionError>,
        events: usize,
    ) -> Result<Result<(), String>, PartitionError> {
        let mut copy = overlay.instance(received.id).cloned().unwrap_or_default();
        folding(&mut copy.state)?;
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        copy.version.0 += events;
        copy.sequence.0 = overlay.share.changes.sequence.0 + events;
        let head = SnapshotHead {
            version: copy.version,
            partition: received.record.partition,
            sequence: copy.sequence,
            state: A::STATE,
        };
        let snapshot = self.codecs.snapshots.encode(&head, Data::User(&copy.state));
        copy.size_bytes = snapshot.map_err(|source| encoding(received.record, source))?.len();
        if let Err(too_large) = self.within_limit("the aggregate's state", copy.size_bytes) {
            return Ok(Err(too_large));
        }
        *overlay.instance_mut(received.id) = copy;
        Ok(Ok(()))
    }

    pub(super) fn within_limit(&self, what: &str, bytes: usize) -> Result<(), String> {
        let limit = self.settings.record_bytes;
        if bytes <= limit {
            return Ok(());
        }
        Err(format!("{what} would take {bytes} bytes, more than the {limit} of a record"))
    }
}

/// The id of something that follows from a command, the same whenever it is derived (UUID version 8 from
/// xxh3-128).
fn derived_id(parent: Uuid, kind: &str, id: &str, index: usize) -> Uuid {
    let parts = [parent.as_bytes().as_slice(), kind.as_bytes(), b"\0", id.as_bytes(), b"\0", &index.to_le_bytes()];
    let hash = xxhash_rust::xxh3::xxh3_128(&parts.concat());
    uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid()
}
