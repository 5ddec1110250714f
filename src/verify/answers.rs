//! Commands and their answers: each judged command has one outcome, or is a copy of one that has, or
//! stands among the dead letters.

use std::time::Duration;

use super::records::CommandRecord;
use super::report::{AggregateCounts, Findings, Place, Rule};
use super::seen::{KeyHash, Seen};
use super::suspects::{Suspect, Suspects};
use crate::clock::Timestamp;
use crate::command::OutcomeEntry;
use crate::log::TopicPartition;
use crate::position::Offset;

/// What a sender's clock may differ from the log's.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// How far back outcomes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// None was ever deleted.
    Everything,
    /// From the outcome of a command that was appended at this time.
    From(Timestamp),
    /// All were deleted.
    Nothing,
}

/// Compares the commands of one partition with their answers.
pub(super) struct Answers {
    commands: TopicPartition,
    outcomes: TopicPartition,
    reach: Reach,
    seen: Seen,
    suspects: Suspects,
}

impl Answers {
    /// For about so many outcomes.
    pub fn new(commands: TopicPartition, outcomes: TopicPartition, reach: Reach, about: u64) -> Self {
        Self { commands, outcomes, reach, seen: Seen::for_about(about), suspects: Suspects::default() }
    }

    /// What must be looked up before more is compared, or at the end.
    pub const fn suspects(&mut self) -> &mut Suspects {
        &mut self.suspects
    }

    /// A command with the outcome of its offset, which stands in the outcomes record at `record`.
    pub fn answered(
        &mut self,
        command: &Result<CommandRecord, String>,
        entry: &OutcomeEntry,
        record: Offset,
        findings: &mut Findings,
    ) {
        let difference = match command {
            Err(reason) => Some(format!("which cannot be read ({reason})")),
            Ok(command) => difference(command, entry),
        };
        if let Some(difference) = difference {
            let place = Place::record(&self.outcomes, record, Some(&entry.aggregate_id));
            let (id, offset) = (entry.command_id, entry.offset);
            findings.add(
                Rule::Agreement,
                place,
                format!("the outcome of command {id} (offset {offset}), {difference}"),
            );
        }
        self.outcome(entry);
    }

    /// An outcome whose command is no longer held.
    pub fn outcome(&mut self, entry: &OutcomeEntry) {
        if entry.about_copy {
            return;
        }
        let key = KeyHash::of(&entry.aggregate_id, entry.command_id);
        if self.seen.insert(key) {
            self.suspects.add(key, &entry.aggregate_id, entry.command_id, Suspect::Doubled);
        }
    }

    /// An outcome without a command where its command should stand.
    pub fn orphan(&self, entry: &OutcomeEntry, record: Offset, findings: &mut Findings) {
        let what = format!("the outcome of a command at offset {}, where there is none", entry.offset);
        findings.add(Rule::Agreement, Place::record(&self.outcomes, record, Some(&entry.aggregate_id)), what);
    }

    /// A judged command without an outcome of its own, nor a dead letter.
    pub fn silent(
        &mut self,
        offset: Offset,
        command: &Result<CommandRecord, String>,
        counts: &mut AggregateCounts,
        findings: &mut Findings,
    ) {
        let command = match command {
            Ok(command) => command,
            Err(reason) => {
                let what = format!("it cannot be read ({reason}), and is not among the dead letters");
                findings.add(Rule::Outcomes, Place::record(&self.commands, offset, None), what);
                return;
            }
        };
        let (id, command_id, issued_at) = (command.aggregate_id.as_str(), command.command_id, command.issued_at);
        let key = KeyHash::of(id, command_id);
        if self.seen.perhaps(key) {
            self.suspects.add(key, id, command_id, Suspect::Repeat { offset, issued_at });
        } else {
            self.missing(offset, id, command_id, issued_at, counts, findings);
        }
    }

    /// A command that no outcome was found for.
    fn missing(
        &self,
        offset: Offset,
        id: &str,
        command_id: uuid::Uuid,
        issued_at: Timestamp,
        counts: &mut AggregateCounts,
        findings: &mut Findings,
    ) {
        // It may repeat a command whose outcome is deleted, if it was issued before the oldest that is left.
        let may_be_deleted = match self.reach {
            Reach::Everything => false,
            Reach::From(oldest) => issued_at <= oldest.plus(CLOCK_TOLERANCE),
            Reach::Nothing => true,
        };
        if may_be_deleted {
            counts.beyond_retention += 1;
            return;
        }
        let what = format!("command {command_id} was judged and has no outcome");
        findings.add(Rule::Outcomes, Place::record(&self.commands, offset, Some(id)), what);
    }

    /// Says what the suspects turned out to be, now that the outcomes were looked through for them.
    pub fn settle(&mut self, counts: &mut AggregateCounts, findings: &mut Findings) {
        for suspect in self.suspects.take() {
            if let [Some(first), Some(second)] = suspect.outcomes {
                let place = Place::record(&self.outcomes, second.record, Some(&suspect.aggregate_id));
                let what = format!(
                    "command {} has two outcomes, of the commands at offsets {} and {}",
                    suspect.command_id, first.command, second.command
                );
                findings.add(Rule::Outcomes, place, what);
            }
            let first = suspect.outcomes[0].map(|it| it.command);
            for (offset, issued_at) in suspect.repeats {
                if first.is_some_and(|first| first < offset) {
                    counts.repeats += 1;
                } else {
                    self.missing(offset, &suspect.aggregate_id, suspect.command_id, issued_at, counts, findings);
                }
            }
        }
    }
}

fn difference(command: &CommandRecord, entry: &OutcomeEntry) -> Option<String> {
    if command.command_id != entry.command_id {
        return Some(format!("where command {} stands", command.command_id));
    }
    if *command.aggregate_id != *entry.aggregate_id {
        return Some(format!("which is of aggregate {:?}", command.aggregate_id));
    }
    if command.appended_at != entry.appended_at {
        return Some(format!("says it was appended at {}, not at {}", entry.appended_at, command.appended_at));
    }
    if command.schema_id != entry.schema_id {
        return Some(format!("says it has schema id {}, not {}", entry.schema_id, command.schema_id));
    }
    (command.payload_hash != entry.payload_hash).then(|| "holds the hash of another payload".to_owned())
}
