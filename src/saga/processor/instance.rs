//! One instance while it takes something in: what a reaction, a retry or the end makes of it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::super::error::PartitionError;
use super::super::records::{Ended, StateControl, StateHead, UnderWay};
use super::Runner;
use super::partition::{Changes, Entry, NEVER};
use crate::aggregate::HandOffTarget;
use crate::clock::Timestamp;
use crate::clock::is_planted;
use crate::command::{CommandHead, ReplyTo};
use crate::lane::{Share, panic_message};
use crate::log::TopicPartition;
use crate::position::Offset;
use crate::saga::reaction::Parts;
use crate::saga::{DeadlineChange, Input, IssuedCommand, Reaction, Saga, SagaContext, StepKind};
use crate::schema::{Data, SchemaError};

/// A command that the engine issues anew by itself waits so long at first …
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// … then twice as long each time, up to this.
const LAST_RETRY: Duration = Duration::from_mins(1);

/// One instance, read, to take something in.
pub(super) struct Instance<S> {
    pub id: Arc<str>,
    pub head: StateHead,
    pub state: S,
    /// The commands that it issues.
    pub commands: Vec<(TopicPartition, Bytes, Bytes)>,
}

/// What it takes in, for those who write.
pub(super) struct Cause {
    /// Where it stands, for errors.
    pub partition: TopicPartition,
    /// What it is, for errors.
    pub input: String,
    /// The id of the event, or of the command whose outcome it is.
    pub id: Option<Uuid>,
    /// Its time, not before that of anything taken in before.
    pub time: Timestamp,
    /// When the commands that follow are issued: the wall clock, but not before their cause was appended.
    pub issued_at: Timestamp,
    /// Its offset in the inbox; none of a timer.
    pub offset: Option<Offset>,
    /// The trace it belongs to.
    pub traceparent: Option<Bytes>,
}

impl Cause {
    pub fn unwritable(&self, id: &str, reason: impl fmt::Display) -> PartitionError {
        let (partition, input) = (self.partition.clone(), self.input.clone());
        PartitionError::Unwritable { partition, id: id.to_owned(), input, reason: reason.to_string() }
    }
}

impl<S: Saga> Runner<S> {
    /// Gives an input to the saga, and does what it says. `answered` is the step whose outcome it is.
    pub(super) fn react(
        &self,
        instance: &mut Instance<S>,
        input: Input<S>,
        answered: Option<UnderWay>,
        cause: &Cause,
    ) -> Result<(), PartitionError> {
        let context = SagaContext { id: &instance.id, time: cause.time };
        let state = &mut instance.state;
        let reaction = catch_unwind(AssertUnwindSafe(|| state.react(input, &context)));
        let reaction = reaction.map_err(|panic| PartitionError::Panicked {
            partition: cause.partition.clone(),
            id: instance.id.to_string(),
            input: cause.input.clone(),
            message: panic_message(&*panic),
        })?;
        self.apply(instance, reaction, answered, cause)
    }

    fn apply(
        &self,
        instance: &mut Instance<S>,
        reaction: Reaction<S>,
        answered: Option<UnderWay>,
        cause: &Cause,
    ) -> Result<(), PartitionError> {
        let Parts { commands, retry, deadline, ends } = reaction.into_parts();
        if let (Some(mut step), Some(wait)) = (answered, retry) {
            step.retry_at = Some(cause.time.plus(wait));
            instance.head.under_way.push(step);
        }
        for issued in commands {
            self.issue(instance, &issued, cause)?;
        }
        match deadline {
            Some(DeadlineChange::At(time)) => instance.head.deadline = Some(time),
            Some(DeadlineChange::Cleared) => instance.head.deadline = None,
            None => {}
        }
        if ends {
            instance.head.is_ending = true;
            instance.head.deadline = None;
            instance.head.under_way.retain(|step| step.is_compensation);
        }
        Ok(())
    }

    fn issue(
        &self,
        instance: &mut Instance<S>,
        issued: &IssuedCommand<S::Step>,
        cause: &Cause,
    ) -> Result<(), PartitionError> {
        let target = self.target(issued.command.aggregate, &instance.id, cause)?;
        let step = serde_json::to_string(&issued.step);
        let step = step.map_err(|error| cause.unwritable(&instance.id, format!("its step is no JSON: {error}")))?;
        instance.head.steps += 1;
        let mut step = UnderWay {
            number: instance.head.steps,
            step,
            is_compensation: issued.kind == StepKind::Compensation,
            aggregate: issued.command.aggregate.to_owned(),
            aggregate_id: issued.command.id.clone(),
            attempt: 1,
            command_id: Uuid::nil(),
            retry_at: None,
            command: Bytes::new(),
        };
        let head = self.command_head(instance, &mut step, cause.id, cause);
        let value = target.encode(&head, issued.command.payload());
        self.send(instance, step, target, value, cause)
    }

    /// Issues the command of a step anew, under the id of its next attempt.
    pub(super) fn reissue(
        &self,
        instance: &mut Instance<S>,
        mut step: UnderWay,
        cause: &Cause,
    ) -> Result<(), PartitionError> {
        let target = self.target(&step.aggregate, &instance.id, cause)?;
        let earlier = step.command_id;
        step.attempt += 1;
        step.retry_at = None;
        let head = self.command_head(instance, &mut step, Some(earlier), cause);
        let value = target.encode_again(&head, &step.command);
        self.send(instance, step, target, value, cause)
    }

    fn send(
        &self,
        instance: &mut Instance<S>,
        mut step: UnderWay,
        target: &dyn HandOffTarget,
        value: Result<Bytes, SchemaError>,
        cause: &Cause,
    ) -> Result<(), PartitionError> {
        let value = value.map_err(|error| cause.unwritable(&instance.id, error))?;
        self.within_limit("a command", value.len()).map_err(|reason| cause.unwritable(&instance.id, reason))?;
        let key = Bytes::copy_from_slice(step.aggregate_id.as_bytes());
        instance.commands.push((self.targets.place(target, &step.aggregate_id), key, value.clone()));
        step.command = value;
        instance.head.under_way.push(step);
        Ok(())
    }

    fn target(&self, aggregate: &str, id: &str, cause: &Cause) -> Result<&dyn HandOffTarget, PartitionError> {
        self.targets.get(aggregate).ok_or_else(|| {
            cause.unwritable(id, format!("a command is for {aggregate}, which is not registered with App::aggregate"))
        })
    }

    fn command_head(
        &self,
        instance: &Instance<S>,
        step: &mut UnderWay,
        causation_id: Option<Uuid>,
        cause: &Cause,
    ) -> CommandHead {
        step.command_id = command_id(S::NAME, &instance.id, step.number, &step.step, step.attempt);
        CommandHead {
            id: step.command_id,
            issued_at: cause.issued_at,
            expected_version: None,
            causation_id,
            correlation_id: instance.head.correlation_id,
            reply_to: Some(ReplyTo {
                topic: self.codecs.topics.inbox.as_str().to_owned(),
                partition: self.targets.partition_of(&instance.id).0,
                key: instance.id.to_string(),
            }),
        }
    }

    /// Writes an instance as it is now, and the commands that it issues.
    pub(super) fn keep(
        &self,
        mut instance: Instance<S>,
        share: &mut Share<Changes>,
        cause: &Cause,
    ) -> Result<(), PartitionError> {
        let head = &mut instance.head;
        head.state = S::STATE;
        head.time = cause.time;
        head.input_offset = cause.offset.unwrap_or(head.input_offset);
        let has_ended = head.is_ending && head.under_way.is_empty();
        if has_ended {
            head.ended_at = Some(cause.time);
        }
        let ended = StateControl::Ended(Ended {});
        let data = if has_ended { Data::Engine(&ended) } else { Data::User(&instance.state) };
        let value = self.codecs.state.encode(head, data).map_err(|error| cause.unwritable(&instance.id, error))?;
        self.within_limit("its state", value.len()).map_err(|reason| cause.unwritable(&instance.id, reason))?;
        let due = if has_ended { cause.time.plus(self.settings.ended()) } else { head.due().unwrap_or(NEVER) };
        let record = (!has_ended).then(|| Box::from(&value[..]));
        let key = Bytes::copy_from_slice(instance.id.as_bytes());
        if !is_planted!(SagaStateNotWritten) {
            share.write(self.codecs.topics.state.partition(share.partition), Some(key), value, None);
        }
        share.changes.commands += instance.commands.len() as u64;
        for (to, key, value) in instance.commands {
            share.write(to, Some(key), value, cause.traceparent.clone());
        }
        share.changes.instances.insert(instance.id, Some(Entry { due, time: cause.time, record }));
        Ok(())
    }

    fn within_limit(&self, what: &str, bytes: usize) -> Result<(), String> {
        let limit = self.processor.record_bytes;
        if bytes <= limit {
            return Ok(());
        }
        Err(format!("{what} would take {bytes} bytes, more than the {limit} of a record"))
    }
}

/// When the engine issues a step anew that it retries by itself.
pub(super) fn retry_at(step: &UnderWay, time: Timestamp) -> Timestamp {
    let doublings = u32::try_from(step.attempt - 1).unwrap_or(0).min(6);
    time.plus((FIRST_RETRY * 2_u32.pow(doublings)).min(LAST_RETRY))
}

/// The id of a step's command, the same whenever it is derived: a copy of it is recognised by the aggregate.
pub(crate) fn command_id(saga: &str, id: &str, number: i64, step: &str, attempt: i32) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{saga}\0{id}\0{number}\0{step}\0{attempt}").as_bytes())
}
