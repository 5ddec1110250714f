//! One partition: its offsets, the transactions open in it, the aborted stretches, and the chunk
//! being filled. Everything below the [last stable offset](PartitionLog::stable) lies in storage and
//! never changes again, except that maintenance deletes from it.

use std::collections::{BTreeMap, BTreeSet};

use super::aborted::Aborted;
use super::chunk::{Builder, Kind, Parts, Prefix, Producer};
use super::keys;
use super::storage::{Batch, Space};
use crate::clock::Timestamp;
use crate::log::{LogError, TopicPartition};
use crate::position::Offset;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Commit,
    Abort,
}

/// A partition as the log keeps it in memory.
pub(super) struct PartitionLog {
    pub(super) prefix: Prefix,
    /// The first offset held.
    pub(super) low: Offset,
    /// One past the last offset given: the high watermark.
    pub(super) end: Offset,
    /// The newest timestamp ever appended.
    pub(super) newest: Timestamp,
    /// Up to where it was compacted, and how many records that left.
    pub(super) cleaned: Offset,
    pub(super) kept: u64,
    /// Open transactions by their first offset here.
    open: BTreeSet<(Offset, Producer)>,
    /// Aborted stretches by their marker.
    aborted: BTreeMap<Offset, Aborted>,
    tail: Option<Builder>,
}

/// What a reader needs to know to read from storage without holding the log's lock.
pub(super) struct Plan {
    pub(super) prefix: Prefix,
    pub(super) from: Offset,
    pub(super) until: Offset,
    pub(super) aborted: Vec<Aborted>,
}

impl PartitionLog {
    pub(super) const fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            low: Offset::ZERO,
            end: Offset::ZERO,
            newest: Timestamp::MIN,
            cleaned: Offset::ZERO,
            kept: 0,
            open: BTreeSet::new(),
            aborted: BTreeMap::new(),
            tail: None,
        }
    }

    /// The last stable offset: where the oldest open transaction begins, else the end.
    pub(super) fn stable(&self) -> Offset {
        self.open.first().map_or(self.end, |(first, _)| *first)
    }

    /// Appends a record and returns its offset.
    pub(super) fn append(&mut self, producer: Producer, time: Timestamp, record: Parts<'_>, out: &mut Batch) -> Offset {
        if self.tail.as_ref().is_some_and(|it| it.producer() != producer || it.is_full()) {
            self.close_tail(out);
        }
        let offset = self.end;
        let tail = self.tail.get_or_insert_with(|| Builder::new(offset, Kind::Records, producer, self.newest));
        tail.push(offset, time, record);
        self.newest = self.newest.max(time);
        self.end = offset.next();
        offset
    }

    /// Moves the chunk being filled to `out`.
    pub(super) fn close_tail(&mut self, out: &mut Batch) {
        if let Some(tail) = self.tail.take() {
            let next = tail.next_offset();
            tail.write(self.prefix, next, out);
        }
    }

    /// Notes that a transaction has its first record at `first`.
    pub(super) fn begin(&mut self, producer: Producer, first: Offset) {
        self.open.insert((first, producer));
    }

    /// Ends the transaction that began at `first` with a marker.
    pub(super) fn end_transaction(&mut self, producer: Producer, first: Offset, ending: Ending, out: &mut Batch) {
        self.close_tail(out);
        let marker = self.end;
        self.end = marker.next();
        let kind = match ending {
            Ending::Commit => Kind::CommitMarker,
            Ending::Abort => Kind::AbortMarker,
        };
        Builder::new(marker, kind, producer, self.newest).write(self.prefix, self.end, out);
        self.open.remove(&(first, producer));
        if ending == Ending::Abort {
            self.note_aborted(Aborted { producer, first, marker });
            out.put(Space::Meta, keys::aborted(self.prefix, marker), keys::aborted_value(producer, first));
        }
    }

    /// Notes an aborted stretch, as found in storage.
    pub(super) fn note_aborted(&mut self, aborted: Aborted) {
        self.aborted.insert(aborted.marker, aborted);
    }

    /// Forgets the aborted stretches that end before `until`: nothing of them is left.
    pub(super) fn forget_aborted(&mut self, until: Offset, out: &mut Batch) {
        let left = self.aborted.split_off(&until);
        for marker in std::mem::replace(&mut self.aborted, left).into_keys() {
            out.remove(Space::Meta, keys::aborted(self.prefix, marker));
        }
    }

    /// Puts into `out` what storage could not tell from the chunks that are left.
    pub(super) fn save(&self, out: &mut Batch) -> Result<(), LogError> {
        let Self { low, end, newest, cleaned, kept, .. } = *self;
        let stored = keys::StoredPartition { low, end, newest, cleaned, kept };
        out.put(Space::Meta, keys::partition(self.prefix), keys::encode(&stored)?);
        Ok(())
    }

    /// Whether `from` is held, or is the end.
    pub(super) fn check(&self, name: &TopicPartition, from: Offset) -> Result<(), LogError> {
        if from < self.low || from > self.end {
            return Err(LogError::OutOfRange { partition: name.clone(), offset: from, low: self.low, end: self.end });
        }
        Ok(())
    }

    /// [`Self::plan`], unless `from` is not held.
    pub(super) fn checked_plan(&self, name: &TopicPartition, from: Offset, until: Offset) -> Result<Plan, LogError> {
        self.check(name, from)?;
        Ok(self.plan(from, until))
    }

    /// What there is to read from `from` up to `until` or the last stable offset.
    pub(super) fn plan(&self, from: Offset, until: Offset) -> Plan {
        let until = until.min(self.stable());
        let aborted = self.aborted.range(from..).map(|(_, it)| *it).filter(|it| it.first < until).collect();
        Plan { prefix: self.prefix, from, until, aborted }
    }
}
