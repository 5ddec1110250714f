//! The audit of one partition: commands, outcomes and events are read side by side, each once, in the
//! order of the outcomes.

use super::answers::{Answers, Reach};
use super::causes::Causes;
use super::cut::Cut;
use super::fold::Fold;
use super::parked::Parked;
use super::records::{self, CommandRecord, EventRecord, Item, Stream};
use super::report::{AggregateCounts, Findings, Place, Rule};
use super::snapshots::{Ends, Snapshots};
use super::trail::Trail;
use super::{Scope, VerifyError};
use crate::aggregate::{Aggregate, Codecs};
use crate::clock::Timestamp;
use crate::command::{DeadLetter, Outcome, OutcomeEntry, Outcomes};
use crate::log::{Log, RangeReader, Reader, TopicPartition};
use crate::position::{Offset, Partition, Sequence};

/// A reader for each topic, so that none of them has to seek.
pub(super) struct Readers {
    commands: Box<dyn Reader>,
    events: Box<dyn Reader>,
    outcomes: Box<dyn Reader>,
    dead_letters: Box<dyn Reader>,
    parked: Box<dyn Reader>,
}

impl Readers {
    pub fn open(log: &dyn Log) -> Result<Self, VerifyError> {
        let open = || log.reader().map_err(VerifyError::from);
        Ok(Self { commands: open()?, events: open()?, outcomes: open()?, dead_letters: open()?, parked: open()? })
    }
}

/// The audit of one partition under way.
struct PartitionAudit<'a, A: Aggregate> {
    scope: &'a Scope<'a>,
    codecs: &'a Codecs<A>,
    findings: &'a mut Findings,
    counts: &'a mut AggregateCounts,
    /// The next command that the group has to judge.
    committed: Offset,
    /// The first command offset whose outcome is held.
    answered_from: Option<Offset>,
    low_command: Offset,
    /// The stretch of the outcomes, to look through it again.
    all_outcomes: (TopicPartition, Offset, Offset),
    commands: Stream<'a, CommandRecord>,
    events: Stream<'a, EventRecord<A::Event>>,
    dead_letters: Stream<'a, DeadLetter>,
    parked: Parked<'a>,
    fold: Fold<A>,
    snapshots: Snapshots,
    trail: Trail,
    answers: Answers,
    causes: Causes,
}

/// Audits a partition; `committed` was asked for before anything else of it.
pub(super) fn audit<A: Aggregate>(
    scope: &Scope<'_>,
    codecs: &Codecs<A>,
    readers: &mut Readers,
    (partition, committed): (Partition, Offset),
    counts: &mut AggregateCounts,
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    let letters = scope.topology.dead_letters().partition(partition);
    let Cut { commands, events, snapshots, outcomes, dead_letters, parked, low } =
        Cut::take(scope.log, &codecs.topics, &letters, partition, scope.stall)?;
    let snapshots = read_snapshots(scope, codecs, readers, snapshots, findings)?;
    let (commands_at, events_at) = (commands.partition().clone(), events.partition().clone());
    let (outcomes_at, outcomes_end) = (outcomes.partition().clone(), outcomes.until());
    let events_end = events.until();
    let about = u64::try_from(commands.until().0 - low.commands.0).unwrap_or(0);
    let mut outcomes = Stream::new(scope, &mut readers.outcomes, outcomes, |it| records::outcomes(codecs, it));
    let complete = low.outcomes == Offset::ZERO;
    let first = first_outcome(&mut outcomes)?;
    let reach = match first {
        _ if complete => Reach::Everything,
        Some((_, appended_at)) => Reach::From(appended_at),
        None => Reach::Nothing,
    };
    let answered_from = if complete { Some(Offset::ZERO) } else { first.map(|(offset, _)| offset) };
    let parked = Stream::new(scope, &mut readers.parked, parked, |it| records::parked(codecs, it));
    let mut audit = PartitionAudit {
        scope,
        codecs,
        committed,
        answered_from,
        low_command: low.commands,
        all_outcomes: (outcomes_at.clone(), low.outcomes, outcomes_end),
        commands: Stream::new(scope, &mut readers.commands, commands, |it| records::command(codecs, it)),
        events: Stream::new(scope, &mut readers.events, events, |it| records::event(codecs, it)),
        dead_letters: Stream::new(scope, &mut readers.dead_letters, dead_letters, |it| {
            records::dead_letter(codecs, it)
        }),
        parked: Parked::new(parked, commands_at.clone(), answered_from),
        fold: Fold::new(events_at.clone(), scope.topology.partitions, low.events, findings),
        snapshots,
        trail: Trail::new(outcomes_at.clone(), complete),
        answers: Answers::new(commands_at, outcomes_at.clone(), reach, about),
        causes: Causes::new(events_at, outcomes_at, complete),
        findings,
        counts,
    };
    while let Some(item) = outcomes.next()? {
        audit.outcomes(item)?;
    }
    audit.finish(events_end, outcomes_end)
}

fn read_snapshots<A: Aggregate>(
    scope: &Scope<'_>,
    codecs: &Codecs<A>,
    readers: &mut Readers,
    mut range: RangeReader,
    findings: &mut Findings,
) -> Result<Snapshots, VerifyError> {
    let mut snapshots = Snapshots::new(range.partition().clone(), scope.topology.partitions);
    while let Some(records) = range.step(scope.log, readers.events.as_mut())? {
        (scope.progress)(u64::try_from(records.len()).unwrap_or(0));
        for record in records {
            snapshots.take(&record, codecs, findings).map_err(VerifyError::RegistryAway)?;
        }
    }
    Ok(snapshots)
}

/// From which command on outcomes are held, and when that was appended.
fn first_outcome(outcomes: &mut Stream<'_, Outcomes>) -> Result<Option<(Offset, Timestamp)>, VerifyError> {
    let Some(Item { read: Ok(first), .. }) = outcomes.peek()? else { return Ok(None) };
    // One that was parked was appended long before those around it.
    let mut in_place = first.entries.iter().filter(|entry| entry.offset >= first.first_offset);
    Ok(in_place.next().map(|entry| (first.first_offset, entry.appended_at)))
}

impl<A: Aggregate> PartitionAudit<'_, A> {
    fn outcomes(&mut self, item: Item<Outcomes>) -> Result<(), VerifyError> {
        let record = item.offset;
        let outcomes = match item.read {
            Ok(outcomes) => outcomes,
            Err(reason) => {
                let place = Place::record(&self.all_outcomes.0, record, None);
                self.findings.add(Rule::Records, place, format!("these outcomes cannot be read: {reason}"));
                return Ok(());
            }
        };
        self.trail.record(record, &outcomes, self.findings);
        for entry in &outcomes.entries {
            self.parked.advance(entry.offset, self.findings)?;
            let is_parked = self.parked.is_waiting(entry.offset);
            let next = if is_parked { self.trail.next_after(&outcomes) } else { entry.offset };
            self.snapshots.before_outcome(Some(next), self.trail.sequence(), self.findings);
            if self.trail.entry((record, &outcomes), entry, is_parked, self.counts, self.findings) {
                self.outcome(record, entry, is_parked)?;
            }
        }
        Ok(())
    }

    /// The outcome of one command: first the commands up to it, then the events up to it.
    fn outcome(&mut self, record: Offset, entry: &OutcomeEntry, is_parked: bool) -> Result<(), VerifyError> {
        self.snapshots.outcome(record, entry, self.findings);
        while let Some(command) = self.commands.next_if(|it| it.offset < entry.offset)? {
            self.silent(command)?;
        }
        if is_parked {
            self.answered_late(record, entry)?;
        } else {
            self.answered(record, entry)?;
        }
        if let Outcome::Accepted(accepted) = &entry.outcome {
            self.events_up_to(accepted.sequence, entry)?;
        }
        let (version, sequence) = (self.fold.version(&entry.aggregate_id), self.fold.sequence());
        let is_due = entry.offset < self.committed;
        self.causes.outcome(record, entry, version, sequence, is_due, self.findings);
        if self.answers.suspects().is_full() {
            self.look_up()?;
        }
        Ok(())
    }

    /// The outcome of a command that was parked, which stands far behind it.
    fn answered_late(&mut self, record: Offset, entry: &OutcomeEntry) -> Result<(), VerifyError> {
        if let Some(command) = self.commands.next_if(|it| it.offset == entry.offset)? {
            self.silent(command)?;
        }
        match self.parked.released(entry, self.findings)? {
            Some(command) => self.answers.answered(&command, entry, record, self.findings),
            None => self.answers.outcome(entry),
        }
        Ok(())
    }

    /// The outcome of a command that was judged when it came.
    fn answered(&mut self, record: Offset, entry: &OutcomeEntry) -> Result<(), VerifyError> {
        match self.commands.next_if(|it| it.offset == entry.offset)? {
            Some(command) => {
                self.counts.commands += 1;
                if self.is_dead_letter(command.offset)? {
                    let place = Place::record(&self.commands.place, command.offset, Some(&entry.aggregate_id));
                    self.findings.add(Rule::Outcomes, place, "it has an outcome, and is among the dead letters too");
                }
                let is_judged = matches!(entry.outcome, Outcome::Accepted(_) | Outcome::Refused(_));
                if is_judged && command.read.as_ref().is_ok_and(|command| !command.is_control) {
                    self.parked.judged_past(entry, self.findings);
                }
                self.answers.answered(&command.read, entry, record, self.findings);
            }
            None if entry.offset < self.low_command => self.answers.outcome(entry),
            None => {
                self.answers.orphan(entry, record, self.findings);
                self.answers.outcome(entry);
            }
        }
        Ok(())
    }

    fn events_up_to(&mut self, sequence: Sequence, entry: &OutcomeEntry) -> Result<(), VerifyError> {
        // One that cannot be read says no sequence: it is taken at once.
        let wanted = |item: &Item<EventRecord<A::Event>>| match &item.read {
            Ok(event) => event.head.sequence <= sequence,
            Err(_) => true,
        };
        while let Some(event) = self.events.next_if(wanted)? {
            self.event(event, Some(entry));
        }
        Ok(())
    }

    fn event(&mut self, item: Item<EventRecord<A::Event>>, entry: Option<&OutcomeEntry>) {
        let Item { offset, read } = item;
        self.snapshots.before_event(Some(offset), &self.fold, self.findings);
        let event = match read {
            Ok(event) => event,
            Err(reason) => {
                let place = Place::record(&self.events.place, offset, None);
                self.findings.add(Rule::Records, place, format!("this event cannot be read: {reason}"));
                return;
            }
        };
        self.fold.event(offset, &event, self.findings);
        self.causes.event(offset, &event, entry, self.findings);
        if let Some(folded) = self.fold.get(&event.aggregate_id) {
            self.snapshots.folded(&event.aggregate_id, folded, self.findings);
        }
    }

    /// A command that has no outcome at its own offset.
    fn silent(&mut self, mut command: Item<CommandRecord>) -> Result<(), VerifyError> {
        let offset = command.offset;
        self.counts.commands += 1;
        self.parked.advance(offset, self.findings)?;
        if self.is_dead_letter(offset)? {
            self.counts.dead_letters += 1;
        } else if self.parked.command(&mut command, self.findings) {
            // It is counted when it is answered, or at the end.
        } else if command.read.as_ref().is_ok_and(|command| self.parked.repeats(command, offset)) {
            self.counts.repeats += 1;
        } else if offset >= self.committed && !self.trail.reaches_past(offset) {
            self.counts.pending += 1;
        } else if self.answered_from.is_none_or(|from| offset < from) {
            self.counts.beyond_retention += 1;
        } else {
            self.answers.silent(offset, &command.read, self.counts, self.findings);
            if self.answers.suspects().is_full() {
                self.look_up()?;
            }
        }
        Ok(())
    }

    /// Whether the command at this offset is among the dead letters. Offsets are asked for in order.
    fn is_dead_letter(&mut self, offset: Offset) -> Result<bool, VerifyError> {
        let mut found = 0;
        let commands = self.commands.place.clone();
        let about_command =
            |letter: &DeadLetter| letter.topic == commands.topic.as_str() && letter.partition == commands.partition;
        let up_to_it = |item: &Item<DeadLetter>| match &item.read {
            Ok(letter) => !about_command(letter) || letter.offset <= offset,
            Err(_) => true,
        };
        while let Some(item) = self.dead_letters.next_if(up_to_it)? {
            let place = || Place::record(&self.dead_letters.place, item.offset, None);
            match item.read {
                Err(reason) => {
                    self.findings.add(Rule::Records, place(), format!("this dead letter cannot be read: {reason}"));
                }
                Ok(letter) if !about_command(&letter) || letter.offset < self.low_command => {}
                Ok(letter) if letter.offset == offset => found += 1,
                Ok(letter) => {
                    let what =
                        format!("it is about {commands} offset {}, where there is no such command", letter.offset);
                    self.findings.add(Rule::Agreement, place(), what);
                }
            }
        }
        if found > 1 {
            let what = format!("it is among the dead letters {found} times");
            self.findings.add(Rule::Outcomes, Place::record(&commands, offset, None), what);
        }
        Ok(found > 0)
    }

    /// Looks through the outcomes for the suspects.
    fn look_up(&mut self) -> Result<(), VerifyError> {
        if self.answers.suspects().is_empty() {
            return Ok(());
        }
        let (place, from, until) = self.all_outcomes.clone();
        let log = self.scope.log;
        let mut reader = log.reader()?;
        let mut range = RangeReader::between(place, from, until, self.scope.stall);
        while let Some(records) = range.step(log, reader.as_mut())? {
            for record in records {
                if let Ok(outcomes) = records::outcomes(self.codecs, &record)? {
                    outcomes.entries.iter().for_each(|entry| self.answers.suspects().see(entry, record.offset));
                }
            }
        }
        self.answers.settle(self.counts, self.findings);
        Ok(())
    }

    fn finish(mut self, events_end: Offset, outcomes_end: Offset) -> Result<(), VerifyError> {
        while let Some(command) = self.commands.next()? {
            self.silent(command)?;
        }
        self.counts.parked += self.parked.finish(self.committed, self.low_command, self.findings)?;
        while let Some(event) = self.events.next()? {
            self.event(event, None);
        }
        self.look_up()?;
        self.snapshots.before_event(None, &self.fold, self.findings);
        self.snapshots.before_outcome(None, self.trail.sequence(), self.findings);
        let commands = self.trail.next_command().max(self.committed);
        let ends = Ends { events: events_end, commands, outcomes: outcomes_end };
        self.snapshots.finish(&ends, &self.fold, self.counts, self.findings);
        self.counts.events += self.fold.events();
        self.counts.instances += u64::try_from(self.fold.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}
