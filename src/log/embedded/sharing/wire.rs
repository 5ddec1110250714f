//! What holder and guest say to each other. A frame is two lengths (u32, little-endian), a head in JSON
//! and a body with the bytes of records, one after the other; the head says how long each part is. A
//! frame's size is bounded before anything is read of it. Each request has one answer, in order.

use std::io::{self, Read, Write};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::address::Token;
use crate::clock::Timestamp;
use crate::log::embedded::keys::StoredTopic;
use crate::log::{CommittedOffset, LogError, Outgoing, Record, TopicPartition};
use crate::position::{Offset, Partition};

/// Raised with every change of these shapes: holder and guest may be of different builds.
pub(super) const PROTOCOL: u32 = 1;
/// The largest frame; records are larger only where somebody set the limit so.
pub(super) const MAX_FRAME_BYTES: usize = 32 * 1024 * 1024;
/// The largest first frame, from somebody who has not shown the token yet.
pub(super) const MAX_HELLO_BYTES: usize = 4096;

/// What a guest says first.
#[derive(Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u32,
    pub(super) token: Token,
}

/// What a guest wants.
#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    Ask(Question),
    Send(Parts),
    Follow(Vec<(Place, Offset)>),
    Poll { wait: Duration, max: usize },
    Read { partition: Place, from: Offset, until: Offset, wait: Duration, max: usize },
}

/// What needs nothing of the connection it comes through.
#[derive(Serialize, Deserialize)]
pub(super) enum Question {
    Cluster,
    Describe(Vec<String>),
    Create(Vec<StoredTopic>),
    Bounds { partitions: Vec<Place>, committed: bool },
    OffsetAt { partition: Place, time: Timestamp },
    Committed { group: String, partitions: Vec<Place> },
    SetCommitted { group: String, offsets: Vec<(Place, Offset, String)> },
}

/// What it is answered.
#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    Cluster(String),
    Topics(Vec<Option<StoredTopic>>),
    Bounds(Vec<(Offset, Offset)>),
    OffsetAt(Option<Offset>),
    Committed(Vec<Option<(Offset, String)>>),
    Sent(Offset),
    Records(Vec<(Parts, Offset, Timestamp)>),
    Stretch { records: Vec<(Parts, Offset, Timestamp)>, next: Offset },
    Failed(Failure),
}

/// A partition by name.
pub(super) type Place = (String, Partition);

/// A record without its bytes, which stand in the body: key, value, traceparent.
#[derive(Serialize, Deserialize)]
pub(super) struct Parts {
    place: Place,
    lengths: [Option<usize>; 3],
}

/// A [`LogError`].
#[derive(Serialize, Deserialize)]
pub(super) enum Failure {
    Unavailable(String),
    Missing(String),
    OutOfRange { partition: Place, offset: Offset, low: Offset, end: Offset },
    Fenced(String),
    QueueFull,
    TooLarge(String),
    Fatal(String),
}

/// Writes a frame.
pub(super) fn write<T: Serialize>(stream: &mut impl Write, head: &T, body: &[u8]) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    if head.len() + body.len() > MAX_FRAME_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is larger than a frame may be"));
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    // One write: each is a packet of its own.
    stream.write_all(&[&length(&head)[..], &length(body), &head, body].concat())
}

/// Reads a frame of at most `limit` bytes.
pub(super) fn read<T: DeserializeOwned>(stream: &mut impl Read, limit: usize) -> io::Result<(T, Bytes)> {
    let mut lengths = [[0; 4]; 2];
    stream.read_exact(lengths.as_flattened_mut())?;
    let [head, body] = lengths.map(|it| usize::try_from(u32::from_le_bytes(it)).unwrap_or(usize::MAX));
    if head.saturating_add(body) > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is larger than it may be"));
    }
    let mut bytes = vec![0; head + body];
    stream.read_exact(&mut bytes)?;
    let mut head_bytes = Bytes::from(bytes);
    let body = head_bytes.split_off(head);
    Ok((serde_json::from_slice(&head_bytes)?, body))
}

pub(super) fn place(partition: &TopicPartition) -> Place {
    (partition.topic.to_string(), partition.partition)
}

pub(super) fn places(partitions: &[TopicPartition]) -> Vec<Place> {
    partitions.iter().map(place).collect()
}

pub(super) fn partition(place: Place) -> TopicPartition {
    TopicPartition { topic: place.0.into(), partition: place.1 }
}

pub(super) fn partitions(places: Vec<Place>) -> Vec<TopicPartition> {
    places.into_iter().map(partition).collect()
}

pub(super) fn committed(offset: Offset, metadata: String) -> CommittedOffset {
    CommittedOffset { offset, metadata }
}

impl Parts {
    fn pack(place: Place, parts: [Option<&Bytes>; 3], body: &mut Vec<u8>) -> Self {
        for part in parts.into_iter().flatten() {
            body.extend_from_slice(part);
        }
        Self { place, lengths: parts.map(|it| it.map(Bytes::len)) }
    }

    /// A record to be sent; its bytes go to `body`.
    pub(super) fn of_outgoing(record: &Outgoing, body: &mut Vec<u8>) -> Self {
        let place = (record.topic.to_string(), record.partition);
        Self::pack(place, [record.key.as_ref(), record.value.as_ref(), record.traceparent.as_ref()], body)
    }

    /// A record that was read; its bytes go to `body`.
    pub(super) fn of_record(record: &Record, body: &mut Vec<u8>) -> (Self, Offset, Timestamp) {
        let place = (record.topic.to_string(), record.partition);
        let parts = [record.key.as_ref(), record.value.as_ref(), record.traceparent.as_ref()];
        (Self::pack(place, parts, body), record.offset, record.timestamp)
    }

    /// The record to be sent, with its bytes from `body`.
    pub(super) fn into_outgoing(self, body: &mut Bytes) -> io::Result<Outgoing> {
        let mut parts = [const { None }; 3];
        for (part, length) in parts.iter_mut().zip(self.lengths) {
            let Some(length) = length else { continue };
            if length > body.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame's body ends early"));
            }
            *part = Some(body.split_to(length));
        }
        let TopicPartition { topic, partition } = partition(self.place);
        let [key, value, traceparent] = parts;
        Ok(Outgoing { topic, partition, key, value, traceparent })
    }
}

/// Records that were read, with their bytes from `body`.
pub(super) fn records(heads: Vec<(Parts, Offset, Timestamp)>, mut body: Bytes) -> io::Result<Vec<Record>> {
    let records = heads.into_iter().map(|(parts, offset, timestamp)| {
        let Outgoing { topic, partition, key, value, traceparent } = parts.into_outgoing(&mut body)?;
        Ok(Record { topic, partition, offset, timestamp, key, value, traceparent })
    });
    records.collect()
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(why) => Self::Unavailable(why),
            LogError::Missing(what) => Self::Missing(what),
            LogError::OutOfRange { partition, offset, low, end } => {
                Self::OutOfRange { partition: place(&partition), offset, low, end }
            }
            LogError::Fenced(why) => Self::Fenced(why),
            LogError::QueueFull => Self::QueueFull,
            LogError::TooLarge(why) => Self::TooLarge(why),
            LogError::Fatal(why) => Self::Fatal(why),
        }
    }
}

impl From<Failure> for LogError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(why) => Self::Unavailable(why),
            Failure::Missing(what) => Self::Missing(what),
            Failure::OutOfRange { partition: at, offset, low, end } => {
                Self::OutOfRange { partition: partition(at), offset, low, end }
            }
            Failure::Fenced(why) => Self::Fenced(why),
            Failure::QueueFull => Self::QueueFull,
            Failure::TooLarge(why) => Self::TooLarge(why),
            Failure::Fatal(why) => Self::Fatal(why),
        }
    }
}
