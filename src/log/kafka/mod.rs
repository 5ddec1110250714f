//! Apache Kafka, through librdkafka.
//!
//! What it promises: the port's promises, on any cluster of Kafka 2.5 or later, for which it asks the broker
//! and never its own memory: offsets are committed with a fresh generation, a partition is given up when
//! the group says so and not before `Member::release`, ends are asked for anew.
//!
//! What it never does: retry a transaction, skip a record, create a topic by itself, or wait without bound
//! for a broker that is away.
//!
//! * `settings` what can be set; `config` the configurations of the clients
//! * `inquiry` questions about offsets; `topics` about topics; `cluster` about the cluster itself
//! * `member` the group member; `rebalance` what the group says to it; `ownership` which partitions it holds
//! * `writer` transactions, on a producer that is `served` by a thread; `sender` single records
//! * `reader` reading outside of groups
//! * `record`, `error`, `context` translation of records, failures and log lines
//! * `native` the calls into librdkafka that rust-rdkafka lacks

mod cluster;
mod config;
mod context;
mod error;
#[cfg(test)]
mod faults;
mod inquiry;
mod member;
mod native;
mod ownership;
mod reader;
mod rebalance;
mod record;
mod sender;
mod served;
mod settings;
mod topics;
mod writer;

use std::sync::Arc;

use super::{
    Bounds, CommittedOffset, Group, Isolation, Log, LogError, Member, Reader, Sender, Topic, TopicPartition, TopicSpec,
    Writer,
};
use crate::clock::Timestamp;
use crate::position::Offset;

use config::Configs;
use inquiry::Inquiry;
use topics::Topics;

pub use cluster::ClusterFacts;
pub use settings::KafkaSettings;
pub(crate) use settings::OWNED_PROPERTIES;

/// A Kafka cluster.
pub struct KafkaLog {
    configs: Configs,
    cluster: String,
    inquiry: Arc<Inquiry>,
    topics: Topics,
}

impl KafkaLog {
    /// Connects to a cluster, and waits until it has said which one it is.
    pub fn connect(settings: KafkaSettings) -> Result<Self, LogError> {
        let configs = Configs::new(settings)?;
        let inquiry = Arc::new(Inquiry::new(&configs)?);
        let cluster = inquiry.cluster()?;
        let topics = Topics::new(&configs)?;
        Ok(Self { configs, cluster, inquiry, topics })
    }

    /// What the cluster says of itself.
    pub fn facts(&self) -> Result<ClusterFacts, LogError> {
        cluster::facts(&self.cluster, &self.configs, &self.inquiry, &self.topics)
    }
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog")
            .field("settings", self.configs.settings())
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl Log for KafkaLog {
    fn cluster(&self) -> Result<String, LogError> {
        Ok(self.cluster.clone())
    }

    fn describe(&self, topics: &[Topic]) -> Result<Vec<Option<TopicSpec>>, LogError> {
        self.topics.describe(topics, &self.inquiry)
    }

    fn create(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.topics.create(topics, &self.inquiry)
    }

    fn bounds(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<Bounds>, LogError> {
        self.inquiry.bounds(partitions, isolation)
    }

    fn offset_at(&self, partition: &TopicPartition, time: Timestamp) -> Result<Option<Offset>, LogError> {
        self.inquiry.offset_at(partition, time)
    }

    fn committed(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        self.inquiry.committed(group, partitions)
    }

    fn set_committed(&self, group: &str, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), LogError> {
        self.inquiry.set_committed(group, offsets)
    }

    fn join(&self, group: &Group) -> Result<Box<dyn Member>, LogError> {
        Ok(Box::new(member::KafkaMember::join(&self.configs, group, Arc::clone(&self.inquiry))?))
    }

    fn writer(&self, id: &str) -> Result<Box<dyn Writer>, LogError> {
        Ok(Box::new(writer::KafkaWriter::open(&self.configs, id)?))
    }

    fn sender(&self) -> Result<Arc<dyn Sender>, LogError> {
        Ok(Arc::new(sender::KafkaSender::open(&self.configs)?))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(reader::KafkaReader::new(&self.configs, Arc::clone(&self.inquiry))))
    }
}
