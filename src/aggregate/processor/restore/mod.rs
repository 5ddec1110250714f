//! Restoring a partition: snapshots, then the events after the checkpoint, then the remembered outcomes and
//! the commands of parked aggregates, each to the high watermark of the moment, as seen read-committed.
//!
//! A cold restore starts from nothing; a warm one from what the local store has, or, after a batch that did not
//! commit, from the state before it. It goes in steps, so that the lane can poll its group in between.

mod beginning;
mod folding;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use uuid::Uuid;

use super::error::PartitionError;
use super::judge::Judge;
use super::partition::Owned;
use super::saved::Saved;
use super::settings::ProcessorSettings;
use crate::aggregate::Aggregate;
use crate::aggregate::codecs::Codecs;
use crate::command::{CommandKey, Deduplication};
use crate::event::Checkpoint;
use crate::lane::{Progress, Step, Tools};
use crate::log::{LogError, RangeReader, TopicPartition};
use crate::position::{Offset, Partition, Sequence};

/// Of at least how many of the last commands with events it is checked that they have outcomes.
const TORN_CHECK_COMMANDS: usize = 100_000;
/// What a broker's clock may differ from this machine's when it deletes by age.
const RETENTION_MARGIN: Duration = Duration::from_mins(10);

/// A restore under way.
#[derive(Debug)]
pub(super) struct Restore<A: Aggregate> {
    owned: Owned<A>,
    stage: Stage,
    warm: bool,
    /// Whether it begins from what the local store has: where that does not fit the log, it begins anew.
    from_store: bool,
    /// Records read.
    records: usize,
    committed: Option<Offset>,
    checkpoint: Option<Checkpoint>,
    /// Commands of the events read, of which an outcome must follow, and of those before them.
    unanswered: [HashMap<Uuid, Arc<str>>; 2],
    /// From where on the commands of events must have outcomes among those read.
    answered_from: Offset,
    /// The sequence after the last outcomes record, and the command offset after it.
    last_outcomes: Option<(Sequence, Offset)>,
    /// Whether the outcomes were read from before the first event that was.
    outcomes_reach_back: bool,
    /// Aggregates whose latest snapshot is of no use: if there are any, all events are folded.
    useless: HashSet<Box<[u8]>>,
}

#[derive(Debug)]
enum Stage {
    Begun,
    /// Begins from the log alone.
    Cold,
    /// Looks whether the log has what the store says it has.
    Known(RangeReader),
    Snapshots(RangeReader),
    Events(RangeReader),
    Outcomes(RangeReader),
    Parked(RangeReader),
}

impl<A: Aggregate> Restore<A> {
    /// From nothing, or from the state before a batch that did not commit.
    pub fn begin(
        partition: Partition,
        committed: Option<Offset>,
        before: Option<Owned<A>>,
        settings: &ProcessorSettings,
    ) -> Self {
        let before = before.filter(|before| !before.saved.as_ref().is_some_and(Saved::is_lost));
        let warm = before.is_some();
        let memory = || Deduplication::new(settings.remember(), settings.remember_limit);
        Self {
            owned: before.unwrap_or_else(|| Owned::new(partition, memory())),
            stage: Stage::Begun,
            warm,
            from_store: false,
            records: 0,
            committed,
            checkpoint: None,
            unanswered: [HashMap::new(), HashMap::new()],
            answered_from: Offset::ZERO,
            last_outcomes: None,
            outcomes_reach_back: true,
            useless: HashSet::new(),
        }
    }

    /// What it is doing, for people.
    pub fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Begun | Stage::Cold => "begins".into(),
            Stage::Known(range) => Progress::reading("compares the local store", range),
            Stage::Snapshots(range) => Progress::reading("reads snapshots", range),
            Stage::Events(range) => Progress::reading("reads events", range),
            Stage::Outcomes(range) => Progress::reading("reads outcomes", range),
            Stage::Parked(range) => Progress::reading("reads parked commands", range),
        }
    }

    /// Goes one step further. After a temporary error the lane starts anew.
    pub fn step(
        mut self: Box<Self>,
        judge: &Judge<A>,
        tools: &mut Tools<'_>,
    ) -> Result<Step<Box<Self>, Owned<A>>, PartitionError> {
        match self.go_on(judge, tools) {
            Ok(false) => Ok(Step::More(self)),
            Ok(true) => Ok(Step::Done(self.owned)),
            Err(error) if self.from_store && error.is_about_content() => {
                // If the log is at fault, the restore from it alone will say so too.
                self.begin_anew(&error.to_string(), &judge.settings)?;
                Ok(Step::More(self))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it is done.
    fn go_on(&mut self, judge: &Judge<A>, tools: &mut Tools<'_>) -> Result<bool, PartitionError> {
        let codecs = &judge.codecs;
        match std::mem::replace(&mut self.stage, Stage::Begun) {
            Stage::Begun if self.warm => self.begin_events(codecs, tools)?,
            Stage::Begun => self.begin_from_store(judge, tools)?,
            Stage::Cold => self.begin_snapshots(codecs, tools)?,
            Stage::Known(range) => self.compare(range, judge, tools)?,
            Stage::Snapshots(mut range) => {
                let Some(records) = tools.read(&mut range)? else {
                    self.begin_events(codecs, tools)?;
                    return Ok(false);
                };
                self.records += records.len();
                for record in records {
                    self.take_snapshot(&record, codecs)?;
                }
                self.owned.make_room(codecs, &judge.settings)?;
                self.stage = Stage::Snapshots(range);
            }
            Stage::Events(mut range) => {
                let Some(records) = tools.read(&mut range)? else {
                    self.owned.events_offset = range.next_offset();
                    self.begin_outcomes(codecs, tools)?;
                    return Ok(false);
                };
                self.records += records.len();
                for record in records {
                    self.take_event(&record, codecs)?;
                }
                self.owned.make_room(codecs, &judge.settings)?;
                self.stage = Stage::Events(range);
            }
            Stage::Outcomes(mut range) => {
                let Some(records) = tools.read(&mut range)? else {
                    self.owned.outcomes_offset = range.next_offset();
                    self.begin_parked(codecs, tools)?;
                    return Ok(false);
                };
                self.records += records.len();
                for record in records {
                    self.take_outcomes(&record, codecs, tools.clock)?;
                }
                self.owned.make_room(codecs, &judge.settings)?;
                self.stage = Stage::Outcomes(range);
            }
            Stage::Parked(mut range) => {
                let Some(records) = tools.read(&mut range)? else {
                    self.owned.parked_offset = range.next_offset();
                    self.finish(judge, tools)?;
                    return Ok(true);
                };
                self.records += records.len();
                for record in records {
                    self.take_parked(&record, codecs)?;
                }
                self.stage = Stage::Parked(range);
            }
        }
        Ok(false)
    }

    fn begin_snapshots(&mut self, codecs: &Codecs<A>, tools: &Tools<'_>) -> Result<(), PartitionError> {
        let snapshots = codecs.topics.snapshots.partition(self.owned.partition);
        self.stage = Stage::Snapshots(tools.range(snapshots, Offset::ZERO)?.0);
        Ok(())
    }

    fn begin_events(&mut self, codecs: &Codecs<A>, tools: &Tools<'_>) -> Result<(), PartitionError> {
        let events = codecs.topics.events.partition(self.owned.partition);
        self.answered_from = self.checkpoint.as_ref().map_or(self.owned.events_offset, |it| it.events_offset);
        if !self.useless.is_empty() {
            tracing::warn!(
                partition = self.owned.partition.0,
                aggregate = A::NAME,
                useless = self.useless.len(),
                "snapshots are of no use to this release: all events of the partition are folded instead"
            );
        }
        if !self.useless.is_empty() || (!self.warm && self.checkpoint.is_none()) {
            self.owned.clear_instances()?;
        } else if let Some(checkpoint) = &self.checkpoint {
            self.owned.sequence = checkpoint.sequence;
            self.owned.time = checkpoint.partition_time;
            self.owned.events_offset = checkpoint.events_offset;
        }
        let (range, low) = tools.range(events.clone(), self.owned.events_offset)?;
        if low > self.owned.events_offset && range.until() > low {
            return Err(LogError::OutOfRange {
                partition: events,
                offset: self.owned.events_offset,
                low,
                end: range.until(),
            }
            .into());
        }
        self.stage = Stage::Events(range);
        Ok(())
    }

    fn begin_outcomes(&mut self, codecs: &Codecs<A>, tools: &Tools<'_>) -> Result<(), PartitionError> {
        let outcomes = codecs.topics.outcomes.partition(self.owned.partition);
        let wanted = match &self.checkpoint {
            Some(checkpoint) if !self.warm => checkpoint.outcomes_offset,
            _ => self.owned.outcomes_offset,
        };
        let (range, low) = tools.range(outcomes, wanted)?;
        self.outcomes_reach_back = low <= wanted;
        if let Some(checkpoint) = self.checkpoint.as_ref().filter(|_| !self.warm) {
            self.owned.memory.raise_forgotten(checkpoint.forgotten);
        }
        self.stage = Stage::Outcomes(range);
        Ok(())
    }

    fn begin_parked(&mut self, codecs: &Codecs<A>, tools: &Tools<'_>) -> Result<(), PartitionError> {
        let parked = codecs.topics.parked.partition(self.owned.partition);
        let wanted = match &self.checkpoint {
            Some(checkpoint) if !self.warm => checkpoint.parked_offset,
            _ => self.owned.parked_offset,
        };
        self.stage = Stage::Parked(tools.range(parked, wanted)?.0);
        Ok(())
    }

    /// A parked command with an outcome would be judged a second time.
    fn check_parked(&self, codecs: &Codecs<A>) -> Result<(), PartitionError> {
        for (id, queue) in self.owned.parked.iter() {
            for command in queue.iter() {
                if self.owned.memory.get(&CommandKey::new(id, command.command_id)).is_some() {
                    return Err(PartitionError::TornParked {
                        partition: codecs.topics.parked.partition(self.owned.partition),
                        id: id.to_string(),
                        command_id: command.command_id,
                    });
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, judge: &Judge<A>, tools: &mut Tools<'_>) -> Result<(), PartitionError> {
        let codecs = &judge.codecs;
        let outcomes = codecs.topics.outcomes.partition(self.owned.partition);
        let commands = codecs.topics.commands.partition(self.owned.partition);
        if self.outcomes_reach_back {
            if let Some((command_id, id)) = self.unanswered.iter().flatten().next() {
                return Err(PartitionError::Torn { partition: outcomes, id: id.to_string(), command_id: *command_id });
            }
        } else {
            // What the topic's retention deleted cannot be told from what never was. It was at least as old
            // as the retention; what was appended since is held.
            let deleted_until = tools.clock.now().minus(judge.topology.command_retention).plus(RETENTION_MARGIN);
            let oldest = self.owned.memory.oldest().unwrap_or(deleted_until);
            self.owned.memory.raise_forgotten(deleted_until.min(oldest));
        }
        if let Some((sequence, _)) = self.last_outcomes.filter(|(sequence, _)| *sequence != self.owned.sequence) {
            return Err(PartitionError::Disagreement {
                partition: outcomes,
                outcomes: sequence,
                events: self.owned.sequence,
            });
        }
        self.check_parked(codecs)?;
        self.owned.set_parked_size(self.owned.parked.size());
        let from = self.resolve_offset(&commands, tools)?;
        self.owned.commands_offset = tools.pass_markers(&commands, from)?;
        self.owned.checkpoint_at = tools.clock.now();
        self.tell();
        Ok(())
    }

    /// Where to go on judging. The offsets of an idle group expire: then the last outcomes record, or the
    /// checkpoint, says what was judged last.
    fn resolve_offset(&self, commands: &TopicPartition, tools: &Tools<'_>) -> Result<Offset, PartitionError> {
        let low = tools.low(commands)?;
        let known = self.last_outcomes.map(|(_, next)| next).or(self.checkpoint.as_ref().map(|it| it.commands_offset));
        let known = if self.warm { Some(self.owned.commands_offset.max(known.unwrap_or_default())) } else { known };
        let committed = self.committed.or(known).unwrap_or(low);
        if committed < low {
            return Err(PartitionError::LostCommands {
                aggregate: A::NAME,
                partition: commands.clone(),
                committed,
                low,
            });
        }
        Ok(committed)
    }
}
