//! The topics of an application, and which partition a key belongs to.
//!
//! All topics of one aggregate have one partition count and one partitioner, so that partition 3 of
//! its commands, events, snapshots, outcomes and parked commands speak of the same instances. The
//! count is fixed for the application's life.

use std::time::Duration;

use crate::log::{Retention, TimeKind, Topic, TopicSpec};
use crate::position::Partition;

/// The partition of a key: murmur2 as in Kafka's Java client, computed here so that it never depends
/// on a client's default.
///
/// Source: `org.apache.kafka.common.utils.Utils.murmur2` and `BuiltInPartitioner.partitionForKey`.
///
/// # Panics
/// If `partitions` is not positive.
#[must_use]
pub fn partition_of(key: &[u8], partitions: i32) -> Partition {
    assert!(partitions > 0, "a topic has at least one partition");
    let positive = murmur2(key) & 0x7fff_ffff;
    let partitions = partitions.unsigned_abs();
    Partition((positive % partitions).cast_signed())
}

fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    #[expect(clippy::cast_possible_truncation, reason = "the algorithm mixes in the length modulo 2^32")]
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The shape of an application's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The application's name, the first part of every topic's.
    pub app: String,
    /// Partitions of each aggregate's topics.
    pub partitions: i32,
    /// Partitions of the replies topic: one for each gateway or client that waits at the same time.
    pub reply_partitions: i32,
    /// How long commands and outcomes are kept.
    pub command_retention: Duration,
    /// How long replies are kept.
    pub reply_retention: Duration,
}

/// The topics of one aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateTopics {
    /// Commands, in the order in which they are judged.
    pub commands: Topic,
    /// Events, for ever.
    pub events: Topic,
    /// Snapshots and checkpoints, compacted.
    pub snapshots: Topic,
    /// What became of each command.
    pub outcomes: Topic,
    /// Commands of parked aggregates, for ever.
    pub parked: Topic,
}

/// The topics of one saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SagaTopics {
    /// What its instances are to take in, in this order.
    pub inbox: Topic,
    /// Its instances, compacted.
    pub state: Topic,
}

impl Topology {
    /// The topics of an aggregate.
    #[must_use]
    pub fn aggregate(&self, aggregate: &str) -> AggregateTopics {
        let topic = |kind: &str| Topic::from(format!("{}.{aggregate}.{kind}", self.app));
        AggregateTopics {
            commands: topic("commands"),
            events: topic("events"),
            snapshots: topic("snapshots"),
            outcomes: topic("outcomes"),
            parked: topic("parked"),
        }
    }

    /// The topics of a saga.
    #[must_use]
    pub fn saga(&self, saga: &str) -> SagaTopics {
        let topic = |kind: &str| Topic::from(format!("{}.{saga}.{kind}", self.app));
        SagaTopics { inbox: topic("inbox"), state: topic("state") }
    }

    /// Where outcomes go to those who wait for them.
    #[must_use]
    pub fn replies(&self) -> Topic {
        Topic::from(format!("{}.replies", self.app))
    }

    /// Where records go that cannot be understood.
    #[must_use]
    pub fn dead_letters(&self) -> Topic {
        Topic::from(format!("{}.dead-letters", self.app))
    }

    /// Every topic that the application with these aggregates and sagas needs.
    #[must_use]
    pub fn specs(&self, aggregates: &[&str], sagas: &[&str]) -> Vec<TopicSpec> {
        let mut specs = Vec::new();
        for aggregate in aggregates {
            let topics = self.aggregate(aggregate);
            let mut add = |topic, retention, time| {
                specs.push(TopicSpec { topic, partitions: self.partitions, retention, time });
            };
            add(topics.commands, Retention::For(self.command_retention), TimeKind::Append);
            add(topics.events, Retention::Forever, TimeKind::Create);
            add(topics.snapshots, Retention::Compacted, TimeKind::Create);
            add(topics.outcomes, Retention::For(self.command_retention), TimeKind::Create);
            add(topics.parked, Retention::Forever, TimeKind::Create);
        }
        for saga in sagas {
            let SagaTopics { inbox, state } = self.saga(saga);
            let mut add = |topic, retention, time| {
                specs.push(TopicSpec { topic, partitions: self.partitions, retention, time });
            };
            add(inbox, Retention::For(self.command_retention), TimeKind::Append);
            add(state, Retention::Compacted, TimeKind::Create);
        }
        specs.push(TopicSpec {
            topic: self.replies(),
            partitions: self.reply_partitions,
            retention: Retention::For(self.reply_retention),
            time: TimeKind::Create,
        });
        specs.push(TopicSpec {
            topic: self.dead_letters(),
            partitions: self.partitions,
            retention: Retention::Forever,
            time: TimeKind::Create,
        });
        specs
    }

    /// The consumer group that judges an aggregate's commands.
    #[must_use]
    pub fn command_group(&self, aggregate: &str) -> String {
        format!("{}.{aggregate}.commands", self.app)
    }

    /// The consumer group that gives an aggregate's events to a saga's instances.
    #[must_use]
    pub fn router_group(&self, saga: &str, aggregate: &str) -> String {
        format!("{}.{saga}.router.{aggregate}", self.app)
    }

    /// The consumer group that runs a saga's instances.
    #[must_use]
    pub fn saga_group(&self, saga: &str) -> String {
        format!("{}.{saga}.inbox", self.app)
    }

    /// The consumer group that shares the partitions of the replies out among gateways.
    #[must_use]
    pub fn replies_group(&self) -> String {
        format!("{}.replies", self.app)
    }

    /// The consumer group that shares out a projection's partitions.
    #[must_use]
    pub fn projection_group(&self, projection: &str) -> String {
        format!("{}.projection.{projection}", self.app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the Java client's own test, `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_are_those_of_the_java_client() {
        let cases: [(&str, i32); 5] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn every_key_has_one_of_the_partitions() {
        for number in 0..1000 {
            let partition = partition_of(format!("{number:06}").as_bytes(), 8);
            assert!((0..8).contains(&partition.0));
        }
    }
}
