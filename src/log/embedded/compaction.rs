//! Compaction: of each key only the last committed record stays, and tombstones go after a while.
//! Works as Kafka's log cleaner does: first a bounded map of the keys in the part that was not yet
//! compacted, then a rewrite of all chunks before the map's end. Offsets stay as they are, the low
//! mark too; aborted records and markers go.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_128;

use super::chunk::{self, Builder, Chunk, Entry, Kind};
use super::fetch;
use super::shared::Shared;
use super::storage::{Batch, Space};
use super::upkeep::{Effort, Upkeep};
use crate::clock::Timestamp;
use crate::log::LogError;
use crate::position::Offset;

/// How many keys the map takes: about 40 MB. What does not fit waits for the next pass.
const MAP_KEYS: usize = 1_000_000;
const STEP_BYTES: usize = 1024 * 1024;

/// The last offset of each key, by the key's hash.
struct LastOffsets {
    offsets: HashMap<u128, Offset>,
    /// One past what it covers.
    until: Offset,
}

/// Decides which records stay.
struct Pass<'a> {
    upkeep: &'a Upkeep,
    last: LastOffsets,
    /// Tombstones from before this go, if an earlier pass has seen them.
    oldest_tombstone: Timestamp,
    kept: u64,
}

/// Compacts a partition, if it is worth it: when the part not yet compacted has more offsets than the
/// other has records.
pub(super) fn compact(shared: &Shared, upkeep: &Upkeep, effort: Effort) -> Result<(), LogError> {
    let dirty = u64::try_from(upkeep.plan.until.0 - upkeep.cleaned.0).unwrap_or(0);
    if effort == Effort::Due && dirty <= upkeep.kept.max(1000) {
        return Ok(());
    }
    let oldest_tombstone = {
        let broker = shared.lock()?;
        broker.now().minus(broker.settings.tombstone_retention)
    };
    let last = LastOffsets::gather(shared, upkeep, upkeep.cleaned.max(upkeep.plan.from))?;
    let mut pass = Pass { upkeep, last, oldest_tombstone, kept: 0 };
    pass.rewrite(shared)?;
    pass.finish(shared)
}

impl LastOffsets {
    fn gather(shared: &Shared, upkeep: &Upkeep, from: Offset) -> Result<Self, LogError> {
        let plan = &upkeep.plan;
        let mut last = Self { offsets: HashMap::new(), until: plan.until };
        let (first, end) = (plan.prefix.key(from), plan.prefix.key(plan.until));
        shared.storage().scan(Space::Records, &first, &end, &mut |key, value| {
            let chunk = Chunk::decode(chunk::base_of(key)?, value)?;
            if last.offsets.len() >= MAP_KEYS {
                last.until = chunk.base;
                return Ok(ControlFlow::Break(()));
            }
            if fetch::is_visible(&chunk, plan) {
                for entry in chunk.entries() {
                    let entry = entry?;
                    if let Some(key) = &entry.key {
                        last.offsets.insert(xxh3_128(key), entry.offset);
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(last)
    }
}

impl Pass<'_> {
    fn stays(&self, entry: &Entry) -> bool {
        // A record without a key replaces nothing and is replaced by nothing.
        let Some(key) = &entry.key else { return true };
        let is_last = self.last.offsets.get(&xxh3_128(key)).is_none_or(|last| *last <= entry.offset);
        let is_tombstone = entry.value.is_none();
        let seen_before = entry.offset < self.upkeep.cleaned;
        is_last && !(is_tombstone && seen_before && entry.timestamp < self.oldest_tombstone)
    }

    /// Rewrites the chunks up to the map's end, in batches. Each is a step of its own: what a killed
    /// process did not come to is done by the next pass.
    fn rewrite(&mut self, shared: &Shared) -> Result<(), LogError> {
        let prefix = self.upkeep.plan.prefix;
        let mut from = self.upkeep.plan.from;
        let end = prefix.key(self.last.until);
        while from < self.last.until {
            let mut batch = Batch::default();
            let mut next = self.last.until;
            shared.storage().scan(Space::Records, &prefix.key(from), &end, &mut |key, value| {
                let chunk = Chunk::decode(chunk::base_of(key)?, value)?;
                next = chunk.next;
                self.rewrite_chunk(&chunk, &mut batch)?;
                let full = batch.bytes() >= STEP_BYTES;
                Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            // Readers hold no lock either, and see of each chunk the old or the new; both are right.
            shared.storage().write(batch)?;
            from = next.max(from.next());
        }
        Ok(())
    }

    fn rewrite_chunk(&mut self, chunk: &Chunk, batch: &mut Batch) -> Result<(), LogError> {
        let prefix = self.upkeep.plan.prefix;
        let mut kept = Vec::new();
        let mut dropped = 0;
        if fetch::is_visible(chunk, &self.upkeep.plan) {
            for entry in chunk.entries() {
                let entry = entry?;
                if self.stays(&entry) { kept.push(entry) } else { dropped += 1 }
            }
        }
        self.kept += kept.len() as u64;
        if kept.is_empty() {
            batch.remove(Space::Records, prefix.key(chunk.base));
        } else if dropped > 0 {
            let mut rewritten = Builder::new(chunk.base, Kind::Records, chunk.producer, chunk.newest_before);
            for entry in &kept {
                rewritten.push(entry.offset, entry.timestamp, entry.parts());
            }
            rewritten.write(prefix, chunk.next, batch);
        }
        Ok(())
    }

    fn finish(self, shared: &Shared) -> Result<(), LogError> {
        let mut broker = shared.lock()?;
        let mut batch = Batch::default();
        let log = broker.partition_mut(&self.upkeep.name)?;
        log.cleaned = self.last.until;
        log.kept = self.kept;
        log.forget_aborted(self.last.until, &mut batch);
        log.save(&mut batch)?;
        broker.write(batch)
    }
}
