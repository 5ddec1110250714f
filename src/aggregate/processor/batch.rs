//! A batch: what is decided but not committed, one share for each partition it touches.
//!
//! Decisions are made against an overlay: this batch's share, then that of the batch that commits at
//! the moment, then the committed state. If a batch does not commit, it is dropped and nothing needs to
//! be undone.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use super::checkpoint::Slice;
use super::partition::{Epoch, Instance, Owned};
use crate::aggregate::Aggregate;
use crate::aggregate::codecs::Codecs;
use crate::clock::Timestamp;
use crate::command::{CommandKey, Outcome, OutcomeEntry, Outcomes};
use crate::log::{Outgoing, Record, TopicPartition};
use crate::position::{Offset, Partition, Sequence};
use crate::schema::SchemaError;

/// Where an outcomes record is split, in bytes.
const OUTCOMES_RECORD_BYTES: usize = 512 * 1024;

/// What one batch does in one partition.
#[derive(Debug)]
pub(super) struct Share<A> {
    pub epoch: Epoch,
    pub instances: HashMap<Arc<str>, Instance<A>>,
    pub outcomes: Vec<OutcomeEntry>,
    by_key: HashMap<CommandKey, usize>,
    pub records: Vec<Outgoing>,
    pub first_offset: Offset,
    pub next_offset: Offset,
    pub sequence: Sequence,
    pub time: Timestamp,
    /// When the last command was appended.
    pub appended_at: Timestamp,
    /// What it carries of a checkpoint.
    pub checkpoint: Option<Slice>,
    /// Bytes of the records added so far.
    pub bytes: usize,
}

impl<A: Aggregate> Share<A> {
    /// Nothing yet, on top of a partition and of the share that commits at the moment.
    pub fn new(epoch: Epoch, owned: &Owned<A>, committing: Option<&Self>) -> Self {
        let (next_offset, sequence, time) = committing.map_or_else(
            || (owned.commands_offset, owned.sequence, owned.time),
            |share| (share.next_offset, share.sequence, share.time),
        );
        Self {
            epoch,
            instances: HashMap::new(),
            outcomes: Vec::new(),
            by_key: HashMap::new(),
            records: Vec::new(),
            first_offset: next_offset,
            next_offset,
            sequence,
            time,
            appended_at: Timestamp::MIN,
            checkpoint: None,
            bytes: 0,
        }
    }

    pub fn outcome_of(&self, key: &CommandKey) -> Option<&OutcomeEntry> {
        self.by_key.get(key).map(|index| &self.outcomes[*index])
    }

    pub fn record_outcome(&mut self, entry: OutcomeEntry) {
        if !entry.about_copy {
            let key = CommandKey { command_id: entry.command_id, aggregate_id: entry.aggregate_id.as_str().into() };
            self.by_key.insert(key, self.outcomes.len());
        }
        self.outcomes.push(entry);
    }

    /// A record is dealt with; `time` is the partition's from now on.
    pub const fn pass(&mut self, record: &Record, time: Timestamp) {
        self.time = time;
        self.appended_at = record.timestamp;
        self.next_offset = record.offset.next();
    }

    pub fn write(&mut self, to: TopicPartition, key: Option<Bytes>, value: Bytes, traceparent: Option<Bytes>) {
        self.bytes += value.len() + key.as_ref().map_or(0, Bytes::len);
        let TopicPartition { topic, partition } = to;
        self.records.push(Outgoing { topic, partition, key, value: Some(value), traceparent });
    }

    /// Adds the outcomes records; once, before the batch is committed.
    pub fn write_outcomes(&mut self, codecs: &Codecs<A>, partition: Partition) -> Result<(), SchemaError> {
        let mut from = 0;
        while from < self.outcomes.len() {
            let mut bytes = 0;
            let count = self.outcomes[from..]
                .iter()
                .take_while(|entry| {
                    bytes += size_of_entry(entry);
                    bytes <= OUTCOMES_RECORD_BYTES
                })
                .count()
                .max(1);
            let last = from + count == self.outcomes.len();
            let entries: Vec<_> = self.outcomes.drain(from..from + count).collect();
            let next_offset =
                if last { self.next_offset } else { entries.last().map_or(self.next_offset, |it| it.offset.next()) };
            let first_offset = if from == 0 { self.first_offset } else { entries[0].offset };
            let record = Outcomes { first_offset, next_offset, sequence: self.sequence, entries };
            let value = codecs.outcomes.encode(&record)?;
            self.outcomes.splice(from..from, record.entries);
            from += count;
            self.write(codecs.topics.outcomes.partition(partition), None, value, None);
        }
        Ok(())
    }
}

fn size_of_entry(entry: &OutcomeEntry) -> usize {
    const FIXED_BYTES: usize = 96;
    let texts = match &entry.outcome {
        Outcome::Accepted(it) => it.data.as_ref().map_or(0, String::len),
        Outcome::Refused(it) => it.code.len() + it.message.len() + it.data.as_ref().map_or(0, String::len),
        Outcome::Failed(it) => it.message.len(),
    };
    FIXED_BYTES + entry.aggregate_id.len() + texts
}

/// What is decided together and will be committed together.
#[derive(Debug)]
pub(super) struct Batch<A> {
    pub shares: BTreeMap<Partition, Share<A>>,
    pub commands: usize,
}

impl<A: Aggregate> Batch<A> {
    pub const fn new() -> Self {
        Self { shares: BTreeMap::new(), commands: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.shares.values().map(|share| share.bytes).sum()
    }

    /// This batch's share of a partition, begun if there is none.
    pub fn share(&mut self, epoch: Epoch, owned: &Owned<A>, committing: Option<&Share<A>>) -> &mut Share<A> {
        self.shares.entry(owned.partition).or_insert_with(|| Share::new(epoch, owned, committing))
    }
}

/// What a decision is made against.
pub(super) struct Overlay<'a, A> {
    pub owned: &'a Owned<A>,
    /// The share that commits at the moment.
    pub committing: Option<&'a Share<A>>,
    /// The share being decided.
    pub share: &'a mut Share<A>,
}

impl<A: Aggregate> Overlay<'_, A> {
    /// An instance as of the last decision; `None` before its first event.
    pub fn instance(&self, id: &str) -> Option<&Instance<A>> {
        self.share
            .instances
            .get(id)
            .or_else(|| self.committing.and_then(|share| share.instances.get(id)))
            .or_else(|| self.owned.instance(id))
    }

    /// An instance to change in this batch: a copy of what it was before.
    pub fn instance_mut(&mut self, id: &str) -> &mut Instance<A> {
        if !self.share.instances.contains_key(id) {
            let (key, instance) = self
                .committing
                .and_then(|share| share.instances.get_key_value(id))
                .or_else(|| self.owned.instances.get_key_value(id))
                .map_or_else(|| (Arc::from(id), Instance::default()), |(key, it)| (key.clone(), it.clone()));
            self.share.instances.insert(key, instance);
        }
        self.share.instances.get_mut(id).expect("it was just inserted if it was missing")
    }

    /// The first outcome of a command, with the schema id and payload hash it came with.
    pub fn remembered(&self, key: &CommandKey) -> Option<crate::command::Remembered> {
        let in_batch = |share: &Share<A>| {
            share.outcome_of(key).map(|entry| crate::command::Remembered {
                schema_id: entry.schema_id,
                payload_hash: entry.payload_hash,
                outcome: entry.outcome.clone(),
            })
        };
        in_batch(self.share)
            .or_else(|| self.committing.and_then(in_batch))
            .or_else(|| self.owned.remembered(key).cloned())
    }
}
