//! The parked commands of one partition, beside its commands and outcomes: each waits from where it was
//! parked until it is judged or given up, in the order of its aggregate, and nothing else of that aggregate
//! is judged meanwhile.
//!
//! Memory: the commands that wait at one time, without their bytes.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use uuid::Uuid;

use super::VerifyError;
use super::records::{CommandRecord, Item, ParkedRecord, Stream};
use super::report::{Findings, Place, Rule};
use crate::command::{Judged, OutcomeEntry, ParkedChange, ParkedCommand, Skipped};
use crate::log::TopicPartition;
use crate::position::Offset;

/// What the parked topic says, up to where the audit is.
pub(super) struct Parked<'a> {
    stream: Stream<'a, ParkedRecord>,
    commands: TopicPartition,
    /// The first command offset whose outcome is held.
    answered_from: Option<Offset>,
    /// By the offset of the command.
    waiting: BTreeMap<Offset, Waiting>,
    by_aggregate: HashMap<String, BTreeSet<Offset>>,
}

/// A command that was parked, and whose outcome was not come across yet.
struct Waiting {
    aggregate_id: String,
    command_id: Uuid,
    /// The record that parked it.
    record: Offset,
    /// The command itself, once the audit is past it.
    command: Option<Result<CommandRecord, String>>,
    /// The control command that it waits no longer by.
    ended_by: Option<Offset>,
}

impl<'a> Parked<'a> {
    pub fn new(stream: Stream<'a, ParkedRecord>, commands: TopicPartition, answered_from: Option<Offset>) -> Self {
        Self { stream, commands, answered_from, waiting: BTreeMap::new(), by_aggregate: HashMap::new() }
    }

    /// Takes in what was done up to the command at `offset`.
    pub fn advance(&mut self, offset: Offset, findings: &mut Findings) -> Result<(), VerifyError> {
        let is_due = |item: &Item<ParkedRecord>| match &item.read {
            Ok((_, parked)) => !matches!(parked.change, ParkedChange::Parked(_)) || parked.offset <= offset,
            Err(_) => true,
        };
        while let Some(item) = self.stream.next_if(is_due)? {
            self.take(item, findings);
        }
        Ok(())
    }

    fn take(&mut self, item: Item<ParkedRecord>, findings: &mut Findings) {
        let Item { offset: record, read } = item;
        let (id, parked) = match read {
            Ok(read) => read,
            Err(reason) => {
                let place = Place::record(&self.stream.place, record, None);
                findings.add(Rule::Records, place, format!("this parked command cannot be read: {reason}"));
                return;
            }
        };
        let ParkedCommand { command_id, offset, change } = parked;
        let place = Place::record(&self.stream.place, record, Some(&id));
        let named = format!("command {command_id} (offset {offset})");
        let waiting = self.waiting.get_mut(&offset);
        match (change, waiting) {
            (ParkedChange::Parked(_), Some(_)) => {
                findings.add(Rule::Outcomes, place, format!("{named} was parked already"));
            }
            (ParkedChange::Parked(_), None) => {
                self.by_aggregate.entry_ref(id.as_str()).or_default().insert(offset);
                let waiting = Waiting { aggregate_id: id, command_id, record, command: None, ended_by: None };
                self.waiting.insert(offset, waiting);
            }
            (_, None) => findings.add(Rule::Outcomes, place, format!("{named} does not wait any more, or never did")),
            (ParkedChange::Retried(_), Some(_)) => {}
            (ParkedChange::Judged(Judged { by }) | ParkedChange::Skipped(Skipped { by }), Some(waiting)) => {
                if waiting.ended_by.is_some() {
                    findings.add(Rule::Outcomes, place, format!("{named} was judged or given up already"));
                }
                waiting.ended_by = Some(by);
                // Its outcome is deleted.
                if self.answered_from.is_none_or(|from| by < from) {
                    self.forget(offset);
                }
            }
        }
    }

    fn forget(&mut self, offset: Offset) -> Option<Waiting> {
        let waiting = self.waiting.remove(&offset)?;
        if let Some(others) = self.by_aggregate.get_mut(&waiting.aggregate_id) {
            others.remove(&offset);
            if others.is_empty() {
                self.by_aggregate.remove(&waiting.aggregate_id);
            }
        }
        Some(waiting)
    }

    /// Whether the command at this offset waits. What was done up to it must be taken in.
    pub fn is_waiting(&self, offset: Offset) -> bool {
        self.waiting.contains_key(&offset)
    }

    /// A command without an outcome at its own place: whether it waits.
    pub fn command(&mut self, command: &mut Item<CommandRecord>, findings: &mut Findings) -> bool {
        let Some(waiting) = self.waiting.get_mut(&command.offset) else { return false };
        if let Ok(read) = &command.read
            && (read.command_id != waiting.command_id || read.aggregate_id != waiting.aggregate_id)
        {
            let place = Place::record(&self.stream.place, waiting.record, Some(&waiting.aggregate_id));
            let what = format!(
                "command {} (offset {}) is parked where command {} of {:?} stands",
                waiting.command_id, command.offset, read.command_id, read.aggregate_id
            );
            findings.add(Rule::Agreement, place, what);
        }
        waiting.command = Some(std::mem::replace(&mut command.read, Err(String::new())));
        true
    }

    /// Whether a command at this offset waits already under an earlier one, so that this is a second copy.
    pub fn repeats(&self, command: &CommandRecord, offset: Offset) -> bool {
        let Some(others) = self.by_aggregate.get(command.aggregate_id.as_str()) else { return false };
        let mut earlier = others.range(..offset).filter_map(|offset| self.waiting.get(offset));
        earlier.any(|it| it.command_id == command.command_id)
    }

    /// Another command of an aggregate was judged: none may wait before it.
    pub fn judged_past(&self, entry: &OutcomeEntry, findings: &mut Findings) {
        let waiting = self.by_aggregate.get(&*entry.aggregate_id).and_then(BTreeSet::first);
        let Some(first) = waiting.filter(|first| **first < entry.offset) else { return };
        let what = format!("it was judged while the one at offset {first} of its aggregate was parked before it");
        findings.add(Rule::Outcomes, Place::record(&self.commands, entry.offset, Some(&entry.aggregate_id)), what);
    }

    /// The outcome of a command that waited; the command, if the audit came past it.
    pub fn released(
        &mut self,
        entry: &OutcomeEntry,
        findings: &mut Findings,
    ) -> Result<Option<Result<CommandRecord, String>>, VerifyError> {
        // What was parked in the same batch stands before what says that this one waits no longer.
        while self.waiting.get(&entry.offset).is_some_and(|it| it.ended_by.is_none()) {
            let Some(item) = self.stream.next()? else { break };
            self.take(item, findings);
        }
        let first = self.by_aggregate.get(&*entry.aggregate_id).and_then(BTreeSet::first).copied();
        let Some(waiting) = self.forget(entry.offset) else { return Ok(None) };
        let mut wrong = |what: String| {
            let place = Place::record(&self.commands, entry.offset, Some(&entry.aggregate_id));
            findings.add(Rule::Outcomes, place, what);
        };
        if waiting.ended_by.is_none() {
            wrong("it is parked, and has an outcome all the same".to_owned());
        }
        if let Some(first) = first.filter(|first| *first != entry.offset) {
            wrong(format!("it was judged before the one at offset {first}, which was parked before it"));
        }
        Ok(waiting.command)
    }

    /// Takes the rest in. Of those that wait every one before `committed` must be among the commands, if
    /// those from `low_command` on are held. How many go on waiting.
    pub fn finish(
        &mut self,
        committed: Offset,
        low_command: Offset,
        findings: &mut Findings,
    ) -> Result<u64, VerifyError> {
        self.advance(Offset(i64::MAX), findings)?;
        let mut count = 0;
        for (offset, waiting) in self.waiting.iter().filter(|(offset, _)| **offset < committed) {
            let id = Some(waiting.aggregate_id.as_str());
            if waiting.command.is_none() && *offset >= low_command {
                let what = format!("it is about a command at offset {offset}, where there is none");
                findings.add(Rule::Agreement, Place::record(&self.stream.place, waiting.record, id), what);
            }
            match waiting.ended_by {
                None => count += 1,
                Some(by) if by < committed => {
                    let what = format!(
                        "command {} was parked, then judged or given up by the one at offset {by}, and has no outcome",
                        waiting.command_id
                    );
                    findings.add(Rule::Outcomes, Place::record(&self.commands, *offset, id), what);
                }
                Some(_) => {}
            }
        }
        Ok(count)
    }
}
