//! A member of a consumer group.
//!
//! What it promises: the port's promises, and that no call stalls the flow of records for longer than a
//! fetch that waits (50 ms). What it never does: commit offsets, or pick an offset to start from.
//!
//! A newly assigned partition is not started until [`Member::resume`] says from where: it is assigned to
//! librdkafka then, with an explicit offset, so that nothing is fetched, and no committed offset asked for,
//! before. Rewinding a started partition is a seek, which outdates everything fetched before.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use hashbrown::HashSet;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::config::Configs;
use super::error::{is_missing, is_temporary, log_error};
use super::inquiry::{Inquiry, committed_offsets};
use super::native::GroupMetadata;
use super::ownership::{Flow, Ownership};
use super::reader::patience;
use super::rebalance::{MemberContext, Rebalance, give_up};
use super::record::{list, positions};
use crate::clock;
use crate::log::{CommittedOffset, Fence, Group, Isolation, LogError, Member, Polled, TopicPartition};
use crate::position::{Offset, Partition};

const SEEK_WAIT: Duration = Duration::from_secs(5);
const SEEK_PAUSE: Duration = Duration::from_millis(1);
const LEAVE_WAIT: Duration = Duration::from_secs(5);
const LEAVE_STEP: Duration = Duration::from_millis(5);
const STABLE_OFFSETS_WAIT: Duration = Duration::from_secs(30);

/// A member of a group on Kafka.
pub(super) struct KafkaMember {
    group: String,
    consumer: BaseConsumer<MemberContext>,
    inquiry: Arc<Inquiry>,
    ownership: Ownership,
    /// Met while records were on their way, to be told by the next poll.
    failure: Option<LogError>,
}

impl KafkaMember {
    pub(super) fn join(configs: &Configs, group: &Group, inquiry: Arc<Inquiry>) -> Result<Self, LogError> {
        let doing = format!("joining group {}", group.name);
        let created =
            configs.member(&group.name, group.instance.as_deref()).create_with_context(MemberContext::default());
        let consumer: BaseConsumer<MemberContext> = created.map_err(|error| log_error(&doing, &error, None))?;
        let topics: Vec<_> = group.topics.iter().map(crate::log::Topic::as_str).collect();
        list(group.topics.iter().map(|topic| topic.partition(Partition(0))).collect::<Vec<_>>().iter())?;
        consumer.subscribe(&topics).map_err(|error| log_error(&doing, &error, None))?;
        Ok(Self { group: group.name.clone(), consumer, inquiry, ownership: Ownership::default(), failure: None })
    }

    /// The next thing to say about partitions. Nothing while some are being handed over: one at a time.
    fn next_change(&mut self) -> Result<Option<Polled>, LogError> {
        while !self.ownership.is_handing_over() {
            if self.ownership.is_stale() {
                return self.lose().map(Some);
            }
            if self.ownership.has_regained()
                && let Some(membership) = self.membership()
            {
                return Ok(Some(Polled::Assigned(self.ownership.regain(&membership.member_id()))));
            }
            let Some(event) = self.consumer.context().rebalances().pop_front() else { return Ok(None) };
            match event {
                Rebalance::Assigned(partitions) => {
                    if let Some(membership) = self.membership() {
                        self.ownership.check(&membership.member_id());
                    }
                    self.ownership.assign(&partitions);
                    if !partitions.is_empty() {
                        return Ok(Some(Polled::Assigned(partitions)));
                    }
                }
                Rebalance::Revoked { partitions, is_lost } => {
                    let reported = self.ownership.revoke(partitions);
                    match (reported.is_empty(), is_lost) {
                        (true, _) => self.release(&[])?,
                        (false, true) => return Ok(Some(Polled::Lost(reported))),
                        (false, false) => return Ok(Some(Polled::Revoked(reported))),
                    }
                }
                Rebalance::Failed(text) => return Err(LogError::Fatal(format!("group {}: {text}", self.group))),
            }
        }
        Ok(None)
    }

    /// The present membership, if there is one. After a fatal error librdkafka goes on showing the last.
    fn membership(&self) -> Option<GroupMetadata> {
        let client = self.consumer.client();
        let is_member = |metadata: &GroupMetadata| metadata.generation() > 0 && !metadata.member_id().is_empty();
        GroupMetadata::of(client).filter(is_member).filter(|_| client.fatal_error().is_none())
    }

    fn lose(&mut self) -> Result<Polled, LogError> {
        let lost = self.ownership.lose();
        self.pause(&lost)?;
        Ok(Polled::Lost(lost))
    }

    /// What an error met by the consumer means; `None` if the consumer goes on by itself.
    fn judge(&self, error: &KafkaError) -> Option<LogError> {
        let reason = self.consumer.context().voice.last_error().unwrap_or_default();
        let code = super::error::code_of(error)?;
        let doing = format!("group {}: {reason}", self.group);
        if code == Code::FencedInstanceId {
            return Some(LogError::Fenced(format!("{doing}; no two live members may share one instance")));
        }
        if let KafkaError::MessageConsumptionFatal(_) = error {
            return Some(LogError::Fatal(doing));
        }
        match code {
            // The group says so itself, as a loss.
            Code::PollExceeded | Code::PartitionEOF => None,
            Code::AutoOffsetReset | Code::OffsetOutOfRange => Some(self.out_of_range(&reason)),
            code if is_missing(code) => Some(LogError::Missing(reason)),
            // librdkafka reconnects by itself, and says in the log that it does.
            code if is_temporary(code) => None,
            _ => Some(log_error(&doing, error, None)),
        }
    }

    fn out_of_range(&self, reason: &str) -> LogError {
        for (partition, offset) in self.ownership.flowing() {
            match self.inquiry.bounds(std::slice::from_ref(partition), Isolation::Uncommitted) {
                Ok(bounds) if offset < bounds[0].low || offset > bounds[0].end => {
                    let partition = partition.clone();
                    return LogError::OutOfRange { partition, offset, low: bounds[0].low, end: bounds[0].end };
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
        LogError::Fatal(format!("group {}: {reason}", self.group))
    }

    fn start(&mut self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        if from.is_empty() {
            return Ok(());
        }
        let list = positions(from)?;
        let doing = format!("starting {} in group {}", from[0].0, self.group);
        self.consumer.incremental_assign(&list).map_err(|error| log_error(&doing, &error, None))
    }

    /// Moves started partitions. A partition just assigned may wait for others to stop, and refuses a seek
    /// until then.
    fn seek(&self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        let deadline = clock::instant() + SEEK_WAIT;
        let mut remaining = from.to_vec();
        while !remaining.is_empty() {
            let doing = format!("moving {} to {} in group {}", remaining[0].0, remaining[0].1, self.group);
            let sought = self.consumer.seek_partitions(positions(&remaining)?, SEEK_WAIT);
            let sought = sought.map_err(|error| log_error(&doing, &error, None))?;
            let mut refused = HashSet::new();
            for element in sought.elements() {
                let Err(error) = element.error() else { continue };
                let is_starting = matches!(error.rdkafka_error_code(), Some(Code::State | Code::PreviousInProgress));
                if !is_starting || clock::instant() >= deadline {
                    return Err(log_error(&doing, &error, None));
                }
                refused.insert((element.topic().to_owned(), element.partition()));
            }
            remaining.retain(|(partition, _)| {
                refused.contains(&(partition.topic.as_str().to_owned(), partition.partition.0))
            });
            if !remaining.is_empty() {
                sleep(SEEK_PAUSE);
            }
        }
        Ok(())
    }
}

impl Member for KafkaMember {
    fn poll(&mut self, wait: Duration, max: usize) -> Result<Polled, LogError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if let Some(change) = self.next_change()? {
            return Ok(change);
        }
        let deadline = clock::instant() + wait;
        let mut records = Vec::new();
        while records.len() < max {
            match self.consumer.poll(patience(&records, deadline)) {
                Some(Ok(message)) => {
                    if let Some(record) = self.ownership.accept(&message) {
                        records.push(record);
                        continue;
                    }
                }
                Some(Err(error)) => match self.judge(&error) {
                    Some(failure) if records.is_empty() => return Err(failure),
                    Some(failure) => {
                        self.failure = Some(failure);
                        break;
                    }
                    None => {}
                },
                None if records.is_empty() => {
                    if let Some(change) = self.next_change()? {
                        return Ok(change);
                    }
                }
                None => break,
            }
            if records.is_empty() && clock::instant() >= deadline {
                break;
            }
        }
        Ok(Polled::Records(records))
    }

    fn resume(&mut self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        let (mut unstarted, mut started) = (Vec::new(), Vec::new());
        for (partition, offset) in from {
            match self.ownership.flow(partition) {
                Some(Flow::Unstarted) => unstarted.push((partition.clone(), *offset)),
                Some(Flow::Flowing(_) | Flow::Paused) => started.push((partition.clone(), *offset)),
                Some(Flow::Regained { .. }) | None => {
                    return Err(LogError::Fenced(format!(
                        "{partition} is not assigned to this member of {}",
                        self.group
                    )));
                }
            }
        }
        self.start(&unstarted)?;
        self.seek(&started)?;
        let list = list(started.iter().map(|(partition, _)| partition))?;
        self.consumer
            .resume(&list)
            .map_err(|error| log_error(&format!("resuming partitions of group {}", self.group), &error, None))?;
        for (partition, offset) in from {
            self.ownership.set_flow(partition, Flow::Flowing(*offset));
        }
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let is_flowing = |partition: &&TopicPartition| matches!(self.ownership.flow(partition), Some(Flow::Flowing(_)));
        let flowing: Vec<_> = partitions.iter().filter(is_flowing).cloned().collect();
        self.consumer
            .pause(&list(&flowing)?)
            .map_err(|error| log_error(&format!("pausing partitions of group {}", self.group), &error, None))?;
        for partition in &flowing {
            self.ownership.set_flow(partition, Flow::Paused);
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let Some(given) = self.ownership.release(partitions) else { return Ok(()) };
        if self.membership().is_none() {
            self.ownership.end_membership();
        }
        give_up(&self.consumer, &given)
            .map_err(|error| log_error(&format!("handing over partitions of group {}", self.group), &error, None))
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        committed_offsets(&self.consumer, &self.group, partitions, clock::instant() + STABLE_OFFSETS_WAIT)
    }

    fn fence(&mut self) -> Result<Fence, LogError> {
        // Read afresh each time: a rebalance can raise the generation while the partitions stay. Without a
        // generation or a member id a classic coordinator would take the commit unfenced.
        let Some(membership) = self.membership() else {
            return Err(LogError::Fenced(format!("this process is no member of group {}", self.group)));
        };
        if !self.ownership.check(&membership.member_id()) {
            return Err(LogError::Fenced(format!("this process was out of group {} in between", self.group)));
        }
        Ok(Fence { group: self.group.clone(), generation: membership.generation(), token: Arc::new(membership) })
    }

    /// librdkafka leaves out the farewell of a static member when it closes, and the group would wait for
    /// the session to end; unsubscribing first sends it, for static members too.
    fn leave(mut self: Box<Self>) -> Result<(), LogError> {
        self.close_handover();
        self.consumer.unsubscribe();
        let deadline = clock::instant() + LEAVE_WAIT;
        while clock::instant() < deadline {
            drop(self.consumer.poll(LEAVE_STEP));
            if self.membership().is_none() {
                return Ok(());
            }
        }
        Err(LogError::Unavailable(format!(
            "group {} was not left within {LEAVE_WAIT:?}; its coordinator gives the partitions to others when the \
             session times out",
            self.group
        )))
    }
}

impl KafkaMember {
    /// From here on the group gets what it asks for at once.
    fn close_handover(&mut self) {
        self.consumer.context().close();
        let mut revoked = Vec::new();
        revoked.extend(self.ownership.end_handover());
        for event in self.consumer.context().rebalances().drain(..) {
            if let Rebalance::Revoked { partitions, .. } = event {
                revoked.push(partitions);
            }
        }
        for partitions in revoked {
            if let Err(error) = give_up(&self.consumer, &partitions) {
                tracing::warn!(group = self.group, %error, "giving up partitions while leaving");
            }
        }
    }
}

impl Drop for KafkaMember {
    fn drop(&mut self) {
        // rust-rdkafka closes the consumer by polling it until the group is left, and that waits for ever
        // for a revoke that nobody answers.
        self.close_handover();
    }
}
