//! The outcomes of one partition, one after the other: each command once, in order, with sequences that
//! only grow.

use super::report::{AggregateCounts, Findings, Place, Rule};
use crate::command::{Failure, Outcome, OutcomeEntry, Outcomes};
use crate::log::TopicPartition;
use crate::position::{Offset, Sequence};

/// What the outcomes read so far say.
pub(super) struct Trail {
    place: TopicPartition,
    /// The `next_offset` and the `sequence` of the record before.
    last_record: Option<(Offset, Sequence)>,
    last_command: Option<Offset>,
    /// The partition's sequence after the last accepted command; none if retention has deleted it.
    sequence: Option<Sequence>,
}

impl Trail {
    /// `complete` if no outcome was ever deleted.
    pub fn new(place: TopicPartition, complete: bool) -> Self {
        Self { place, last_record: None, last_command: None, sequence: complete.then_some(Sequence::NONE) }
    }

    /// The partition's sequence after the last accepted command.
    pub const fn sequence(&self) -> Option<Sequence> {
        self.sequence
    }

    /// The next command offset after those that outcomes speak of.
    pub fn next_command(&self) -> Offset {
        self.last_record.map_or(Offset::ZERO, |(next, _)| next)
    }

    /// Whether the command at this offset was certainly judged.
    pub fn reaches_past(&self, offset: Offset) -> bool {
        offset < self.next_command()
    }

    /// The first command offset that no outcome was come across of, nor of any after it, when the record is
    /// taken up.
    pub fn next_after(&self, of: &Outcomes) -> Offset {
        self.last_command.map_or(of.first_offset, |last| last.next().max(of.first_offset))
    }

    /// One more record, before its entries.
    pub fn record(&mut self, offset: Offset, outcomes: &Outcomes, findings: &mut Findings) {
        let mut disagrees = |what| findings.add(Rule::Agreement, Place::record(&self.place, offset, None), what);
        let Outcomes { first_offset, next_offset, sequence, entries } = outcomes;
        // Only those that were parked before are answered without another command.
        let covers = entries.iter().any(|entry| entry.offset >= *first_offset);
        if entries.is_empty() || first_offset > next_offset || (covers && first_offset == next_offset) {
            disagrees(format!("{} outcomes for commands {first_offset} to {next_offset}", entries.len()));
        }
        if let Some((last_next, last_sequence)) = self.last_record {
            if *first_offset < last_next {
                let what = format!(
                    "answers commands from offset {first_offset}, and the record before went up to {last_next}"
                );
                disagrees(what);
            }
            if *sequence < last_sequence {
                disagrees(format!("sequence {sequence} after {last_sequence}"));
            }
            // A batch is split into records of the same sequence: a higher one begins another batch.
            if let Some(reached) =
                self.sequence.filter(|reached| *sequence > last_sequence && *reached != last_sequence)
            {
                let what = format!("the record before ends at sequence {last_sequence}, its outcomes at {reached}");
                disagrees(what);
            }
        }
        self.last_record = Some((*next_offset, *sequence));
    }

    /// One more entry of the record at `offset`; one that was `parked` stands anywhere behind its command.
    /// False if its command has an outcome already, to which nothing more is to be compared.
    pub fn entry(
        &mut self,
        (offset, of): (Offset, &Outcomes),
        entry: &OutcomeEntry,
        parked: bool,
        counts: &mut AggregateCounts,
        findings: &mut Findings,
    ) -> bool {
        let place = || Place::record(&self.place, offset, Some(&entry.aggregate_id));
        let named = format!("the outcome of command {} (offset {})", entry.command_id, entry.offset);
        if !parked && self.last_command.is_some_and(|last| entry.offset <= last) {
            let what = format!("{named} comes again: it was judged twice");
            findings.add(Rule::Outcomes, place(), what);
            return false;
        }
        self.last_command = self.last_command.max(Some(entry.offset));
        let mut disagrees = |what: String| findings.add(Rule::Agreement, place(), format!("{named} {what}"));
        if !parked && (entry.offset < of.first_offset || entry.offset >= of.next_offset) {
            disagrees(format!("stands in a record for offsets {} to {}", of.first_offset, of.next_offset));
        }
        let is_copy = is_about_copy(&entry.outcome);
        if is_copy != entry.about_copy {
            let marked = if entry.about_copy { "is" } else { "is not" };
            disagrees(format!("{marked} marked as being about a copy"));
        }
        if let Outcome::Accepted(accepted) = &entry.outcome {
            if accepted.partition != self.place.partition {
                disagrees(format!("names partition {}", accepted.partition));
            }
            if accepted.sequence > of.sequence || self.sequence.is_some_and(|last| accepted.sequence < last) {
                let last = self.sequence.map_or_else(|| "what was deleted".to_owned(), |last| last.to_string());
                disagrees(format!(
                    "names sequence {} after {last}; its record ends at {}",
                    accepted.sequence, of.sequence
                ));
            }
            self.sequence = Some(accepted.sequence);
        }
        *count_of(entry, counts) += 1;
        true
    }
}

const fn is_about_copy(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed(failed) => matches!(failed.code, Failure::Conflict | Failure::TooOld | Failure::ClockSkew),
        Outcome::Accepted(_) | Outcome::Refused(_) => false,
    }
}

const fn count_of<'a>(entry: &OutcomeEntry, counts: &'a mut AggregateCounts) -> &'a mut u64 {
    match &entry.outcome {
        _ if entry.about_copy => &mut counts.copies,
        Outcome::Accepted(_) => &mut counts.accepted,
        Outcome::Refused(_) => &mut counts.refused,
        Outcome::Failed(_) => &mut counts.failed,
    }
}
