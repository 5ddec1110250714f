//! The router: gives the events of one aggregate to the instances that they belong to.
//!
//! Events in, inbox records out, in one transaction with the offset. It has no state but its place: the
//! next offset and the sequence before it, which stand in the committed offset's note and on the state
//! topic, since the offsets of an idle group expire and an event must never be given out twice. Its groups
//! are its own, so a projection's replay does not move it.

mod restore;

use std::sync::Arc;

use bytes::Bytes;

use super::codecs::SagaCodecs;
use super::error::PartitionError;
use super::records::{Routed, StateControl, StateHead};
use super::{Saga, SagaSettings, SourceEvent};
use crate::aggregate::processor::ProcessorParts;
use crate::clock::Timestamp;
use crate::command::{EventInput, InboxData, InboxInput};
use crate::event::Recorded;
use crate::lane::{
    self, Committed, LaneError, Lanes, Moments, Processor, Progress, Share, Step, Tools, Treatment, Verdict,
    panic_message,
};
use crate::log::{Record, Topic, Written};
use crate::position::{Offset, Partition, Sequence};
use crate::projection::{Decoder, ReadError};
use crate::schema::{Data, DecodeError};
use crate::topology::partition_of;
use restore::Restore;

type Overlay<'a> = lane::Overlay<'a, Place, Changes>;

/// Gives out the events of one aggregate.
struct Router<S: Saga> {
    codecs: Arc<SagaCodecs<S>>,
    /// The place of the aggregate among the sources.
    source: usize,
    events: Topic,
    partitions: i32,
}

/// Starts to give out the events of the saga's source at this place.
pub(super) fn start<S: Saga>(
    codecs: &Arc<SagaCodecs<S>>,
    source: usize,
    parts: &ProcessorParts,
    settings: &SagaSettings,
) -> Result<Lanes, LaneError> {
    let (topology, (aggregate, _)) = (&parts.topology, &codecs.sources[source]);
    let name = format!("{}.router.{aggregate}", S::NAME);
    let lanes = settings.lanes(parts, &name, topology.router_group(S::NAME, aggregate));
    Lanes::start(&lanes, || Router {
        codecs: codecs.clone(),
        source,
        events: topology.aggregate(aggregate).events,
        partitions: topology.partitions,
    })
}

/// How far one partition of events was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub next_offset: Offset,
    /// Of the last event; `None` if somebody has set the group's offset by hand.
    pub sequence: Option<Sequence>,
}

/// What a batch changes: the sequence of its last event.
pub(super) struct Changes {
    sequence: Option<Sequence>,
}

impl<S: Saga> Router<S> {
    fn aggregate(&self) -> &'static str {
        self.codecs.sources[self.source].0
    }

    fn decoder(&self) -> &Decoder<SourceEvent<S>> {
        &self.codecs.sources[self.source].1
    }

    fn route(
        &self,
        overlay: &mut Overlay<'_>,
        record: &Record,
        event: &Recorded<SourceEvent<S>>,
    ) -> Result<(), PartitionError> {
        let partition = || record.topic.partition(record.partition);
        let (last, found) = (overlay.share.changes.sequence, event.sequence);
        if let Some(last) = last.filter(|last| last.next() != found) {
            let offset = record.offset;
            return Err(PartitionError::SequenceGap { partition: partition(), offset, last, found });
        }
        overlay.share.changes.sequence = Some(found);
        let correlated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| S::correlate(event)));
        let input = || format!("the event at offset {} (in correlate)", record.offset);
        let correlated = correlated.map_err(|panic| PartitionError::Panicked {
            partition: partition(),
            id: event.aggregate_id.clone(),
            input: input(),
            message: panic_message(&*panic),
        })?;
        let Some(id) = correlated else { return Ok(()) };
        let value =
            self.codecs.inbox.encode(&self.input(record, event)).map_err(|error| PartitionError::Unwritable {
                partition: partition(),
                id: id.to_string(),
                input: input(),
                reason: error.to_string(),
            })?;
        let key = Bytes::copy_from_slice(id.as_str().as_bytes());
        let to = self.codecs.topics.inbox.partition(partition_of(&key, self.partitions));
        overlay.share.write(to, Some(key), value, record.traceparent.clone());
        Ok(())
    }

    fn input(&self, record: &Record, event: &Recorded<SourceEvent<S>>) -> InboxInput {
        let data = InboxData::EventInput(EventInput {
            aggregate: self.aggregate().to_owned(),
            aggregate_id: event.aggregate_id.clone(),
            version: event.version,
            partition: event.partition,
            sequence: event.sequence,
            offset: event.offset,
            record: record.value.clone().unwrap_or_default(),
        });
        InboxInput { id: event.id, occurred_at: event.occurred_at, correlation_id: event.correlation_id, data }
    }
}

fn unreadable(record: &Record, reason: String) -> PartitionError {
    let partition = record.topic.partition(record.partition);
    PartitionError::Unreadable { partition, what: "the event", offset: record.offset, reason }
}

impl<S: Saga> Processor for Router<S> {
    const KIND: &'static str = "router";
    type State = Place;
    type Changes = Changes;
    type Restore = Restore;
    type Error = PartitionError;

    fn name(&self) -> &'static str {
        S::NAME
    }

    fn input(&self) -> &Topic {
        &self.events
    }

    fn next_offset(state: &Place) -> Offset {
        state.next_offset
    }

    fn restore(&self, partition: Partition, committed: Option<Committed>, before: Option<Place>) -> Restore {
        Restore::begin(partition, committed, before)
    }

    fn step(&self, restore: Restore, tools: &mut Tools<'_>) -> Result<Step<Restore, Place>, PartitionError> {
        restore.step(&self.codecs, self.aggregate(), &self.events, tools)
    }

    fn progress(restore: &Restore) -> Progress {
        restore.progress()
    }

    fn begin(&self, state: &Place, committing: Option<&Share<Changes>>) -> Changes {
        Changes { sequence: committing.map_or(state.sequence, |share| share.changes.sequence) }
    }

    fn process(
        &self,
        overlay: &mut Overlay<'_>,
        record: &Record,
        treatment: Treatment<'_>,
        _: Timestamp,
    ) -> Result<Verdict, PartitionError> {
        if matches!(treatment, Treatment::Rejected) {
            return Err(unreadable(record, "the log takes no inbox record of its size".to_owned()));
        }
        match self.decoder().decode(record) {
            Ok(event) => self.route(overlay, record, &event).map(|()| Verdict::Done),
            Err(ReadError::Value(DecodeError::RegistryAway(reason))) => Ok(Verdict::Wait { reason, unknown: false }),
            Err(ReadError::Value(error @ DecodeError::UnknownSchema(_))) => {
                Ok(Verdict::Wait { reason: error.to_string(), unknown: true })
            }
            Err(ReadError::Value(error)) => Err(unreadable(record, error.to_string())),
            Err(ReadError::Key) => Err(unreadable(record, "its key is no text".to_owned())),
        }
    }

    /// To skip an event would be to lose it.
    fn give_up(
        &self,
        _: &mut Overlay<'_>,
        record: &Record,
        reason: String,
        _: Timestamp,
    ) -> Result<(), PartitionError> {
        Err(unreadable(record, reason))
    }

    fn is_due(&self, _: &Place, _: Timestamp) -> bool {
        false
    }

    fn do_due(&self, _: &mut Place, _: &mut Share<Changes>, _: Timestamp) -> Result<(), PartitionError> {
        Ok(())
    }

    fn seal(&self, share: &mut Share<Changes>) -> Result<(), PartitionError> {
        let Some(sequence) = share.changes.sequence else { return Ok(()) };
        let (aggregate, next_offset) = (self.aggregate().to_owned(), share.next_offset);
        let key = format!("{}{aggregate}", Routed::KEY);
        let routed = StateControl::Routed(Routed { aggregate, next_offset, sequence });
        let head = StateHead::new(S::STATE, Timestamp::default(), uuid::Uuid::nil());
        let to = self.codecs.topics.state.partition(share.partition);
        let value =
            self.codecs.state.encode(&head, Data::Engine(&routed)).map_err(|error| PartitionError::Unwritable {
                partition: to.clone(),
                id: key.clone(),
                input: format!("events up to offset {next_offset}"),
                reason: error.to_string(),
            })?;
        share.write(to, Some(key.into_bytes().into()), value, None);
        Ok(())
    }

    fn note(&self, share: &Share<Changes>) -> Option<String> {
        share.changes.sequence.map(|sequence| sequence.to_string())
    }

    fn fold(&self, state: &mut Place, share: Share<Changes>, _: &Written, _: &Moments) {
        metrics::counter!("headwater_saga_events_total", "saga" => S::NAME).increment(share.inputs as u64);
        *state = Place { next_offset: share.next_offset, sequence: share.changes.sequence };
    }
}
