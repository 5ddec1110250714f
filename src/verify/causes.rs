//! Events and the outcomes of their commands: each event follows from an accepted command, and version and
//! sequence of an outcome are those that its events led to.

use super::records::EventRecord;
use super::report::{Findings, Place, Rule};
use crate::command::{Accepted, Outcome, OutcomeEntry};
use crate::log::TopicPartition;
use crate::position::{Offset, Sequence, Version};

/// Compares the events of one partition with the outcomes of their commands.
pub(super) struct Causes {
    events: TopicPartition,
    outcomes: TopicPartition,
    /// Whether the outcomes held begin before the next event: none was deleted, or an event of the first
    /// that is left was seen.
    within_reach: bool,
}

impl Causes {
    /// `complete` if no outcome was ever deleted.
    pub const fn new(events: TopicPartition, outcomes: TopicPartition, complete: bool) -> Self {
        Self { events, outcomes, within_reach: complete }
    }

    /// An event, and the accepted outcome in whose stretch of sequences it stands; none after the last.
    pub fn event<E>(
        &mut self,
        offset: Offset,
        event: &EventRecord<E>,
        entry: Option<&OutcomeEntry>,
        findings: &mut Findings,
    ) {
        let id = event.aggregate_id.as_str();
        let is_cause =
            |entry: &&OutcomeEntry| entry.command_id == event.head.causation_id && *entry.aggregate_id == *id;
        if entry.as_ref().is_some_and(is_cause) {
            self.within_reach = true;
        } else if self.within_reach {
            let beside = entry.map(|it| format!("; its sequence is of command {}", it.command_id)).unwrap_or_default();
            let what = format!(
                "its command {} has no outcome that reaches its sequence {}{beside}: a transaction was torn",
                event.head.causation_id, event.head.sequence
            );
            findings.add(Rule::Causes, Place::record(&self.events, offset, Some(id)), what);
        }
    }

    /// All events up to an outcome were seen: what it says of its aggregate is compared with `version`, and
    /// of the partition with `sequence`. `is_due` if its events must be there by now.
    pub fn outcome(
        &mut self,
        record: Offset,
        entry: &OutcomeEntry,
        version: Version,
        sequence: Sequence,
        is_due: bool,
        findings: &mut Findings,
    ) {
        let place = || Place::record(&self.outcomes, record, Some(&entry.aggregate_id));
        let named = format!("the outcome of command {} (offset {})", entry.command_id, entry.offset);
        if let Outcome::Accepted(Accepted { sequence: said, .. }) = &entry.outcome {
            if *said > sequence {
                if is_due {
                    let what =
                        format!("{named} says that the partition reached sequence {said}; it ends at {sequence}");
                    findings.add(Rule::Agreement, place(), what);
                }
                return;
            }
            self.within_reach = true;
        }
        let said = match &entry.outcome {
            Outcome::Accepted(accepted) => accepted.version,
            Outcome::Refused(refused) => refused.version,
            Outcome::Failed(_) => return,
        };
        if self.within_reach && said != version {
            let what = format!("{named} says that its aggregate stood at version {said}; it stood at {version}");
            findings.add(Rule::Agreement, place(), what);
        }
    }
}
