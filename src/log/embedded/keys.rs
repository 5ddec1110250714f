//! Keys and values of the [meta space](super::storage::Space::Meta): what each thing is called in
//! storage. The first byte tells the kinds apart; values that are not on the way of every record are
//! JSON.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::aborted::Aborted;
use super::chunk::{Prefix, Producer};
use crate::clock::Timestamp;
use crate::log::{CommittedOffset, LogError, Retention, TimeKind, TopicPartition, TopicSpec};
use crate::position::{Offset, Partition};

pub(super) const CLUSTER: &[u8] = b"C";
pub(super) const TOPICS: u8 = b'T';
pub(super) const WRITERS: u8 = b'W';
pub(super) const OFFSETS: u8 = b'O';
pub(super) const ABORTED: u8 = b'A';
pub(super) const PARTITIONS: u8 = b'P';

pub(super) fn topic(name: &str) -> Vec<u8> {
    tagged(TOPICS, name.as_bytes())
}

pub(super) fn writer(id: &str) -> Vec<u8> {
    tagged(WRITERS, id.as_bytes())
}

pub(super) fn offset(group: &str, partition: &TopicPartition) -> Vec<u8> {
    let mut key = vec![OFFSETS];
    for part in [group, partition.topic.as_str()] {
        // The length before the text keeps ("a", "bc") and ("ab", "c") apart.
        key.extend_from_slice(&(part.len() as u64).to_be_bytes());
        key.extend_from_slice(part.as_bytes());
    }
    key.extend_from_slice(&partition.partition.0.to_be_bytes());
    key
}

pub(super) fn partition(prefix: Prefix) -> Vec<u8> {
    tagged(PARTITIONS, &prefix.0)
}

pub(super) fn aborted(prefix: Prefix, marker: Offset) -> Vec<u8> {
    tagged(ABORTED, &prefix.key(marker))
}

pub(super) fn aborted_value(producer: Producer, first: Offset) -> Vec<u8> {
    [producer.0.to_le_bytes(), first.0.to_le_bytes()].concat()
}

/// Reads an aborted stretch back.
pub(super) fn read_aborted(marker: Offset, value: &[u8]) -> Result<Aborted, LogError> {
    let number = |at: usize| value.get(at..).and_then(<[u8]>::first_chunk::<8>).copied();
    let (Some(producer), Some(first)) = (number(0), number(8)) else {
        return Err(LogError::Fatal(format!("the embedded log is damaged: the aborted stretch at {marker}")));
    };
    Ok(Aborted { producer: Producer(u64::from_le_bytes(producer)), first: Offset(i64::from_le_bytes(first)), marker })
}

fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
    [&[tag], rest].concat()
}

/// A topic in storage.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredTopic {
    pub(super) name: String,
    pub(super) number: u32,
    partitions: i32,
    retention: StoredRetention,
    append_time: bool,
}

#[derive(Serialize, Deserialize)]
enum StoredRetention {
    Forever,
    Millis(u64),
    Compacted,
}

impl StoredTopic {
    pub(super) fn new(number: u32, spec: &TopicSpec) -> Self {
        Self {
            name: spec.topic.to_string(),
            number,
            partitions: spec.partitions,
            retention: match spec.retention {
                Retention::Forever => StoredRetention::Forever,
                Retention::For(time) => StoredRetention::Millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                Retention::Compacted => StoredRetention::Compacted,
            },
            append_time: spec.time == TimeKind::Append,
        }
    }

    pub(super) fn spec(&self) -> TopicSpec {
        TopicSpec {
            topic: self.name.as_str().into(),
            partitions: self.partitions,
            retention: match self.retention {
                StoredRetention::Forever => Retention::Forever,
                StoredRetention::Millis(millis) => Retention::For(std::time::Duration::from_millis(millis)),
                StoredRetention::Compacted => Retention::Compacted,
            },
            time: if self.append_time { TimeKind::Append } else { TimeKind::Create },
        }
    }
}

/// What of a partition cannot be read off its last chunk.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredPartition {
    pub(super) low: Offset,
    pub(super) end: Offset,
    pub(super) newest: Timestamp,
    pub(super) cleaned: Offset,
    pub(super) kept: u64,
}

/// A writer in storage, with the transaction it has open.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredWriter {
    pub(super) id: String,
    pub(super) producer: u64,
    pub(super) epoch: u64,
    /// Topic, partition and first offset of each partition in its open transaction.
    pub(super) open: Vec<(String, Partition, Offset)>,
    pub(super) offsets: Vec<StoredOffset>,
}

/// A group's offset in storage.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredOffset {
    pub(super) group: String,
    pub(super) topic: String,
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) metadata: String,
}

impl StoredOffset {
    pub(super) fn new(group: &str, partition: &TopicPartition, committed: &CommittedOffset) -> Self {
        Self {
            group: group.to_owned(),
            topic: partition.topic.to_string(),
            partition: partition.partition,
            offset: committed.offset,
            metadata: committed.metadata.clone(),
        }
    }

    pub(super) fn into_parts(self) -> (String, TopicPartition, CommittedOffset) {
        let partition = TopicPartition { topic: self.topic.into(), partition: self.partition };
        (self.group, partition, CommittedOffset { offset: self.offset, metadata: self.metadata })
    }
}

/// A value as JSON.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Bytes, LogError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| LogError::Fatal(format!("the embedded log cannot write its own state: {error}")))
}

/// A value from JSON.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LogError> {
    serde_json::from_slice(bytes).map_err(|error| {
        LogError::Fatal(format!("the embedded log is damaged: {error}; restore its folder from a copy"))
    })
}
