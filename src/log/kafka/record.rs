//! Records between the port and librdkafka, and where each partition has got to.

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use rdkafka::topic_partition_list::{Offset as NativeOffset, TopicPartitionList};

use crate::clock::Timestamp;
use crate::log::{LogError, Record, TopicPartition};
use crate::position::Offset;

const TRACEPARENT: &str = "traceparent";
/// What Kafka gives for a record without a timestamp.
const NO_TIMESTAMP_MS: i64 = -1;

/// Copies a record out of librdkafka's buffers, so that holding it does not hold a whole fetch.
pub(super) fn record(partition: &TopicPartition, message: &BorrowedMessage<'_>) -> Record {
    let traceparent = message.headers().and_then(|headers| {
        let found = headers.iter().find(|header| header.key == TRACEPARENT)?;
        found.value.map(Bytes::copy_from_slice)
    });
    Record {
        topic: partition.topic.clone(),
        partition: partition.partition,
        offset: Offset(message.offset()),
        timestamp: Timestamp::from_millis(message.timestamp().to_millis().unwrap_or(NO_TIMESTAMP_MS)),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        traceparent,
    }
}

/// The headers of a record to be written.
pub(super) fn headers(traceparent: Option<&Bytes>) -> Option<OwnedHeaders> {
    let value = traceparent?;
    let header = Header { key: TRACEPARENT, value: Some(value.as_ref()) };
    Some(OwnedHeaders::new_with_capacity(1).insert(header))
}

/// A list of partitions for librdkafka.
pub(super) fn list<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        listable(partition)?;
        list.add_partition(partition.topic.as_str(), partition.partition.0);
    }
    Ok(list)
}

/// A list of partitions with the offset to start each at.
pub(super) fn positions(from: &[(TopicPartition, Offset)]) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in from {
        listable(partition)?;
        list.add_partition_offset(partition.topic.as_str(), partition.partition.0, NativeOffset::Offset(offset.0))
            .map_err(|_| LogError::Fatal(format!("{partition}: {offset} is no offset to read from")))?;
    }
    Ok(list)
}

fn listable(partition: &TopicPartition) -> Result<(), LogError> {
    // rust-rdkafka panics on a name that C cannot hold, and librdkafka takes -1 for "any partition".
    if partition.topic.as_str().contains('\0') || partition.partition.0 < 0 {
        return Err(LogError::Missing(partition.to_string().escape_default().to_string()));
    }
    Ok(())
}

/// The partitions that a consumer reads, each with what it waits for next.
#[derive(Debug)]
pub(super) struct Cursors<S> {
    entries: Vec<(TopicPartition, S)>,
    latest: usize,
}

impl<S> Default for Cursors<S> {
    fn default() -> Self {
        Self { entries: Vec::new(), latest: 0 }
    }
}

impl<S> Cursors<S> {
    pub(super) fn set(&mut self, partition: &TopicPartition, state: S) {
        match self.get_mut(partition) {
            Some(present) => *present = state,
            None => self.entries.push((partition.clone(), state)),
        }
    }

    pub(super) fn remove(&mut self, partition: &TopicPartition) {
        self.entries.retain(|(present, _)| present != partition);
        self.latest = 0;
    }

    pub(super) fn get(&self, partition: &TopicPartition) -> Option<&S> {
        self.entries.iter().find(|(present, _)| present == partition).map(|(_, state)| state)
    }

    pub(super) fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut S> {
        self.entries.iter_mut().find(|(present, _)| present == partition).map(|(_, state)| state)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(TopicPartition, S)> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&TopicPartition, &mut S)> {
        self.entries.iter_mut().map(|(partition, state)| (&*partition, state))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The cursor of a message's partition. Messages come in runs of one partition, so that this is a
    /// comparison and not a search.
    pub(super) fn of_message(&mut self, message: &BorrowedMessage<'_>) -> Option<(&TopicPartition, &mut S)> {
        let is_at = |entry: &(TopicPartition, S)| {
            entry.0.partition.0 == message.partition() && entry.0.topic.as_str() == message.topic()
        };
        if !self.entries.get(self.latest).is_some_and(is_at) {
            self.latest = self.entries.iter().position(is_at)?;
        }
        self.entries.get_mut(self.latest).map(|(partition, state)| (&*partition, state))
    }
}
