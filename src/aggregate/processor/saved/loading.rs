//! Beginning from what the local store has, if it is of this log.

use std::sync::Arc;

use hashbrown::HashSet;
use serde::Deserialize;

use super::super::partition::Owned;
use super::super::settings::ProcessorSettings;
use super::frames::{self, Frame};
use super::{CHANGES, Kept, OUTCOMES, POSITIONS, Positions, Saved, Stamp};
use crate::aggregate::Aggregate;
use crate::aggregate::codecs::Codecs;
use crate::clock::Timestamp;
use crate::lane::Tools;
use crate::log::{Isolation, LogError, TopicPartition};
use crate::position::Offset;
use crate::schema::DecodeError;
use crate::store::local::LocalStoreError;

/// After how many checkpoints' worth of records a store is too old: from the last checkpoint it is less to read.
const TOO_OLD_CHECKPOINTS: u64 = 10;

/// Why a partition is not begun from what the store has.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Unfit {
    /// It is not of this log, or not of this release, or cannot be understood.
    #[error("{0}")]
    Other(String),
    /// The store itself fails.
    #[error(transparent)]
    Store(#[from] LocalStoreError),
    /// The log is away.
    #[error(transparent)]
    Log(#[from] LogError),
}

#[derive(Deserialize)]
struct Written {
    stamp: Stamp,
    positions: Positions,
}

fn other(reason: impl Into<String>) -> Unfit {
    Unfit::Other(reason.into())
}

impl Saved {
    /// The positions, if they are of this stamp and there is more; none if the store has never been begun from.
    fn left(&self) -> Result<Option<Positions>, Unfit> {
        let Some(value) = self.store.get(POSITIONS).map_err(|error| self.unreadable(error))? else { return Ok(None) };
        let written: Written =
            serde_json::from_slice(&value).map_err(|error| other(format!("its positions cannot be read: {error}")))?;
        if written.stamp != self.stamp {
            return Err(other(format!("it was made from {:?}, and this is {:?}", written.stamp, self.stamp)));
        }
        Ok(Some(written.positions))
    }

    fn numbered_values(&self, kind: u8) -> Result<Vec<(u64, Vec<Frame>)>, Unfit> {
        let mut found = Vec::new();
        for entry in self.store.each(&[kind]) {
            let (key, value) = entry.map_err(|error| self.unreadable(error))?;
            let number = key.try_into().ok().map(u64::from_be_bytes);
            let (Some(number), Some(frames)) = (number, frames::read(value)) else {
                return Err(other(format!("a value of kind {:?} cannot be understood", char::from(kind))));
            };
            found.push((number, frames));
        }
        Ok(found)
    }
}

impl<A: Aggregate> Owned<A> {
    /// Takes over what the store has, all but the aggregates: they are read when they are asked for. Says
    /// whether there was anything. After an error this partition is of no use.
    pub fn take_saved(&mut self, codecs: &Codecs<A>, now: Timestamp) -> Result<bool, Unfit> {
        let Some(saved) = &mut self.saved else { return Ok(false) };
        let Some(positions) = saved.left()? else { return Ok(false) };
        let mut changed = HashSet::new();
        saved.uncovered = positions.next;
        for (number, ids) in saved.numbered_values(CHANGES)? {
            saved.uncovered = saved.uncovered.min(number);
            for (_, id) in ids {
                let id = std::str::from_utf8(&id).map_err(|_| other("an aggregate's id is no text"))?;
                changed.insert(Arc::from(id));
            }
        }
        saved.covered = saved.uncovered;
        for (number, records) in saved.numbered_values(OUTCOMES)? {
            let Some(last) = records.last().map(|(last, _)| Offset(*last)) else { continue };
            for (offset, record) in records {
                let outcomes = codecs.outcomes.decode(&record).map_err(|error| match error {
                    DecodeError::RegistryAway(reason) => Unfit::Log(LogError::Unavailable(reason)),
                    error => other(format!("the outcomes at offset {offset} cannot be read: {error}")),
                })?;
                let appended_at = outcomes.entries.last().map(|entry| entry.appended_at);
                outcomes.entries.into_iter().for_each(|entry| self.memory.remember(entry, Offset(offset)));
                if let Some(appended_at) = appended_at {
                    self.memory.forget(appended_at.min(now));
                }
            }
            saved.kept.push_back(Kept { number, last });
        }
        saved.next = positions.next;
        saved.last_outcomes = positions.last_outcomes;
        (saved.written, saved.written_at) = (positions.commands, now);
        saved.has_positions = true;
        saved.holds_all = false;
        self.memory.raise_forgotten(positions.forgotten);
        self.is_dirty = !changed.is_empty();
        self.changed = changed;
        self.sequence = positions.sequence;
        self.time = positions.time;
        self.commands_offset = positions.commands;
        self.events_offset = positions.events;
        self.outcomes_offset = positions.outcomes;
        self.parked_offset = positions.parked;
        self.events_since_checkpoint = positions.events_since_checkpoint;
        Ok(true)
    }

    /// Whether the log holds everything from these positions on, and does not end before them.
    pub fn check_reach(
        &self,
        codecs: &Codecs<A>,
        settings: &ProcessorSettings,
        tools: &Tools<'_>,
    ) -> Result<(), Unfit> {
        let topics = &codecs.topics;
        let known = self.saved.as_ref().and_then(Saved::last_outcomes);
        if known.is_none() && self.sequence.0 > 0 {
            return Err(other("it has no outcomes to be known again by"));
        }
        let outcomes_from = known.map_or(self.outcomes_offset, |known| known.offset);
        let starts = [
            (topics.events.partition(self.partition), self.events_offset),
            (topics.outcomes.partition(self.partition), outcomes_from),
            (topics.outcomes.partition(self.partition), self.outcomes_offset),
            (topics.parked.partition(self.partition), self.parked_offset),
        ];
        let partitions: Vec<TopicPartition> = starts.iter().map(|(partition, _)| partition.clone()).collect();
        let bounds = tools.log.bounds(&partitions, Isolation::Uncommitted)?;
        for ((partition, start), bounds) in starts.iter().zip(&bounds) {
            if *start < bounds.low || *start > bounds.end {
                return Err(other(format!(
                    "it stands at offset {start} of {partition}, which holds {} to {}",
                    bounds.low, bounds.end
                )));
            }
        }
        let behind = starts.iter().zip(&bounds).map(|((_, start), bounds)| bounds.end.0 - start.0).max().unwrap_or(0);
        if u64::try_from(behind).unwrap_or(0) > settings.checkpoint_events.saturating_mul(TOO_OLD_CHECKPOINTS) {
            return Err(other(format!("it is {behind} records behind, more than a restore from a checkpoint reads")));
        }
        Ok(())
    }
}
