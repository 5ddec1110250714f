//! Chunks: how records lie in storage. A chunk is a run of records of one partition and one writer
//! under the key of its first offset, so that a flood of small records costs few entries; a
//! transaction's marker is a chunk without records.
//!
//! Layout, little-endian: kind u8, producer u64, offsets spanned u32, newest timestamp before it i64,
//! newest timestamp in it i64; then for each record: offset from the first u32, timestamp i64, and
//! the lengths of key, value and traceparent as i32 (-1 for none) followed by their bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::storage::{Batch, Space};
use crate::clock::Timestamp;
use crate::log::{LogError, Outgoing, Record, TopicPartition};
use crate::position::Offset;

/// A chunk is closed when it has reached this size. Readers decode whole chunks, and a record keeps
/// its whole chunk in memory.
const FULL_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 1 + 8 + 4 + 8 + 8;

/// Names a writer in storage; [`Producer::NONE`] is everybody outside of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Producer(pub(super) u64);

impl Producer {
    pub(super) const NONE: Self = Self(0);
}

/// Where a partition's chunks lie: topic number and partition, big-endian, so that the keys of a
/// partition are in the order of its offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix(pub(super) [u8; 8]);

impl Prefix {
    pub(super) fn new(topic: u32, partition: u32) -> Self {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&topic.to_be_bytes());
        bytes[4..].copy_from_slice(&partition.to_be_bytes());
        Self(bytes)
    }

    /// The key of the chunk that begins at `offset`.
    pub(super) fn key(self, offset: Offset) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.0);
        key[8..].copy_from_slice(&offset.0.to_be_bytes());
        key
    }
}

/// The first offset of the chunk under `key`.
pub(super) fn base_of(key: &[u8]) -> Result<Offset, LogError> {
    key.last_chunk::<8>().map(|it| Offset(i64::from_be_bytes(*it))).ok_or_else(|| damaged("a key is too short"))
}

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Records,
    CommitMarker,
    AbortMarker,
}

/// A chunk being filled.
pub(super) struct Builder {
    base: Offset,
    next: Offset,
    kind: Kind,
    producer: Producer,
    newest_before: Timestamp,
    newest: Timestamp,
    records: BytesMut,
}

impl Builder {
    pub(super) fn new(base: Offset, kind: Kind, producer: Producer, newest_before: Timestamp) -> Self {
        Self { base, next: base, kind, producer, newest_before, newest: Timestamp::MIN, records: BytesMut::new() }
    }

    pub(super) const fn producer(&self) -> Producer {
        self.producer
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= FULL_BYTES
    }

    /// Adds a record; offsets must rise.
    pub(super) fn push(&mut self, offset: Offset, time: Timestamp, record: Parts<'_>) {
        self.records.put_u32_le(span(self.base, offset));
        self.records.put_i64_le(time.0);
        for part in [record.key, record.value, record.traceparent] {
            // A record is limited far below this; see `Settings::max_record_bytes`.
            let length = part.map_or(-1, |it| i32::try_from(it.len()).unwrap_or(i32::MAX));
            self.records.put_i32_le(length);
            self.records.extend_from_slice(part.unwrap_or_default());
        }
        self.newest = self.newest.max(time);
        self.next = offset.next();
    }

    /// Closes the chunk into `out`; it spans the offsets up to `next` even if the last ones hold nothing.
    pub(super) fn write(self, prefix: Prefix, next: Offset, out: &mut Batch) {
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + self.records.len());
        bytes.put_u8(match self.kind {
            Kind::Records => 0,
            Kind::CommitMarker => 1,
            Kind::AbortMarker => 2,
        });
        bytes.put_u64_le(self.producer.0);
        bytes.put_u32_le(span(self.base, next));
        bytes.put_i64_le(self.newest_before.0);
        bytes.put_i64_le(self.newest.0);
        bytes.extend_from_slice(&self.records);
        out.put(Space::Records, prefix.key(self.base), bytes.freeze());
    }

    /// One past the last record.
    pub(super) const fn next_offset(&self) -> Offset {
        self.next
    }
}

/// A record's bytes, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) traceparent: Option<&'a [u8]>,
}

impl Parts<'_> {
    /// Its size as it counts towards the limit.
    pub(super) fn bytes(&self) -> usize {
        [self.key, self.value, self.traceparent].into_iter().flatten().map(<[u8]>::len).sum()
    }
}

impl<'a> From<&'a Outgoing> for Parts<'a> {
    fn from(record: &'a Outgoing) -> Self {
        Self { key: record.key.as_deref(), value: record.value.as_deref(), traceparent: record.traceparent.as_deref() }
    }
}

/// A chunk as read.
pub(super) struct Chunk {
    pub(super) base: Offset,
    /// One past its last offset.
    pub(super) next: Offset,
    pub(super) kind: Kind,
    pub(super) producer: Producer,
    /// The newest timestamp of the partition before this chunk, whatever was deleted since.
    pub(super) newest_before: Timestamp,
    /// The newest timestamp in it.
    pub(super) newest: Timestamp,
    records: Bytes,
}

/// One record of a chunk.
pub(super) struct Entry {
    pub(super) offset: Offset,
    pub(super) timestamp: Timestamp,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) traceparent: Option<Bytes>,
}

impl Chunk {
    pub(super) fn decode(base: Offset, mut bytes: Bytes) -> Result<Self, LogError> {
        if bytes.len() < HEADER_BYTES {
            return Err(damaged(&format!("the chunk at offset {base} is too short")));
        }
        let kind = match bytes.get_u8() {
            0 => Kind::Records,
            1 => Kind::CommitMarker,
            2 => Kind::AbortMarker,
            other => return Err(damaged(&format!("the chunk at offset {base} is of unknown kind {other}"))),
        };
        let producer = Producer(bytes.get_u64_le());
        let next = Offset(base.0 + i64::from(bytes.get_u32_le()));
        let newest_before = Timestamp(bytes.get_i64_le());
        let newest = Timestamp(bytes.get_i64_le());
        Ok(Self { base, next, kind, producer, newest_before, newest, records: bytes })
    }

    /// Its records, in order.
    pub(super) fn entries(&self) -> Entries {
        Entries { base: self.base, rest: self.records.clone() }
    }
}

/// The records of a chunk, in order.
pub(super) struct Entries {
    base: Offset,
    rest: Bytes,
}

impl Iterator for Entries {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.read().ok_or_else(|| damaged(&format!("the chunk at offset {} ends early", self.base)));
        if entry.is_err() {
            self.rest.clear();
        }
        Some(entry)
    }
}

impl Entries {
    fn read(&mut self) -> Option<Entry> {
        let offset = Offset(self.base.0.checked_add(i64::from(self.rest.try_get_u32_le().ok()?))?);
        let timestamp = Timestamp(self.rest.try_get_i64_le().ok()?);
        let (key, value, traceparent) = (self.part()?, self.part()?, self.part()?);
        Some(Entry { offset, timestamp, key, value, traceparent })
    }

    #[expect(clippy::option_option, reason = "the outer one says damaged, the inner one says absent")]
    fn part(&mut self) -> Option<Option<Bytes>> {
        let length = self.rest.try_get_i32_le().ok()?;
        let Ok(length) = usize::try_from(length) else { return Some(None) };
        (length <= self.rest.len()).then(|| Some(self.rest.split_to(length)))
    }
}

impl Entry {
    pub(super) fn into_record(self, from: &TopicPartition) -> Record {
        Record {
            topic: from.topic.clone(),
            partition: from.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key,
            value: self.value,
            traceparent: self.traceparent,
        }
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        Parts { key: self.key.as_deref(), value: self.value.as_deref(), traceparent: self.traceparent.as_deref() }
    }
}

/// How many offsets lie between two of one chunk; far fewer than 2^32, as a chunk is closed by its size.
fn span(base: Offset, offset: Offset) -> u32 {
    u32::try_from(offset.0 - base.0).unwrap_or(u32::MAX)
}

fn damaged(what: &str) -> LogError {
    LogError::Fatal(format!("the embedded log is damaged: {what}; restore its folder from a copy"))
}
