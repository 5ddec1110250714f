//! Opening a log: reads the broker's state back from storage. Transactions that were open stay open,
//! and their time begins anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::assignment::MemberId;
use super::broker::{Broker, TopicState};
use super::chunk::{self, Chunk, Producer};
use super::keys::{self, StoredOffset, StoredPartition, StoredTopic, StoredWriter};
use super::partition::PartitionLog;
use super::settings::Settings;
use super::storage::{Batch, Space, Storage};
use super::writers::{Epoch, Span, Transaction, WriterState};
use crate::clock::{self, Clock};
use crate::log::{LogError, TopicPartition};
use crate::position::Offset;

/// The broker as it was when the log was last written to.
pub(super) fn recover(storage: Arc<Storage>, settings: Settings, clock: Clock) -> Result<Broker, LogError> {
    let mut broker = Broker {
        cluster: cluster(&storage)?,
        incarnation: clock::new_id(),
        storage,
        settings,
        clock,
        topics: BTreeMap::new(),
        next_topic: 0,
        writers: BTreeMap::new(),
        writer_ids: HashMap::new(),
        groups: BTreeMap::new(),
        next_member: MemberId::default(),
        pending: Batch::default(),
        unsaved: BTreeSet::new(),
        next_expiry: None,
        failed: None,
    };
    for stored in values::<StoredTopic>(&broker.storage, keys::TOPICS)? {
        broker.next_topic = broker.next_topic.max(stored.number + 1);
        let mut topic = TopicState::new(stored.number, stored.spec());
        for partition in &mut topic.partitions {
            recover_partition(&broker.storage, partition)?;
        }
        broker.topics.insert(topic.spec.topic.clone(), topic);
    }
    for stored in values::<StoredOffset>(&broker.storage, keys::OFFSETS)? {
        let (group, partition, committed) = stored.into_parts();
        broker.groups.entry(group).or_default().offsets.insert(partition, committed);
    }
    for stored in values::<StoredWriter>(&broker.storage, keys::WRITERS)? {
        broker.recover_writer(stored)?;
    }
    broker.next_expiry = broker.next_transaction_expiry();
    Ok(broker)
}

fn cluster(storage: &Storage) -> Result<String, LogError> {
    if let Some((_, value)) = storage.floor(Space::Meta, keys::CLUSTER, keys::CLUSTER)? {
        return keys::decode(&value);
    }
    let cluster = clock::new_id().to_string();
    let mut batch = Batch::default();
    batch.put(Space::Meta, keys::CLUSTER, keys::encode(&cluster)?);
    storage.write(batch)?;
    Ok(cluster)
}

/// All values whose keys begin with `tag`.
fn values<T: serde::de::DeserializeOwned>(storage: &Storage, tag: u8) -> Result<Vec<T>, LogError> {
    let mut values = Vec::new();
    storage.scan(Space::Meta, &[tag], &[tag + 1], &mut |_, value| {
        values.push(keys::decode(&value)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(values)
}

fn recover_partition(storage: &Storage, log: &mut PartitionLog) -> Result<(), LogError> {
    let key = keys::partition(log.prefix);
    if let Some((_, value)) = storage.floor(Space::Meta, &key, &key)? {
        let stored: StoredPartition = keys::decode(&value)?;
        (log.low, log.end, log.newest) = (stored.low, stored.end, stored.newest);
        (log.cleaned, log.kept) = (stored.cleaned, stored.kept);
    }
    if let Some((key, value)) = last_chunk(storage, log)? {
        let chunk = Chunk::decode(chunk::base_of(&key)?, value)?;
        log.end = log.end.max(chunk.next);
        log.newest = log.newest.max(chunk.newest_before).max(chunk.newest);
    }
    let (from, until) = (keys::aborted(log.prefix, Offset::ZERO), keys::aborted(log.prefix, Offset(i64::MAX)));
    storage.scan(Space::Meta, &from, &until, &mut |key, value| {
        log.note_aborted(keys::read_aborted(chunk::base_of(key)?, &value)?);
        Ok(ControlFlow::Continue(()))
    })
}

fn last_chunk(storage: &Storage, log: &PartitionLog) -> Result<Option<(Vec<u8>, Bytes)>, LogError> {
    storage.floor(Space::Records, &log.prefix.key(Offset::ZERO), &log.prefix.key(Offset(i64::MAX)))
}

impl Broker {
    fn recover_writer(&mut self, stored: StoredWriter) -> Result<(), LogError> {
        let producer = Producer(stored.producer);
        let mut transaction = Transaction::new(clock::instant());
        for (topic, partition, first) in stored.open {
            let partition = TopicPartition { topic: topic.into(), partition };
            let log = self.partition_mut(&partition)?;
            // The records themselves may not have reached storage any more.
            let first = first.min(log.end);
            log.begin(producer, first);
            transaction.spans.insert(partition, Span { first, next: first });
        }
        for offset in stored.offsets {
            let (group, partition, committed) = offset.into_parts();
            transaction.offsets.insert((group, partition), committed);
        }
        let is_open = !transaction.spans.is_empty() || !transaction.offsets.is_empty();
        let state = WriterState {
            id: stored.id.clone(),
            epoch: Epoch(stored.epoch),
            open: is_open.then_some(transaction),
            stored_open: is_open,
        };
        self.writers.insert(producer, state);
        self.writer_ids.insert(stored.id, producer);
        Ok(())
    }
}
