//! The broker: everything of the embedded log that lives under its one lock. Topics with their
//! partitions, writers with their transactions, groups. The other files of this room each add the
//! steps of their concept to it.
//!
//! A step that must be atomic is one [`Batch`]. What the log tells anybody about (a delivered record, a
//! commit, a fence) has been [written](Broker::write) before; the rest (records of open transactions)
//! waits in `pending`, bounded, for the next batch, and always goes before it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::assignment::MemberId;
use super::chunk::{Parts, Prefix, Producer};
use super::group::Membership;
use super::keys::{self, StoredTopic};
use super::partition::PartitionLog;
use super::settings::Settings;
use super::storage::{Batch, Space, Storage};
use super::writers::WriterState;
use crate::clock::{Clock, Timestamp};
use crate::log::{CommittedOffset, LogError, Topic, TopicPartition, TopicSpec};
use crate::position::Offset;

/// How many bytes of records of open transactions may wait in memory for the next write.
const PENDING_BYTES: usize = 1024 * 1024;
const MAX_PARTITIONS: i32 = 10_000;

/// A topic with its partitions.
pub(super) struct TopicState {
    pub(super) spec: TopicSpec,
    pub(super) partitions: Vec<PartitionLog>,
}

/// A consumer group: who is in it, and how far it has come.
#[derive(Default)]
pub(super) struct GroupState {
    pub(super) membership: Membership,
    pub(super) offsets: HashMap<TopicPartition, CommittedOffset>,
}

/// The state under the lock.
pub(super) struct Broker {
    pub(super) storage: Arc<Storage>,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) cluster: String,
    /// New each time the log is opened.
    pub(super) incarnation: Uuid,
    pub(super) topics: BTreeMap<Topic, TopicState>,
    pub(super) next_topic: u32,
    pub(super) writers: BTreeMap<Producer, WriterState>,
    pub(super) writer_ids: HashMap<String, Producer>,
    pub(super) groups: BTreeMap<String, GroupState>,
    pub(super) next_member: MemberId,
    /// Closed chunks on their way to storage.
    pub(super) pending: Batch,
    /// Writers whose open transaction touches more than storage knows.
    pub(super) unsaved: BTreeSet<Producer>,
    /// Nothing is overdue before this.
    pub(super) next_expiry: Option<Instant>,
    /// Why nothing goes any more: a write failed, and memory may be ahead of storage.
    pub(super) failed: Option<String>,
}

impl Broker {
    pub(super) fn topic(&self, topic: &Topic) -> Result<&TopicState, LogError> {
        self.topics.get(topic).ok_or_else(|| LogError::Missing(format!("topic {topic}")))
    }

    pub(super) fn partition(&self, partition: &TopicPartition) -> Result<&PartitionLog, LogError> {
        usize::try_from(partition.partition.0)
            .ok()
            .and_then(|index| self.topics.get(&partition.topic)?.partitions.get(index))
            .ok_or_else(|| missing(partition))
    }

    pub(super) fn partition_mut(&mut self, partition: &TopicPartition) -> Result<&mut PartitionLog, LogError> {
        usize::try_from(partition.partition.0)
            .ok()
            .and_then(|index| self.topics.get_mut(&partition.topic)?.partitions.get_mut(index))
            .ok_or_else(|| missing(partition))
    }

    /// Creates what does not exist yet.
    pub(super) fn create(&mut self, topics: &[TopicSpec]) -> Result<(), LogError> {
        let mut batch = Batch::default();
        let mut created = Vec::new();
        for spec in topics {
            let known = self.topics.contains_key(&spec.topic)
                || created.iter().any(|it: &TopicState| it.spec.topic == spec.topic);
            if known {
                continue;
            }
            if !(1..=MAX_PARTITIONS).contains(&spec.partitions) {
                return Err(LogError::Fatal(format!(
                    "topic {} cannot have {} partitions; choose 1 to {MAX_PARTITIONS}",
                    spec.topic, spec.partitions
                )));
            }
            let number = self.next_topic + u32::try_from(created.len()).unwrap_or(u32::MAX);
            batch.put(Space::Meta, keys::topic(spec.topic.as_str()), keys::encode(&StoredTopic::new(number, spec))?);
            created.push(TopicState::new(number, spec.clone()));
        }
        self.write(batch)?;
        for topic in created {
            self.next_topic += 1;
            self.topics.insert(topic.spec.topic.clone(), topic);
        }
        Ok(())
    }

    /// Appends a record to a partition, in memory; [`Self::write`] or the next one makes it last.
    pub(super) fn append(
        &mut self,
        to: &TopicPartition,
        producer: Producer,
        record: Parts<'_>,
    ) -> Result<Offset, LogError> {
        let size = record.bytes();
        if size > self.settings.max_record_bytes {
            return Err(LogError::TooLarge(format!(
                "{to}: a record of {size} bytes is larger than the {} that the log takes",
                self.settings.max_record_bytes
            )));
        }
        let time = self.now();
        let mut pending = std::mem::take(&mut self.pending);
        let offset = self.partition_mut(to).map(|it| it.append(producer, time, record, &mut pending));
        self.pending = pending;
        let offset = offset?;
        if self.pending.bytes() > PENDING_BYTES {
            self.write(Batch::default())?;
        }
        Ok(offset)
    }

    /// The present as records are stamped with: milliseconds, as Kafka counts.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now().as_millis())
    }

    /// Writes what is pending, then `batch`, as one. After a failure the log answers nothing any more,
    /// as memory may be ahead of storage.
    pub(super) fn write(&mut self, batch: Batch) -> Result<(), LogError> {
        if let Some(reason) = &self.failed {
            return Err(LogError::Fatal(reason.clone()));
        }
        let mut all = std::mem::take(&mut self.pending);
        for producer in std::mem::take(&mut self.unsaved) {
            self.save_writer(producer, &mut all)?;
        }
        all.extend(batch);
        if all.is_empty() {
            return Ok(());
        }
        self.storage.write(all).inspect_err(|error| self.failed = Some(error.to_string()))
    }

    /// Ends the transactions and memberships that are overdue; whether there were any.
    pub(super) fn expire(&mut self, now: Instant) -> Result<bool, LogError> {
        if self.next_expiry.is_none_or(|at| now < at) {
            return Ok(false);
        }
        let mut changed = self.expire_transactions(now)?;
        let session = self.settings.session_timeout;
        for group in self.groups.values_mut() {
            changed |= group.membership.expire(now, session);
        }
        let sessions = self.groups.values().filter_map(|it| it.membership.next_expiry(session)).min();
        self.next_expiry = sessions.into_iter().chain(self.next_transaction_expiry()).min();
        Ok(changed)
    }

    /// Remembers that something may be overdue at `at`.
    pub(super) fn expect_expiry(&mut self, at: Instant) {
        self.next_expiry = Some(self.next_expiry.map_or(at, |it| it.min(at)));
    }
}

impl TopicState {
    pub(super) fn new(number: u32, spec: TopicSpec) -> Self {
        let count = u32::try_from(spec.partitions).unwrap_or(0);
        let partitions = (0..count).map(|it| PartitionLog::new(Prefix::new(number, it))).collect();
        Self { spec, partitions }
    }
}

fn missing(partition: &TopicPartition) -> LogError {
    LogError::Missing(format!("partition {partition}"))
}
