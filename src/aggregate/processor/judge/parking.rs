//! Parking an aggregate whose command cannot be judged, with its later commands in order; and what becomes
//! of them once somebody says so.

use bytes::Bytes;
use serde::Serialize;

use super::super::batch::Overlay;
use super::super::error::PartitionError;
use super::reading::{Received, Unread};
use super::{Judge, encoding};
use crate::aggregate::Aggregate;
use crate::clock::Timestamp;
use crate::command::{
    Accepted, Control, Failure, Judged, Outcome, OutcomeEntry, Parked, ParkedChange, ParkedCommand, ParkedQueue,
    PayloadHash, Reply, Retried, Skipped, WaitingCommand,
};
use crate::lane::{StopReason, Treatment};
use crate::log::Record;
use crate::position::Version;
use crate::schema::Data;

/// The most parked aggregates of a partition: more are no poison but a release that does not work.
const MOST_AGGREGATES: usize = 500;

/// A reason as it is kept: a panic's message may be of any length.
fn shortened(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(2_000)]
}

/// What a control command came to: the data of its outcome.
#[derive(Debug, Default, Serialize)]
struct Released {
    /// Parked commands that have their outcome now.
    judged: usize,
    /// Parked commands that were given up.
    skipped: usize,
    /// Those that still wait.
    parked: usize,
    /// Why the first of them cannot be judged.
    reason: Option<String>,
}

/// Why a command is to be parked.
pub(super) enum Cause {
    /// Others of its aggregate wait.
    Behind,
    /// It cannot be judged itself.
    Itself(String),
}

impl Cause {
    /// Why a command is to be parked, if it is.
    pub fn of<A: Aggregate>(overlay: &Overlay<'_, A>, id: &str, treatment: Treatment<'_>) -> Option<Self> {
        match treatment {
            _ if overlay.queue(id).is_some() => Some(Self::Behind),
            Treatment::Poison(reason) => Some(Self::Itself(reason.to_owned())),
            _ => overlay.state.unfoldable(id).map(|reason| Self::Itself(reason.to_owned())),
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Behind => None,
            Self::Itself(reason) => Some(shortened(reason)),
        }
    }
}

impl<A: Aggregate> Judge<A> {
    /// Lets a command wait.
    pub(super) fn park(
        &self,
        overlay: &mut Overlay<'_, A>,
        received: &Received<'_>,
        cause: &Cause,
    ) -> Result<(), PartitionError> {
        let (record, id, reason) = (received.record, received.id, cause.reason());
        let waiting = WaitingCommand {
            command_id: received.head.id,
            offset: record.offset,
            appended_at: record.timestamp,
            value: record.value.clone().unwrap_or_default(),
            traceparent: record.traceparent.clone(),
            record: overlay.state.parked_offset,
        };
        let change = ParkedChange::Parked(Parked {
            appended_at: waiting.appended_at,
            reason: reason.map(str::to_owned),
            value: waiting.value.clone(),
            traceparent: waiting.traceparent.clone(),
        });
        let value = self.encode_change(&waiting, change, record)?;
        if let Err(too_large) = self.within_limit("its record among the parked commands", value.len()) {
            let message = reason.map_or(too_large.clone(), |reason| format!("{reason}; and {too_large}"));
            return self.record(overlay, received, Outcome::failed(Failure::TooLarge, message), false);
        }
        let size = overlay.share.changes.parked_size;
        let is_new = overlay.queue(id).is_none();
        if size.bytes + waiting.bytes() > self.settings.parked_bytes || (is_new && size.aggregates >= MOST_AGGREGATES) {
            return Err(PartitionError::ParkedFull {
                partition: record.topic.partition(record.partition),
                offset: record.offset,
                id: id.to_owned(),
                reason: reason.unwrap_or("its aggregate is parked").to_owned(),
                size: format!("{} bytes of {} aggregates", size.bytes, size.aggregates),
            });
        }
        if let Some(reason) = reason {
            tracing::error!(
                aggregate = A::NAME, id, command_id = %waiting.command_id, partition = record.partition.0,
                offset = record.offset.0, reason, "the aggregate is parked; see `parked ls`"
            );
        }
        let to = self.codecs.topics.parked.partition(record.partition);
        overlay.share.write(to, record.key.clone(), value, record.traceparent.clone());
        overlay.park(id, waiting, reason);
        Ok(())
    }

    fn encode_change(
        &self,
        waiting: &WaitingCommand,
        change: ParkedChange,
        record: &Record,
    ) -> Result<Bytes, PartitionError> {
        let (command_id, offset) = (waiting.command_id, waiting.offset);
        let parked = ParkedCommand { command_id, offset, change };
        self.codecs.parked.encode(&parked).map_err(|source| encoding(record, source))
    }

    /// A second copy of a command that waits: it has the first one's outcome, once that is judged.
    pub(super) fn repeat_of_parked(
        &self,
        first: &WaitingCommand,
        overlay: &mut Overlay<'_, A>,
        received: &Received<'_>,
    ) -> Result<(), PartitionError> {
        let record = self.waiting_record(received, first);
        if let Ok((first, _)) = self.read(&record, received.time)
            && first.schema_id == received.schema_id
            && first.payload_hash != received.payload_hash
        {
            return self.conflict(overlay, received);
        }
        self.counters.repeated.increment(1);
        Ok(())
    }

    /// A parked command as it stood on its topic.
    fn waiting_record(&self, control: &Received<'_>, waiting: &WaitingCommand) -> Record {
        Record {
            topic: self.codecs.topics.commands.clone(),
            partition: control.record.partition,
            offset: waiting.offset,
            timestamp: waiting.appended_at,
            key: control.record.key.clone(),
            value: Some(waiting.value.clone()),
            traceparent: waiting.traceparent.clone(),
        }
    }

    /// Carries out what is asked about a parked aggregate: its first command is given up or not, then all are
    /// judged in order, until one cannot be or the batch is full.
    pub(super) fn release(
        &self,
        overlay: &mut Overlay<'_, A>,
        control: &Received<'_>,
        asked: &Control,
        now: Timestamp,
    ) -> Result<(), PartitionError> {
        let version = overlay.instance(control.id).map_or(Version::NONE, |instance| instance.version);
        let refuse = |code, message| self.refused(version, code, message, None);
        let Some(first) = overlay.queue(control.id).and_then(|queue| queue.first()).cloned() else {
            let message = format!("no command of {} {:?} is parked", A::NAME, control.id);
            return self.record(overlay, control, refuse("nothing_parked", message), false);
        };
        let mut released = Released::default();
        if let Control::SkipParked(skip) = asked {
            if skip.command_id != first.command_id {
                let message = format!("the first parked command is {}, not {}", first.command_id, skip.command_id);
                return self.record(overlay, control, refuse("not_the_first", message), false);
            }
            self.skip(overlay, control, &first)?;
            released.skipped = 1;
        }
        while let Some(waiting) = overlay.queue(control.id).and_then(|queue| queue.first()).cloned() {
            if overlay.share.bytes() > self.settings.batch_bytes {
                break;
            }
            if let Err(reason) = self.judge_parked(overlay, control, &waiting, now)? {
                released.reason = Some(reason);
                break;
            }
            released.judged += 1;
        }
        released.parked = overlay.queue(control.id).map_or(0, ParkedQueue::len);
        let version = overlay.instance(control.id).map_or(Version::NONE, |instance| instance.version);
        let (partition, sequence) = (control.record.partition, overlay.share.changes.sequence);
        let data = serde_json::to_string(&released).ok();
        self.record(overlay, control, Outcome::Accepted(Accepted { version, partition, sequence, data }), false)
    }

    /// Judges the first parked command as if it came now, but for its age; `Err` within says why it goes on
    /// waiting.
    fn judge_parked(
        &self,
        overlay: &mut Overlay<'_, A>,
        control: &Received<'_>,
        waiting: &WaitingCommand,
        now: Timestamp,
    ) -> Result<Result<(), String>, PartitionError> {
        let record = self.waiting_record(control, waiting);
        let time = record.timestamp.max(overlay.share.changes.time);
        let (received, command) = match self.read(&record, time) {
            Ok((received, Data::User(command))) => (received, command),
            Ok((_, Data::Engine(_))) => {
                return self.retried(overlay, control, waiting, "it is no command of the aggregate's".to_owned());
            }
            Err(Unread::Wait { reason, .. }) => return self.retried(overlay, control, waiting, reason),
            Err(Unread::Bad { message, .. }) => return self.retried(overlay, control, waiting, message),
        };
        if let Some(reason) = overlay.state.unfoldable(received.id).map(str::to_owned) {
            return self.retried(overlay, control, waiting, reason);
        }
        let before = overlay.share.changes.instances.get(received.id).cloned();
        match self.decide(overlay, &received, command, now) {
            Ok(outcome) => self.record(overlay, &received, outcome, false)?,
            Err(error) if error.is_poison() => {
                let instances = &mut overlay.share.changes.instances;
                match before {
                    Some(before) => drop(instances.insert(received.id.into(), before)),
                    None => drop(instances.remove(received.id)),
                }
                received.traced.iter().for_each(super::Traced::dropped);
                return self.retried(overlay, control, waiting, error.to_string());
            }
            Err(error) => return Err(error),
        }
        overlay.share.changes.time = time;
        overlay.share.changes.traced.extend(received.traced);
        let judged = ParkedChange::Judged(Judged { by: control.record.offset });
        self.changed(overlay, control, waiting, judged)?;
        overlay.unpark_first(control.id);
        Ok(Ok(()))
    }

    /// It could not be judged again.
    fn retried(
        &self,
        overlay: &mut Overlay<'_, A>,
        control: &Received<'_>,
        waiting: &WaitingCommand,
        reason: String,
    ) -> Result<Result<(), String>, PartitionError> {
        let reason = shortened(&reason).to_owned();
        let retried = ParkedChange::Retried(Retried { by: control.record.offset, reason: reason.clone() });
        self.changed(overlay, control, waiting, retried)?;
        overlay.queue_mut(control.id).reason.clone_from(&reason);
        Ok(Err(reason))
    }

    /// Gives the first parked command up, with an outcome that says so.
    fn skip(
        &self,
        overlay: &mut Overlay<'_, A>,
        control: &Received<'_>,
        waiting: &WaitingCommand,
    ) -> Result<(), PartitionError> {
        let outcome = Outcome::failed(Failure::Skipped, "it was parked, and given up by hand");
        let record = self.waiting_record(control, waiting);
        match self.read(&record, control.time) {
            Ok((received, _)) => self.record(overlay, &received, outcome, false)?,
            Err(_) => self.record_unread(overlay, &record, waiting, outcome)?,
        }
        let skipped = ParkedChange::Skipped(Skipped { by: control.record.offset });
        self.changed(overlay, control, waiting, skipped)?;
        overlay.unpark_first(control.id);
        Ok(())
    }

    /// The outcome of a parked command that this release cannot read.
    fn record_unread(
        &self,
        overlay: &mut Overlay<'_, A>,
        record: &Record,
        waiting: &WaitingCommand,
        outcome: Outcome,
    ) -> Result<(), PartitionError> {
        let id = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
        let reply = Reply { aggregate_id: id.as_ref().into(), command_id: waiting.command_id, outcome };
        if let Ok(head) = self.codecs.commands.decode_head(&waiting.value) {
            self.reply(overlay, record, &head, &reply)?;
        }
        let entry = OutcomeEntry {
            aggregate_id: reply.aggregate_id,
            command_id: reply.command_id,
            appended_at: waiting.appended_at,
            offset: waiting.offset,
            schema_id: 0,
            payload_hash: PayloadHash::default(),
            about_copy: false,
            outcome: reply.outcome,
        };
        overlay.share.changes.record_outcome(entry, "unreadable");
        Ok(())
    }

    /// Says on the parked topic what was done with a parked command.
    fn changed(
        &self,
        overlay: &mut Overlay<'_, A>,
        control: &Received<'_>,
        waiting: &WaitingCommand,
        change: ParkedChange,
    ) -> Result<(), PartitionError> {
        let value = self.encode_change(waiting, change, control.record)?;
        let to = self.codecs.topics.parked.partition(control.record.partition);
        overlay.share.write(to, control.record.key.clone(), value, waiting.traceparent.clone());
        Ok(())
    }
}
