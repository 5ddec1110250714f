//! What the group says to a member: which partitions it gets, and which it has to give up.
//!
//! The callbacks run inside `poll`; here they become events for the member to pass on. A revoke stays
//! unanswered until the member says so: librdkafka keeps its group in the state *waiting for unassign*
//! until then, however long after the callback, and goes on with heartbeats meanwhile.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use super::context::{Voice, speaks};
use crate::log::TopicPartition;
use crate::position::Partition;

/// What the group said, in the order in which it said it.
#[derive(Debug)]
pub(super) enum Rebalance {
    Assigned(Vec<TopicPartition>),
    Revoked { partitions: Vec<TopicPartition>, is_lost: bool },
    Failed(String),
}

#[derive(Default)]
pub(super) struct MemberContext {
    pub(super) voice: Voice,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// Nobody is there to release partitions any more.
    is_closing: AtomicBool,
}

speaks!(MemberContext);

impl MemberContext {
    /// What was said and not yet passed on.
    pub(super) fn rebalances(&self) -> MutexGuard<'_, VecDeque<Rebalance>> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on the group gets at once what it asks for.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }
}

impl ConsumerContext for MemberContext {
    /// In place of the default, which ignores the errors of incremental assignment and gives revoked
    /// partitions up at once.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = partitions_of(list);
        let event = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => match acknowledge_assign(consumer) {
                Ok(()) => Rebalance::Assigned(partitions),
                Err(error) => Rebalance::Failed(format!("taking over partitions: {error}")),
            },
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                if self.is_closing.load(Ordering::Relaxed) {
                    if let Err(error) = give_up(consumer, &partitions) {
                        tracing::warn!(%error, "giving up partitions while leaving");
                    }
                    return;
                }
                Rebalance::Revoked { partitions, is_lost: consumer.assignment_lost() }
            }
            other => Rebalance::Failed(format!("the group's rebalance failed: {}", Code::from(other))),
        };
        self.rebalances().push_back(event);
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let of =
        |(topic, partition): (String, i32)| TopicPartition { topic: topic.into(), partition: Partition(partition) };
    let mut partitions: Vec<_> = list.to_topic_map().into_keys().map(of).collect();
    partitions.sort();
    partitions
}

/// Accepts an assignment without starting any partition of it.
fn acknowledge_assign(consumer: &BaseConsumer<MemberContext>) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(&TopicPartitionList::new()),
        RebalanceProtocol::Eager | RebalanceProtocol::None => {
            Err(KafkaError::Subscription("the group does not hand over partitions one by one".to_owned()))
        }
    }
}

/// Gives up those of the partitions that were started; librdkafka takes it as the answer to its revoke.
pub(super) fn give_up(consumer: &BaseConsumer<MemberContext>, partitions: &[TopicPartition]) -> KafkaResult<()> {
    let assigned = consumer.assignment()?.to_topic_map();
    let mut started = TopicPartitionList::new();
    for partition in partitions {
        if assigned.contains_key(&(partition.topic.as_str().to_owned(), partition.partition.0)) {
            started.add_partition(partition.topic.as_str(), partition.partition.0);
        }
    }
    // A pause outlives an assignment: undone here, or the partition would stay silent when it comes back.
    consumer.resume(&started)?;
    consumer.incremental_unassign(&started)
}
