//! Writing what changed to the local store, and letting go of what then need not be in memory.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::super::partition::{Instance, Owned};
use super::super::settings::ProcessorSettings;
use super::{CHANGES, Kept, OUTCOMES, POSITIONS, Positions, Saved, Stamp, frames};
use crate::aggregate::Aggregate;
use crate::aggregate::codecs::Codecs;
use crate::clock::Timestamp;
use crate::event::SnapshotHead;
use crate::position::{Offset, Partition};
use crate::schema::Data;
use crate::store::local::{Batch, LocalStoreError};

/// So many changed aggregates are written although it is not time yet.
const MOST_CHANGED: usize = 50_000;
/// So much of outcomes is written although it is not time yet.
const MOST_OUTCOME_BYTES: usize = 8 * 1024 * 1024;
/// How many aggregates a first restore writes at once.
const SLICE: usize = 5_000;

#[derive(Serialize)]
struct Written<'a> {
    stamp: &'a Stamp,
    positions: &'a Positions,
}

impl<A: Aggregate> Owned<A> {
    /// Writes to the local store what is due, and lets go of aggregates over the limit of the memory. An error
    /// means that not all of the partition is to be had any more.
    pub fn tend(
        &mut self,
        codecs: &Codecs<A>,
        settings: &ProcessorSettings,
        now: Timestamp,
    ) -> Result<(), LocalStoreError> {
        let Some(saved) = &self.saved else { return Ok(()) };
        if saved.is_lost() {
            return Err(saved.store.damaged("it failed before".to_owned()));
        }
        let is_over = self.instances.len() > settings.cache_aggregates;
        let is_time = now.since(saved.written_at) >= Duration::from_secs(settings.store_seconds);
        let has_news = saved.written != self.commands_offset || !saved.changed.is_empty();
        let is_much = saved.changed.len() >= MOST_CHANGED || saved.outcomes_bytes >= MOST_OUTCOME_BYTES;
        if is_over || is_much || (is_time && has_news) || !saved.has_positions {
            self.save(codecs, settings, now)?;
        }
        Ok(())
    }

    /// Writes what changed, and lets go of aggregates over the limit.
    pub fn save(
        &mut self,
        codecs: &Codecs<A>,
        settings: &ProcessorSettings,
        now: Timestamp,
    ) -> Result<(), LocalStoreError> {
        // What cannot be folded is not what its events say, and the state as of an earlier one is gone.
        if !self.unfoldable.is_empty() {
            return Ok(());
        }
        let Some(saved) = &mut self.saved else { return Ok(()) };
        // From the first positions on, all or nothing.
        let is_whole = saved.has_positions || saved.changed.len() <= SLICE;
        saved.written_at = now;
        self.write(codecs, is_whole)?;
        self.let_go(settings.cache_aggregates);
        Ok(())
    }

    /// While a restore goes on: makes room if need be. What is written then cannot be begun from.
    pub fn make_room(&mut self, codecs: &Codecs<A>, settings: &ProcessorSettings) -> Result<(), LocalStoreError> {
        let Some(saved) = &self.saved else { return Ok(()) };
        let is_over = self.instances.len() > settings.cache_aggregates;
        if self.unfoldable.is_empty() && (is_over || saved.outcomes_bytes >= MOST_OUTCOME_BYTES) {
            while self.saved.as_ref().is_some_and(|saved| !saved.changed.is_empty() || saved.outcomes_bytes > 0) {
                self.write(codecs, false)?;
            }
            self.let_go(settings.cache_aggregates);
        }
        Ok(())
    }

    fn write(&mut self, codecs: &Codecs<A>, is_whole: bool) -> Result<(), LocalStoreError> {
        let written = self.try_write(codecs, is_whole);
        let Some(saved) = &mut self.saved else { return Ok(()) };
        match written {
            // Another lane has the partition, and this one is about to hear of it.
            Ok(()) | Err(LocalStoreError::Superseded(_)) => Ok(()),
            Err(error) => {
                saved.give_up(&error);
                if saved.holds_all {
                    self.saved = None;
                    return Ok(());
                }
                Err(error)
            }
        }
    }

    fn try_write(&mut self, codecs: &Codecs<A>, is_whole: bool) -> Result<(), LocalStoreError> {
        let positions = self.positions();
        let Some(saved) = &mut self.saved else { return Ok(()) };
        let mut batch = Batch::default();
        let at_once = if is_whole { usize::MAX } else { SLICE };
        let ids: Vec<_> = saved.changed.iter().take(at_once).cloned().collect();
        let mut changes = Vec::new();
        for id in &ids {
            let Some(instance) = self.instances.get(id) else { continue };
            let value = encode(codecs, self.partition, instance).map_err(|reason| saved.store.damaged(reason))?;
            batch.put(Saved::key_of(id), value);
            frames::push(&mut changes, 0, id.as_bytes());
        }
        if !changes.is_empty() {
            batch.put(Saved::numbered(CHANGES, saved.next), changes);
        }
        let held_from = self.memory.first_record(Offset(i64::MAX));
        let forgotten = saved.kept.iter().take_while(|kept| kept.last < held_from).count();
        saved.kept.iter().take(forgotten).for_each(|kept| batch.remove(Saved::numbered(OUTCOMES, kept.number)));
        if !saved.outcomes.is_empty() {
            let mut records = Vec::with_capacity(saved.outcomes_bytes + saved.outcomes.len() * 12);
            saved.outcomes.iter().for_each(|(offset, value)| frames::push(&mut records, offset.0, value));
            batch.put(Saved::numbered(OUTCOMES, saved.next), records);
        }
        (saved.uncovered..saved.covered).for_each(|number| batch.remove(Saved::numbered(CHANGES, number)));
        if is_whole {
            let positions = Positions { next: saved.next + 1, ..positions };
            let written = Written { stamp: &saved.stamp, positions: &positions };
            let written = serde_json::to_vec(&written).map_err(|error| saved.store.damaged(error.to_string()))?;
            batch.put(POSITIONS, written);
        } else {
            batch.remove(POSITIONS);
        }
        saved.store.write(batch)?;
        drop(saved.kept.drain(..forgotten));
        if let Some((last, _)) = saved.outcomes.last() {
            saved.kept.push_back(Kept { number: saved.next, last: *last });
        }
        saved.next += 1;
        saved.uncovered = saved.uncovered.max(saved.covered);
        saved.has_positions = is_whole;
        if is_whole {
            saved.written = self.commands_offset;
        }
        for id in &ids {
            saved.changed.remove(id);
        }
        saved.outcomes.clear();
        saved.outcomes_bytes = 0;
        Ok(())
    }

    fn positions(&self) -> Positions {
        Positions {
            sequence: self.sequence,
            time: self.time,
            commands: self.commands_offset,
            events: self.events_offset,
            outcomes: self.outcomes_offset,
            parked: self.parked.first_record(self.parked_offset),
            forgotten: self.memory.forgotten(),
            events_since_checkpoint: self.events_since_checkpoint,
            last_outcomes: self.saved.as_ref().and_then(|saved| saved.last_outcomes),
            next: 0,
        }
    }

    /// Lets go of aggregates that the store has, until there are an eighth less than the limit.
    fn let_go(&mut self, limit: usize) {
        let Some(saved) = &mut self.saved else { return };
        if self.instances.len() <= limit {
            return;
        }
        let mut spare = self.instances.len() - (limit - limit / 8);
        // Those asked for since the last time have a second chance.
        for spares_used in [true, false] {
            self.instances.retain(|id, instance| {
                let stays = spare == 0 || saved.changed.contains(id) || (spares_used && instance.was_used);
                instance.was_used = false;
                spare -= usize::from(!stays);
                stays
            });
        }
        saved.holds_all = false;
    }
}

fn encode<A: Aggregate>(codecs: &Codecs<A>, partition: Partition, instance: &Instance<A>) -> Result<Bytes, String> {
    let (version, sequence) = (instance.version, instance.sequence);
    let head = SnapshotHead { version, partition, sequence, state: A::STATE };
    codecs.snapshots.encode(&head, Data::User(&instance.state)).map_err(|error| error.to_string())
}
