//! What every restore has in common: where the group stands, reading topics to their present end, and
//! ending what a lost owner left open.

use std::time::{Duration, Instant};

use super::processor::{Committed, Processor, Step};
use super::status::Progress;
use crate::clock::{self, Clock};
use crate::log::{Isolation, Log, LogError, Member, RangeReader, Reader, Record, StallError, TopicPartition};
use crate::position::{Offset, Partition};

/// After how long without progress others have their turn.
const STANDSTILL: Duration = Duration::from_millis(50);
/// How long an open transaction may hold the restore up before the previous owner is taken for lost.
const OWNER_LOST: Duration = Duration::from_millis(500);
/// Between the transactional ids and a processor's note, in a committed offset's metadata.
const NOTE: char = ';';

/// What is kept with a committed offset: the owner's transactional ids, and a processor's note.
pub(super) fn metadata(transactional_ids: &str, note: Option<String>) -> String {
    match note {
        None => transactional_ids.to_owned(),
        Some(note) => format!("{transactional_ids}{NOTE}{note}"),
    }
}

/// A restore under way.
pub(super) struct Restoring<P: Processor> {
    partition: Partition,
    stage: Stage<P>,
    predecessor: Predecessor,
}

enum Stage<P: Processor> {
    /// Asks where the group stands.
    Committed(Option<P::State>),
    Reading(P::Restore),
}

/// How a restore gets on, and who owned the partition before.
struct Predecessor {
    /// Its transactional ids, to be ended if it left a transaction open.
    ids: Vec<String>,
    /// When the restore last moved.
    moved: Instant,
}

/// What a lane gives to a restore.
pub(super) struct Means<'a> {
    pub log: &'a dyn Log,
    pub member: &'a mut dyn Member,
    pub reader: &'a mut dyn Reader,
    pub clock: &'a Clock,
    pub stall: Duration,
    /// The lane's own transactional ids, which are never to be fenced.
    pub own_ids: &'a str,
}

/// What a restore works with.
pub(crate) struct Tools<'a> {
    /// The log.
    pub log: &'a dyn Log,
    /// The wall clock.
    pub clock: &'a Clock,
    reader: &'a mut dyn Reader,
    stall: Duration,
    own_ids: &'a str,
    predecessor: &'a mut Predecessor,
}

impl<P: Processor> Restoring<P> {
    /// From nothing, or from the state before a batch that was not committed.
    pub fn of(partition: Partition, before: Option<P::State>) -> Self {
        let predecessor = Predecessor { ids: Vec::new(), moved: clock::instant() };
        Self { partition, stage: Stage::Committed(before), predecessor }
    }

    /// Whether it moved lately.
    pub fn got_on(&self) -> bool {
        self.predecessor.moved.elapsed() < STANDSTILL
    }

    /// What it is doing, for people.
    pub fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Committed(_) => "asks for the committed offset".into(),
            Stage::Reading(restore) => P::progress(restore),
        }
    }

    /// Goes one step further.
    pub fn step(mut self, processor: &P, means: Means<'_>) -> Result<Step<Self, P::State>, P::Error> {
        let Self { partition, stage, predecessor } = &mut self;
        let Means { log, member, reader, clock, stall, own_ids } = means;
        let stage = std::mem::replace(stage, Stage::Committed(None));
        let restore = match stage {
            Stage::Committed(before) => {
                let committed = predecessor.ask(member, &processor.input().partition(*partition))?;
                processor.restore(*partition, committed, before)
            }
            Stage::Reading(restore) => {
                let mut tools = Tools { log, clock, reader, stall, own_ids, predecessor };
                match processor.step(restore, &mut tools)? {
                    Step::More(restore) => restore,
                    Step::Done(restored) => return Ok(Step::Done(restored)),
                }
            }
        };
        self.stage = Stage::Reading(restore);
        Ok(Step::More(self))
    }
}

impl Predecessor {
    fn ask(&mut self, member: &mut dyn Member, input: &TopicPartition) -> Result<Option<Committed>, LogError> {
        let committed = member.committed(std::slice::from_ref(input))?.pop().flatten();
        self.moved = clock::instant();
        Ok(committed.map(|committed| {
            let (ids, note) = match committed.metadata.split_once(NOTE) {
                Some((ids, note)) => (ids, Some(note.to_owned())),
                None => (committed.metadata.as_str(), None),
            };
            self.ids = ids.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
            Committed { offset: committed.offset, note }
        }))
    }
}

impl Tools<'_> {
    /// The next records of a range; `None` at its end.
    pub fn read(&mut self, range: &mut RangeReader) -> Result<Option<Vec<Record>>, StallError> {
        let before = range.next_offset();
        let records = range.step(self.log, self.reader)?;
        let Predecessor { ids, moved } = self.predecessor;
        if range.next_offset() > before {
            *moved = clock::instant();
        } else if records.is_some() && moved.elapsed() > OWNER_LOST && !ids.is_empty() {
            self.end_owners_transactions(range)?;
        }
        Ok(records)
    }

    /// Ends the open transactions of an owner that is gone; else they would block every reader of the
    /// partitions they touched until the broker times them out.
    ///
    /// Only if one is really open: a live owner that merely handed this partition over would be fenced.
    fn end_owners_transactions(&mut self, range: &RangeReader) -> Result<(), LogError> {
        let stable = self.log.bounds(std::slice::from_ref(range.partition()), Isolation::Committed)?[0].end;
        self.predecessor.moved = clock::instant();
        if stable >= range.until() {
            return Ok(());
        }
        for id in self.predecessor.ids.drain(..).filter(|id| !self.own_ids.split(',').any(|own| own == id)) {
            let partition = range.partition();
            tracing::info!(%partition, transactional_id = id, "ends the previous owner's transaction");
            drop(self.log.writer(&id)?);
        }
        Ok(())
    }

    /// A range from `wanted`, or from the first offset held if that is later, to the present end; and that
    /// first offset.
    pub fn range(&self, partition: TopicPartition, wanted: Offset) -> Result<(RangeReader, Offset), LogError> {
        let low = self.low(&partition)?;
        let range = RangeReader::to_present_end(self.log, partition, wanted.max(low), self.stall)?;
        Ok((range, low))
    }

    /// The first offset held.
    pub fn low(&self, partition: &TopicPartition) -> Result<Offset, LogError> {
        Ok(self.log.bounds(std::slice::from_ref(partition), Isolation::Uncommitted)?[0].low)
    }

    /// See [`pass_markers`].
    pub fn pass_markers(&mut self, input: &TopicPartition, from: Offset) -> Result<Offset, LogError> {
        pass_markers(self.log, self.reader, input, from)
    }
}

/// Where to go on in the input: `from`, or the end if there is no record between. Else what is left there,
/// the marker of a transaction, would look like lost records once it is deleted.
pub(super) fn pass_markers(
    log: &dyn Log,
    reader: &mut dyn Reader,
    input: &TopicPartition,
    from: Offset,
) -> Result<Offset, LogError> {
    const MARKERS_WAIT: Duration = Duration::from_millis(100);
    let end = log.bounds(std::slice::from_ref(input), Isolation::Committed)?[0].end;
    if end <= from {
        return Ok(from);
    }
    let stretch = reader.read(input, from, end, MARKERS_WAIT, 1)?;
    Ok(if stretch.records.is_empty() { stretch.next } else { from })
}
