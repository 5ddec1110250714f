//! Judging one command: from its record to everything that follows from it, in the order: understood?
//! in its place? seen before? in time? at the expected version? what does the aggregate say?
//!
//! Pure but for the wall clock that is handed in: it reads the overlay and writes to the share.

mod consequences;
mod parking;
mod reading;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::Overlay;
use super::error::PartitionError;
use super::observe::{Counters, SlowLog, Traced};
use super::settings::ProcessorSettings;
use crate::aggregate::codecs::{Codecs, HandOffTargets};
use crate::aggregate::{Aggregate, Context, Refusal};
use crate::clock::Timestamp;
use crate::clock::is_planted;
use crate::command::{
    CommandHead, CommandKey, Control, DeadLetterCode, Failure, InboxData, InboxInput, Outcome, OutcomeEntry,
    OutcomeInput, Refused, Reply, ReplyTo,
};
use crate::lane::{Treatment, Verdict, panic_message};
use crate::log::{Record, Topic};
use crate::position::{Partition, Version};
use crate::schema::{Data, SchemaError};
use crate::store::local::LocalStore;
use crate::topology::Topology;
use parking::Cause;
pub(super) use reading::Received;
use reading::Unread;

/// What a lane needs to judge commands of aggregate `A`.
pub(super) struct Judge<A: Aggregate> {
    pub codecs: Arc<Codecs<A>>,
    pub targets: HandOffTargets,
    pub topology: Topology,
    pub settings: ProcessorSettings,
    pub store: Option<Arc<LocalStore>>,
    pub replies: Topic,
    pub dead_letters: Topic,
    pub counters: Counters,
    pub slow_log: SlowLog,
}

impl<A: Aggregate> Judge<A> {
    /// Judges one record. `now` is the wall clock, for the commands that are handed on. One rejected by the
    /// log, however small its batch was made, fails as too large unless it was judged before; poison parks
    /// its aggregate.
    pub fn judge(
        &self,
        overlay: &mut Overlay<'_, A>,
        record: &Record,
        treatment: Treatment<'_>,
        now: Timestamp,
    ) -> Result<Verdict, PartitionError> {
        let time = record.timestamp.max(overlay.share.changes.time);
        match self.read(record, time) {
            Ok((received, data)) => {
                self.answer(overlay, &received, data, treatment, now)?;
                overlay.share.changes.traced.extend(received.traced);
            }
            Err(Unread::Wait { reason, unknown }) => return Ok(Verdict::Wait { reason, unknown }),
            Err(Unread::Bad { code, message, head }) => {
                self.set_aside(overlay, record, code, message, head.as_deref(), now)?;
            }
        }
        overlay.share.changes.pass(record.timestamp, time);
        Ok(Verdict::Done)
    }

    /// Gives up on a record that still cannot be read.
    pub fn give_up(
        &self,
        overlay: &mut Overlay<'_, A>,
        record: &Record,
        reason: String,
        now: Timestamp,
    ) -> Result<(), PartitionError> {
        let time = record.timestamp.max(overlay.share.changes.time);
        self.set_aside(overlay, record, DeadLetterCode::UnknownSchema, reason, None, now)?;
        overlay.share.changes.pass(record.timestamp, time);
        Ok(())
    }

    fn answer(
        &self,
        overlay: &mut Overlay<'_, A>,
        received: &Received<'_>,
        data: Data<A::Command, Control>,
        treatment: Treatment<'_>,
        now: Timestamp,
    ) -> Result<(), PartitionError> {
        let key = CommandKey::new(received.id, received.head.id);
        if let Some(first) = overlay.remembered(&key) {
            if first.conflicts_with(received.schema_id.0, received.payload_hash) {
                return self.conflict(overlay, received);
            }
            self.counters.repeated.increment(1);
            let reply = received.reply(first.outcome.clone());
            if is_planted!(RepeatNotAnswered) {
                return Ok(());
            }
            return self.reply(overlay, received.record, &received.head, &reply);
        }
        if let Some(first) = overlay.queue(received.id).and_then(|queue| queue.get(received.head.id)) {
            return self.repeat_of_parked(&first.clone(), overlay, received);
        }
        if let Err((failure, message)) = overlay.state.memory.admits(received.head.issued_at, received.record.timestamp)
        {
            return self.record_copy(overlay, received, Outcome::failed(failure, message));
        }
        if matches!(treatment, Treatment::Rejected) {
            let message = "what follows from it is larger than the log takes".to_owned();
            return self.record(overlay, received, Outcome::failed(Failure::TooLarge, message), false);
        }
        overlay.load(received.id, &self.codecs)?;
        let command = match data {
            Data::User(command) => command,
            Data::Engine(control) => return self.release(overlay, received, &control, now),
        };
        if let Some(cause) = Cause::of(overlay, received.id, treatment) {
            return self.park(overlay, received, &cause);
        }
        let outcome = self.decide(overlay, received, command, now)?;
        self.record(overlay, received, outcome, false)
    }

    fn decide(
        &self,
        overlay: &mut Overlay<'_, A>,
        received: &Received<'_>,
        command: A::Command,
        now: Timestamp,
    ) -> Result<Outcome, PartitionError> {
        let (id, head) = (received.id, &received.head);
        let instance = overlay.instance(id);
        let version = instance.map_or(Version::NONE, |instance| instance.version);
        if let Some(expected) =
            head.expected_version.filter(|expected| *expected != version && !is_planted!(ExpectedVersionIgnored))
        {
            let message = format!("{} {id:?} stands at version {version}, not at {expected}", A::NAME);
            return Ok(self.refused(version, Refused::VERSION_MISMATCH, message, None));
        }
        let context = Context { id, next_version: version.next(), command_id: head.id, time: received.time };
        let entered = received.traced.as_ref().map(|traced| traced.deciding().enter());
        let decided = catch_unwind(AssertUnwindSafe(|| match instance {
            Some(instance) => instance.state.decide(command, &context),
            None => A::default().decide(command, &context),
        }));
        drop(entered);
        received.traced.iter().for_each(Traced::decided);
        match decided.map_err(|panic| panicked(received, panic.as_ref()))? {
            Err(refusal) => {
                let data = refusal.data().map(|data| data.to_string());
                Ok(self.refused(version, refusal.code(), refusal.to_string(), data))
            }
            Ok(decision) => self.carry_out(overlay, received, decision, version, now),
        }
    }

    fn refused(&self, version: Version, code: &str, message: String, data: Option<String>) -> Outcome {
        let data = data.filter(|data| self.within_limit("the refusal", data.len().saturating_mul(2)).is_ok());
        Outcome::Refused(Refused { code: code.to_owned(), message, version, data })
    }

    fn conflict(&self, overlay: &mut Overlay<'_, A>, received: &Received<'_>) -> Result<(), PartitionError> {
        let message = format!(
            "command {} of {} {:?} came before with another payload; use a new id for a new command",
            received.head.id,
            A::NAME,
            received.id
        );
        self.record_copy(overlay, received, Outcome::failed(Failure::Conflict, message))
    }

    fn record_copy(
        &self,
        overlay: &mut Overlay<'_, A>,
        received: &Received<'_>,
        outcome: Outcome,
    ) -> Result<(), PartitionError> {
        self.record(overlay, received, outcome, true)
    }

    /// Puts an outcome on the outcomes topic, and sends it to whoever waits.
    fn record(
        &self,
        overlay: &mut Overlay<'_, A>,
        received: &Received<'_>,
        outcome: Outcome,
        about_copy: bool,
    ) -> Result<(), PartitionError> {
        let reply = received.reply(outcome);
        self.reply(overlay, received.record, &received.head, &reply)?;
        let Reply { aggregate_id, command_id, outcome } = reply;
        received.traced.iter().for_each(|traced| traced.judged(&outcome));
        let entry = OutcomeEntry {
            aggregate_id,
            command_id,
            appended_at: received.record.timestamp,
            offset: received.record.offset,
            schema_id: received.schema_id.0,
            payload_hash: received.payload_hash,
            about_copy,
            outcome,
        };
        overlay.share.changes.record_outcome(entry, received.name);
        Ok(())
    }

    fn reply(
        &self,
        overlay: &mut Overlay<'_, A>,
        record: &Record,
        head: &CommandHead,
        reply: &Reply,
    ) -> Result<(), PartitionError> {
        let Some(reply_to) = &head.reply_to else { return Ok(()) };
        let key = Bytes::copy_from_slice(reply_to.key.as_bytes());
        let wrong = |source| encoding(record, source);
        let (to, value) = if self.is_reply_partition(reply_to) {
            let value = self.codecs.replies.encode(reply).map_err(wrong)?;
            (self.replies.partition(Partition(reply_to.partition)), value)
        } else if let Some((inbox, codec)) = self.targets.inbox(reply_to) {
            (inbox, codec.encode(&input(record, head, reply, A::NAME)).map_err(wrong)?)
        } else {
            self.counters.replies_ignored.increment(1);
            return Ok(());
        };
        overlay.share.write(to, Some(key), value, record.traceparent.clone());
        Ok(())
    }

    /// Whether it is an existing partition of the application's replies: a made-up address must not abort
    /// everybody's transaction.
    fn is_reply_partition(&self, reply_to: &ReplyTo) -> bool {
        reply_to.topic == self.replies.as_str() && (0..self.topology.reply_partitions).contains(&reply_to.partition)
    }
}

/// An outcome as an input of the saga that issued the command.
fn input(record: &Record, head: &CommandHead, reply: &Reply, aggregate: &str) -> InboxInput {
    let outcome = OutcomeInput {
        aggregate: aggregate.to_owned(),
        aggregate_id: reply.aggregate_id.to_string(),
        command_id: head.id,
        outcome: reply.outcome.clone(),
    };
    InboxInput {
        id: head.id,
        occurred_at: record.timestamp,
        correlation_id: head.correlation_id,
        data: InboxData::OutcomeInput(outcome),
    }
}

fn encoding(record: &Record, source: SchemaError) -> PartitionError {
    PartitionError::Encoding { partition: record.topic.partition(record.partition), offset: record.offset, source }
}

fn panicked(received: &Received<'_>, panic: &(dyn Any + Send)) -> PartitionError {
    PartitionError::Panicked {
        partition: received.record.topic.partition(received.record.partition),
        offset: received.record.offset,
        id: received.id.to_owned(),
        command_id: received.head.id,
        message: panic_message(panic),
    }
}
