//! Questions to the cluster about offsets: where partitions begin and end, and where groups stand.
//!
//! Every answer is asked for anew, and every question is bounded by the request timeout. An outage is
//! waited out within that bound, then reported with what was asked.

use std::thread::sleep;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::{Offset as NativeOffset, TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::config::Configs;
use super::context::Plain;
use super::error::{code_of, is_missing, is_temporary, log_error};
use super::record::list;
use crate::clock::{self, Timestamp};
use crate::log::{Bounds, CommittedOffset, Isolation, LogError, Topic, TopicPartition};
use crate::position::{Offset, Partition};

const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// A transaction that changes a group's offsets is open for its timeout at most, and the broker takes up
/// to ten seconds more to notice.
const STABLE_OFFSETS_WAIT: Duration = Duration::from_secs(30);

/// Asks about offsets.
pub(super) struct Inquiry {
    configs: Configs,
    /// The isolation level of a question is the client's: the high watermark takes one of its own.
    committed: BaseConsumer<Plain>,
    uncommitted: BaseConsumer<Plain>,
}

impl Inquiry {
    pub(super) fn new(configs: &Configs) -> Result<Self, LogError> {
        let open = |isolation| {
            let created = configs.inquiry(isolation).create_with_context(Plain::default());
            created.map_err(|error| log_error("making a Kafka client", &error, None))
        };
        let committed = open("read_committed")?;
        let uncommitted = open("read_uncommitted")?;
        Ok(Self { configs: configs.clone(), committed, uncommitted })
    }

    pub(super) fn cluster(&self) -> Result<String, LogError> {
        let wait = self.configs.settings().answer_timeout();
        self.committed.client().fetch_cluster_id(wait).ok_or_else(|| {
            serve(&self.committed);
            let last = self.committed.context().voice.last_error().unwrap_or_default();
            LogError::Unavailable(format!(
                "no Kafka cluster answered at {} within {wait:?}; {last}",
                self.configs.settings().bootstrap_servers
            ))
        })
    }

    /// The brokers there are: their ids and addresses.
    pub(super) fn brokers(&self) -> Result<Vec<(i32, String)>, LogError> {
        let metadata = self.ask(&self.committed, "asking about the cluster's brokers", |wait| {
            self.committed.fetch_metadata(None, wait)
        })?;
        let broker =
            |broker: &rdkafka::metadata::MetadataBroker| (broker.id(), format!("{}:{}", broker.host(), broker.port()));
        Ok(metadata.brokers().iter().map(broker).collect())
    }

    /// What the cluster says about one topic.
    pub(super) fn metadata(&self, topic: &Topic) -> Result<Metadata, LogError> {
        let doing = format!("asking about topic {topic}");
        list([&topic.partition(Partition(0))])?;
        self.ask(&self.committed, &doing, |wait| self.committed.fetch_metadata(Some(topic.as_str()), wait))
    }

    pub(super) fn bounds(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<Bounds>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let client = match isolation {
            Isolation::Committed => &self.committed,
            Isolation::Uncommitted => &self.uncommitted,
        };
        let low = self.offsets(client, partitions, NativeOffset::Beginning)?;
        let end = self.offsets(client, partitions, NativeOffset::End)?;
        let of = |offsets: &HashMap<_, _>, partition| match offsets.get(partition) {
            Some(Some(offset)) => Ok(*offset),
            _ => Err(LogError::Unavailable(format!("{partition}: the cluster did not say where it begins and ends"))),
        };
        let bounds = |partition| Ok(Bounds { low: of(&low, partition)?, end: of(&end, partition)? });
        partitions.iter().map(bounds).collect()
    }

    pub(super) fn offset_at(&self, partition: &TopicPartition, time: Timestamp) -> Result<Option<Offset>, LogError> {
        // Kafka counts milliseconds; rounding up keeps "at or after". Before 1970 there is nothing.
        let millis = time.0.max(0).saturating_add(999).div_euclid(1000);
        let one = std::slice::from_ref(partition);
        let found = self.offsets(&self.committed, one, NativeOffset::Offset(millis))?;
        Ok(found.get(partition).copied().flatten())
    }

    /// One question for all partitions: rust-rdkafka's `fetch_watermarks` takes two for each. `which` is
    /// the beginning, the end, or a time in milliseconds.
    fn offsets(
        &self,
        client: &BaseConsumer<Plain>,
        partitions: &[TopicPartition],
        which: NativeOffset,
    ) -> Result<HashMap<TopicPartition, Option<Offset>>, LogError> {
        let doing = match partitions {
            [one] => format!("asking for offsets of {one}"),
            many => format!("asking for offsets of {} and {} more", many[0], many.len() - 1),
        };
        let mut asked = list(partitions)?;
        asked.set_all_offsets(which).map_err(|error| log_error(&doing, &error, None))?;
        let answered = self.ask(client, &doing, |wait| {
            let answer = client.offsets_for_times(asked.clone(), wait)?;
            answer.elements().iter().try_for_each(TopicPartitionListElem::error)?;
            Ok(answer)
        });
        match answered {
            Ok(answer) => Ok(by_partition(&answer, partitions)),
            Err(LogError::Missing(_)) => Err(self.name_missing(partitions)),
            Err(error) => Err(error),
        }
    }

    /// librdkafka does not say which of several partitions is not there.
    fn name_missing(&self, partitions: &[TopicPartition]) -> LogError {
        let is_missing = |partition: &&TopicPartition| {
            self.metadata(&partition.topic).is_ok_and(|metadata| {
                let topic = metadata.topics().iter().find(|it| it.name() == partition.topic.as_str());
                !topic.is_some_and(|it| it.partitions().iter().any(|found| found.id() == partition.partition.0))
            })
        };
        let missing = partitions.iter().find(is_missing).unwrap_or(&partitions[0]);
        LogError::Missing(missing.to_string())
    }

    /// Asks until there is an answer, a lasting error, or no time left.
    fn ask<T>(
        &self,
        client: &BaseConsumer<Plain>,
        doing: &str,
        question: impl Fn(Duration) -> Result<T, KafkaError>,
    ) -> Result<T, LogError> {
        let deadline = clock::instant() + self.configs.settings().answer_timeout();
        loop {
            let remaining = deadline.saturating_duration_since(clock::instant());
            let answer = question(remaining);
            serve(client);
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match code_of(&error) {
                Some(code) if is_missing(code) => return Err(LogError::Missing(doing.to_owned())),
                Some(code) if is_temporary(code) && remaining > RETRY_PAUSE => sleep(RETRY_PAUSE),
                _ => return Err(log_error(doing, &error, Some(&client.context().voice))),
            }
        }
    }

    pub(super) fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let outsider = self.outsider(group)?;
        committed_offsets(&outsider, group, partitions, clock::instant() + STABLE_OFFSETS_WAIT)
    }

    /// The admin client can neither read nor set a group's offsets: a consumer of that group that does not
    /// subscribe can, and the broker takes its commit only while the group has no members.
    pub(super) fn set_committed(
        &self,
        group: &str,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), LogError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let doing = format!("setting the offsets of group {group}");
        let outsider = self.outsider(group)?;
        // A commit waits for its coordinator far longer than one wants to: look for it first.
        let partitions: Vec<_> = offsets.iter().map(|(partition, _)| partition.clone()).collect();
        committed_offsets(&outsider, group, &partitions, clock::instant() + self.configs.settings().answer_timeout())?;
        let list = offset_list(offsets)?;
        let deadline = clock::instant() + self.configs.settings().answer_timeout();
        loop {
            let Err(error) = outsider.commit(&list, CommitMode::Sync) else { return Ok(()) };
            let has_time = clock::instant() + RETRY_PAUSE < deadline;
            match code_of(&error) {
                Some(Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress) => {
                    return Err(LogError::Fenced(format!("{doing}: it has members; stop them first ({error})")));
                }
                Some(code) if is_temporary(code) && has_time => sleep(RETRY_PAUSE),
                _ => return Err(log_error(&doing, &error, Some(&outsider.context().voice))),
            }
        }
    }

    fn outsider(&self, group: &str) -> Result<BaseConsumer<Plain>, LogError> {
        let created = self.configs.outsider(group).create_with_context(Plain::default());
        created.map_err(|error| log_error(&format!("making a Kafka client for group {group}"), &error, None))
    }
}

/// Lets a client that is polled for nothing else say what it has to say.
fn serve(client: &BaseConsumer<Plain>) {
    drop(client.poll(Duration::ZERO));
}

/// A group's committed offsets, asked for by one of its consumers, which must be read-committed.
pub(super) fn committed_offsets<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    partitions: &[TopicPartition],
    deadline: Instant,
) -> Result<Vec<Option<CommittedOffset>>, LogError> {
    let doing = format!("asking for the offsets of group {group}");
    loop {
        let remaining = deadline.saturating_duration_since(clock::instant());
        let answer = consumer.committed_offsets(list(partitions)?, remaining).and_then(|answer| {
            // While a transaction is open, a partition comes back as "unstable" *and* with offset -1, the
            // call as a whole as done: without this check it reads as "nothing committed".
            answer.elements().iter().try_for_each(TopicPartitionListElem::error)?;
            Ok(answer)
        });
        match answer {
            Ok(answer) => return Ok(committed_in(&answer, partitions)),
            Err(error) if code_of(&error).is_some_and(is_temporary) && remaining > RETRY_PAUSE => sleep(RETRY_PAUSE),
            // The broker answers so as well while a transaction that wrote to them is open.
            Err(error) if matches!(code_of(&error), Some(Code::OperationTimedOut | Code::UnstableOffsetCommit)) => {
                let doing = format!(
                    "{doing}, which an open transaction holds if the cluster answers otherwise: if that stays, see \
                     `kafka-transactions.sh find-hanging --topic __consumer_offsets`"
                );
                return Err(log_error(&doing, &error, None));
            }
            Err(error) => return Err(log_error(&doing, &error, None)),
        }
    }
}

fn committed_in(answer: &TopicPartitionList, partitions: &[TopicPartition]) -> Vec<Option<CommittedOffset>> {
    let elements = answer.elements();
    let of = |partition: &TopicPartition| {
        let element = elements
            .iter()
            .find(|it| it.topic() == partition.topic.as_str() && it.partition() == partition.partition.0)?;
        match element.offset() {
            NativeOffset::Offset(offset) => {
                Some(CommittedOffset { offset: Offset(offset), metadata: element.metadata().to_owned() })
            }
            _ => None,
        }
    };
    partitions.iter().map(of).collect()
}

fn by_partition(answer: &TopicPartitionList, partitions: &[TopicPartition]) -> HashMap<TopicPartition, Option<Offset>> {
    let mut offsets = HashMap::with_capacity(partitions.len());
    let elements = answer.elements();
    let found: HashMap<_, _> =
        elements.iter().map(|element| ((element.topic(), element.partition()), element.offset())).collect();
    for partition in partitions {
        let offset = match found.get(&(partition.topic.as_str(), partition.partition.0)) {
            Some(NativeOffset::Offset(offset)) => Some(Offset(*offset)),
            _ => None,
        };
        offsets.insert(partition.clone(), offset);
    }
    offsets
}

/// Offsets to be committed, for librdkafka.
pub(super) fn offset_list(offsets: &[(TopicPartition, CommittedOffset)]) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, committed) in offsets {
        super::record::positions(&[(partition.clone(), committed.offset)])?;
        let mut element = list.add_partition(partition.topic.as_str(), partition.partition.0);
        element
            .set_offset(NativeOffset::Offset(committed.offset.0))
            .map_err(|error| log_error(&format!("{partition}: offset {}", committed.offset), &error, None))?;
        element.set_metadata(&committed.metadata);
    }
    Ok(list)
}
