//! What every restore has in common: it asks where the group stands, then goes in steps.

use std::time::Duration;

use super::processor::{Committed, Processor, Step};
use super::status::Progress;
use super::tools::{Predecessor, Tools};
use crate::clock::{self, Clock};
use crate::log::{Log, LogError, Member, Reader, TopicPartition};
use crate::position::Partition;

/// After how long without progress others have their turn.
const STANDSTILL: Duration = Duration::from_millis(50);
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

impl<P: Processor> Restoring<P> {
    /// From nothing, or from the state before a batch that was not committed.
    pub fn of(partition: Partition, before: Option<P::State>) -> Self {
        let predecessor = Predecessor { ids: Vec::new(), moved: clock::instant() };
        Self { partition, stage: Stage::Committed(before), predecessor }
    }

    /// Whether it moved lately.
    pub fn got_on(&self) -> bool {
        clock::elapsed(self.predecessor.moved) < STANDSTILL
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
