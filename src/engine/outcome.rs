//! Looks an outcome up: by the time that its command was issued, in the one partition where it stands.
//!
//! An outcome stands on the outcomes topic in the order of its command, not before the command was issued
//! but for what clocks differ. A command that is not judged yet is looked for among the commands
//! themselves; one that was parked has its outcome later than those around it.

use std::time::Duration;

use memchr::memmem;
use uuid::Uuid;

use super::readers::ReadersError;
use super::{AggregateGate, EventsError};
use crate::clock::{self, Timestamp};
use crate::command::{Outcome, OutcomeEntry};
use crate::log::{Isolation, Log, RangeReader, Reader, Record, StallError, TopicPartition};
use crate::position::{Offset, Partition};

/// How far the clocks of clients, workers and brokers are believed to be apart mostly, and at most.
const NEAR: Duration = Duration::from_secs(2);
const SKEW: Duration = Duration::from_mins(2);

/// Who looks up waits no longer.
const LONGEST: Duration = Duration::from_secs(10);

/// What is known of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum LookUp {
    /// What became of it.
    Judged(Outcome),
    /// It is written, and not judged yet.
    Pending,
    /// Nothing: it was never written, or longer ago than outcomes are kept.
    Unknown,
}

/// Why nothing can be said of a command.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// Nothing was read.
    #[error(transparent)]
    Readers(#[from] ReadersError),
    /// The log.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// There is too much to look through.
    #[error("the outcome was not found within {LONGEST:?}; try again")]
    TooLong,
}

impl LookUpError {
    /// Whether trying again may help.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Readers(error) => error.is_temporary(),
            Self::Events(error) => error.is_temporary(),
            Self::TooLong => true,
        }
    }
}

impl From<crate::log::LogError> for LookUpError {
    fn from(error: crate::log::LogError) -> Self {
        Self::Readers(error.into())
    }
}

impl From<StallError> for LookUpError {
    fn from(error: StallError) -> Self {
        Self::Events(error.into())
    }
}

/// What is looked for, and with what.
pub(super) struct Search<'s> {
    pub log: &'s dyn Log,
    pub reader: &'s mut dyn Reader,
    pub aggregate: &'s dyn AggregateGate,
    pub partition: Partition,
    pub id: &'s str,
    pub command_id: Uuid,
    pub issued_at: Timestamp,
    /// How long after it was issued a command may be written and still be judged.
    pub remembered: Duration,
}

impl Search<'_> {
    /// Blocks.
    pub(super) fn run(mut self) -> Result<LookUp, LookUpError> {
        let begun = clock::instant();
        let place = self.aggregate.topics().outcomes.partition(self.partition);
        let (near, last) = (self.issued_at.minus(NEAR), self.issued_at.plus(self.remembered + SKEW));
        let end = self.end(&place)?;
        let first = self.log.offset_at(&place, near)?.unwrap_or(end).min(end);
        if let Some(outcome) = self.among_outcomes(&place, first, end, Some(last), begun)? {
            return Ok(LookUp::Judged(outcome));
        }
        let earlier = self.log.offset_at(&place, self.issued_at.minus(SKEW))?.unwrap_or(end).min(first);
        if let Some(outcome) = self.among_outcomes(&place, earlier, first, None, begun)? {
            return Ok(LookUp::Judged(outcome));
        }
        if !self.is_among_commands(last, begun)? {
            return Ok(LookUp::Unknown);
        }
        // It may have been judged meanwhile, or was parked and is judged late.
        let end = self.end(&place)?;
        let found = self.among_outcomes(&place, first, end, None, begun)?;
        Ok(found.map_or(LookUp::Pending, LookUp::Judged))
    }

    fn end(&self, place: &TopicPartition) -> Result<Offset, LookUpError> {
        Ok(self.log.bounds(std::slice::from_ref(place), Isolation::Committed)?[0].end)
    }

    /// Its outcome in a stretch; not beyond commands that were written after `last`.
    fn among_outcomes(
        &mut self,
        place: &TopicPartition,
        from: Offset,
        until: Offset,
        last: Option<Timestamp>,
        begun: std::time::Instant,
    ) -> Result<Option<Outcome>, LookUpError> {
        let text = self.command_id.to_string();
        let (id, aggregate, command_id) = (self.id, self.aggregate, self.command_id);
        let mut about_copy = None;
        let found = self.scan(place, from, until, begun, |record| {
            let value = record.value.as_deref().unwrap_or_default();
            let is_late = last.is_some_and(|last| record.timestamp > last);
            // Most records are passed over without being read.
            if !is_late && memmem::find(value, text.as_bytes()).is_none() {
                return Ok(None);
            }
            let outcomes = aggregate.outcomes(record)?;
            let is_it = |entry: &OutcomeEntry| *entry.aggregate_id == *id && entry.command_id == command_id;
            let past = last.is_some_and(|last| outcomes.entries.last().is_some_and(|entry| entry.appended_at > last));
            let mut entries = outcomes.entries;
            entries.retain(is_it);
            if let Some(place) = entries.iter().position(|entry| !entry.about_copy) {
                return Ok(Some(Some(entries.swap_remove(place).outcome)));
            }
            about_copy = about_copy.take().or_else(|| entries.pop().map(|entry| entry.outcome));
            Ok(past.then_some(None))
        })?;
        Ok(found.flatten().or(about_copy))
    }

    /// Whether it was written at all.
    fn is_among_commands(&mut self, last: Timestamp, begun: std::time::Instant) -> Result<bool, LookUpError> {
        let place = self.aggregate.topics().commands.partition(self.partition);
        let end = self.end(&place)?;
        let first = self.log.offset_at(&place, self.issued_at.minus(SKEW))?.unwrap_or(end).min(end);
        let (id, aggregate, command_id) = (self.id, self.aggregate, self.command_id);
        let found = self.scan(&place, first, end, begun, |record| {
            let is_it = record.key.as_deref() == Some(id.as_bytes())
                && aggregate.command_head(record).is_some_and(|head| head.id == command_id);
            Ok(if is_it { Some(true) } else { (record.timestamp > last).then_some(false) })
        })?;
        Ok(found.unwrap_or(false))
    }

    /// Reads a stretch until `each` comes to an end.
    fn scan<T>(
        &mut self,
        place: &TopicPartition,
        from: Offset,
        until: Offset,
        begun: std::time::Instant,
        mut each: impl FnMut(&Record) -> Result<Option<T>, EventsError>,
    ) -> Result<Option<T>, LookUpError> {
        let mut range = RangeReader::between(place.clone(), from, until, LONGEST);
        while let Some(records) = range.step(self.log, self.reader)? {
            for record in &records {
                if let Some(found) = each(record)? {
                    return Ok(Some(found));
                }
            }
            if begun.elapsed() > LONGEST {
                return Err(LookUpError::TooLong);
            }
        }
        Ok(None)
    }
}
