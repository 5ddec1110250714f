//! Restoring a partition: snapshots, then the events after the checkpoint, then the remembered outcomes,
//! each to the high watermark of the moment, as seen read-committed.
//!
//! A cold restore starts from nothing; a warm one, after a batch that did not commit, from the state
//! before it. It goes in steps, so that the lane can poll its group in between.

mod folding;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use uuid::Uuid;

use super::error::PartitionError;
use super::partition::Owned;
use super::settings::ProcessorSettings;
use crate::aggregate::Aggregate;
use crate::aggregate::codecs::Codecs;
use crate::clock::Clock;
use crate::command::Deduplication;
use crate::event::Checkpoint;
use crate::log::{Isolation, Log, LogError, Member, RangeReader, Reader, Record, TopicPartition};
use crate::position::{Offset, Partition, Sequence};

/// Of at least how many of the last commands with events it is checked that they have outcomes.
const TORN_CHECK_COMMANDS: usize = 100_000;
/// What a broker's clock may differ from this machine's when it deletes by age.
const RETENTION_MARGIN: Duration = Duration::from_mins(10);
/// After how long without progress others have their turn.
const STANDSTILL: Duration = Duration::from_millis(50);
/// How long an open transaction may hold the restore up before the previous owner is taken for lost.
const OWNER_LOST: Duration = Duration::from_millis(500);

/// What a restore works with; the lane's own.
pub(super) struct Tools<'a, A: Aggregate> {
    pub log: &'a dyn Log,
    pub member: &'a mut dyn Member,
    pub reader: &'a mut dyn Reader,
    pub codecs: &'a Codecs<A>,
    pub settings: &'a ProcessorSettings,
    /// How long outcomes are kept on their topic.
    pub retention: Duration,
    /// The lane's own transactional ids, which are never to be fenced.
    pub own_ids: &'a str,
    pub clock: &'a Clock,
}

/// A restore under way.
#[derive(Debug)]
pub(super) struct Restore<A: Aggregate> {
    owned: Owned<A>,
    stage: Stage,
    warm: bool,
    committed: Option<Offset>,
    /// The previous owner's transactional ids, to be ended if it left a transaction open.
    owner_ids: Vec<String>,
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
    moved: std::time::Instant,
}

#[derive(Debug)]
enum Stage {
    Committed,
    Snapshots(RangeReader),
    Events(RangeReader),
    Outcomes(RangeReader),
}

/// What one step came to.
pub(super) enum Step<A: Aggregate> {
    /// There is more to read.
    More(Box<Restore<A>>),
    /// Restored: judge on from `owned.commands_offset`.
    Done(Box<Owned<A>>),
}

impl<A: Aggregate> Restore<A> {
    /// From nothing.
    pub fn cold(partition: Partition, settings: &ProcessorSettings) -> Self {
        let memory = Deduplication::new(settings.remember(), settings.remember_limit);
        Self::begin(Owned::new(partition, memory), false)
    }

    /// From the state before a batch that did not commit.
    pub fn warm(owned: Owned<A>) -> Self {
        Self::begin(owned, true)
    }

    fn begin(owned: Owned<A>, warm: bool) -> Self {
        Self {
            owned,
            stage: Stage::Committed,
            warm,
            committed: None,
            owner_ids: Vec::new(),
            checkpoint: None,
            unanswered: [HashMap::new(), HashMap::new()],
            answered_from: Offset::ZERO,
            last_outcomes: None,
            outcomes_reach_back: true,
            useless: HashSet::new(),
            moved: crate::clock::instant(),
        }
    }

    /// Whether it moved lately.
    pub fn got_on(&self) -> bool {
        self.moved.elapsed() < STANDSTILL
    }

    /// What it is doing, for people.
    pub fn progress(&self) -> String {
        let reading = |what: &str, range: &RangeReader| format!("{what} {} of {}", range.next_offset(), range.until());
        match &self.stage {
            Stage::Committed => "asks for the committed offset".to_owned(),
            Stage::Snapshots(range) => reading("reads snapshots,", range),
            Stage::Events(range) => reading("reads events,", range),
            Stage::Outcomes(range) => reading("reads outcomes,", range),
        }
    }

    /// Goes one step further. After a temporary error the caller starts anew.
    pub fn step(mut self, tools: &mut Tools<'_, A>) -> Result<Step<A>, PartitionError> {
        match std::mem::replace(&mut self.stage, Stage::Committed) {
            Stage::Committed => self.ask_committed(tools)?,
            Stage::Snapshots(mut range) => {
                let Some(records) = self.read(&mut range, tools)? else {
                    self.begin_events(tools)?;
                    return Ok(Step::More(Box::new(self)));
                };
                for record in records {
                    self.take_snapshot(&record, tools.codecs)?;
                }
                self.stage = Stage::Snapshots(range);
            }
            Stage::Events(mut range) => {
                let Some(records) = self.read(&mut range, tools)? else {
                    self.owned.events_offset = range.next_offset();
                    self.begin_outcomes(tools)?;
                    return Ok(Step::More(Box::new(self)));
                };
                for record in records {
                    self.take_event(&record, tools.codecs)?;
                }
                self.stage = Stage::Events(range);
            }
            Stage::Outcomes(mut range) => {
                let Some(records) = self.read(&mut range, tools)? else {
                    self.owned.outcomes_offset = range.next_offset();
                    return Ok(Step::Done(Box::new(self.finish(tools)?)));
                };
                for record in records {
                    self.take_outcomes(&record, tools.codecs, tools.clock)?;
                }
                self.stage = Stage::Outcomes(range);
            }
        }
        Ok(Step::More(Box::new(self)))
    }

    fn read(
        &mut self,
        range: &mut RangeReader,
        tools: &mut Tools<'_, A>,
    ) -> Result<Option<Vec<Record>>, PartitionError> {
        let before = range.next_offset();
        let records = range.step(tools.log, tools.reader)?;
        if range.next_offset() > before {
            self.moved = crate::clock::instant();
        } else if records.is_some() && self.moved.elapsed() > OWNER_LOST && !self.owner_ids.is_empty() {
            self.end_owners_transactions(range, tools.log, tools.own_ids)?;
        }
        Ok(records)
    }

    /// Ends the open transactions of an owner that is gone; else they would block every reader of the
    /// partitions they touched until the broker times them out.
    ///
    /// Only if one is really open: a live owner that merely handed this partition over would be fenced.
    fn end_owners_transactions(&mut self, range: &RangeReader, log: &dyn Log, own_ids: &str) -> Result<(), LogError> {
        let stable = log.bounds(std::slice::from_ref(range.partition()), Isolation::Committed)?[0].end;
        self.moved = crate::clock::instant();
        if stable >= range.until() {
            return Ok(());
        }
        for id in self.owner_ids.drain(..).filter(|id| !own_ids.split(',').any(|own| own == id)) {
            tracing::info!(
                partition = self.owned.partition.0,
                transactional_id = id,
                "ends the previous owner's transaction"
            );
            drop(log.writer(&id)?);
        }
        Ok(())
    }

    fn ask_committed(&mut self, tools: &mut Tools<'_, A>) -> Result<(), PartitionError> {
        let commands = tools.codecs.topics.commands.partition(self.owned.partition);
        let committed = tools.member.committed(std::slice::from_ref(&commands))?.pop().flatten();
        if let Some(committed) = committed {
            self.committed = Some(committed.offset);
            self.owner_ids = committed.metadata.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        }
        self.moved = crate::clock::instant();
        if self.warm {
            return self.begin_events(tools);
        }
        let snapshots = tools.codecs.topics.snapshots.partition(self.owned.partition);
        self.stage = Stage::Snapshots(range_from_low(tools, snapshots, Offset::ZERO)?.0);
        Ok(())
    }

    fn begin_events(&mut self, tools: &mut Tools<'_, A>) -> Result<(), PartitionError> {
        let events = tools.codecs.topics.events.partition(self.owned.partition);
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
            self.owned.instances.clear();
        } else if let Some(checkpoint) = &self.checkpoint {
            self.owned.sequence = checkpoint.sequence;
            self.owned.time = checkpoint.partition_time;
            self.owned.events_offset = checkpoint.events_offset;
        }
        let (range, low) = range_from_low(tools, events.clone(), self.owned.events_offset)?;
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

    fn begin_outcomes(&mut self, tools: &mut Tools<'_, A>) -> Result<(), PartitionError> {
        let outcomes = tools.codecs.topics.outcomes.partition(self.owned.partition);
        let wanted = match &self.checkpoint {
            Some(checkpoint) if !self.warm => checkpoint.outcomes_offset,
            _ => self.owned.outcomes_offset,
        };
        let (range, low) = range_from_low(tools, outcomes, wanted)?;
        self.outcomes_reach_back = low <= wanted;
        if let Some(checkpoint) = self.checkpoint.as_ref().filter(|_| !self.warm) {
            self.owned.memory.raise_forgotten(checkpoint.forgotten);
        }
        self.stage = Stage::Outcomes(range);
        Ok(())
    }

    fn finish(mut self, tools: &mut Tools<'_, A>) -> Result<Owned<A>, PartitionError> {
        let outcomes = tools.codecs.topics.outcomes.partition(self.owned.partition);
        let commands = tools.codecs.topics.commands.partition(self.owned.partition);
        if self.outcomes_reach_back {
            if let Some((command_id, id)) = self.unanswered.iter().flatten().next() {
                return Err(PartitionError::Torn { partition: outcomes, id: id.to_string(), command_id: *command_id });
            }
        } else {
            // What the topic's retention deleted cannot be told from what never was. It was at least as old
            // as the retention; what was appended since is held.
            let deleted_until = tools.clock.now().minus(tools.retention).plus(RETENTION_MARGIN);
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
        let from = self.resolve_offset(tools)?;
        self.owned.commands_offset = pass_markers(tools.log, tools.reader, &commands, from)?;
        self.owned.checkpoint_at = tools.clock.now();
        Ok(self.owned)
    }

    /// Where to go on judging. The offsets of an idle group expire: then the last outcomes record, or the
    /// checkpoint, says what was judged last.
    fn resolve_offset(&self, tools: &Tools<'_, A>) -> Result<Offset, PartitionError> {
        let commands = tools.codecs.topics.commands.partition(self.owned.partition);
        let low = tools.log.bounds(std::slice::from_ref(&commands), Isolation::Uncommitted)?[0].low;
        let known = self.last_outcomes.map(|(_, next)| next).or(self.checkpoint.as_ref().map(|it| it.commands_offset));
        let known = if self.warm { Some(self.owned.commands_offset.max(known.unwrap_or_default())) } else { known };
        let committed = self.committed.or(known).unwrap_or(low);
        if committed < low {
            return Err(PartitionError::LostCommands { partition: commands, committed, low });
        }
        Ok(committed)
    }
}

/// Where to go on judging: `from`, or the end if there is no command between. Else what is left there, the
/// marker of a transaction that handed a command on, would look like lost commands once it is deleted.
pub(super) fn pass_markers(
    log: &dyn Log,
    reader: &mut dyn Reader,
    commands: &TopicPartition,
    from: Offset,
) -> Result<Offset, LogError> {
    const MARKERS_WAIT: Duration = Duration::from_millis(100);
    let end = log.bounds(std::slice::from_ref(commands), Isolation::Committed)?[0].end;
    if end <= from {
        return Ok(from);
    }
    let stretch = reader.read(commands, from, end, MARKERS_WAIT, 1)?;
    Ok(if stretch.records.is_empty() { stretch.next } else { from })
}

/// A range from `wanted`, or from the first offset held if that is later, to the present end.
fn range_from_low<A: Aggregate>(
    tools: &Tools<'_, A>,
    partition: TopicPartition,
    wanted: Offset,
) -> Result<(RangeReader, Offset), LogError> {
    let low = tools.log.bounds(std::slice::from_ref(&partition), Isolation::Uncommitted)?[0].low;
    let range = RangeReader::to_present_end(tools.log, partition, wanted.max(low), tools.settings.stall())?;
    Ok((range, low))
}
