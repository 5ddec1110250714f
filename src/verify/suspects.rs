//! Commands that have perhaps two outcomes, or perhaps none: kept until the outcomes were looked through
//! for them once more.

use hashbrown::HashMap;
use uuid::Uuid;

use super::seen::KeyHash;
use crate::clock::Timestamp;
use crate::command::OutcomeEntry;
use crate::position::Offset;

/// Why a command is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspect {
    /// It has perhaps two outcomes.
    Doubled,
    /// The command at this offset has none of its own; perhaps it repeats one that has.
    Repeat { offset: Offset, issued_at: Timestamp },
}

/// An outcome that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoundOutcome {
    pub command: Offset,
    pub record: Offset,
}

/// A command, with the first two outcomes that were found of it.
#[derive(Debug)]
pub(super) struct LookedUp {
    pub aggregate_id: Box<str>,
    pub command_id: Uuid,
    pub repeats: Vec<(Offset, Timestamp)>,
    pub outcomes: [Option<FoundOutcome>; 2],
}

/// The commands to look up.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    by_key: HashMap<KeyHash, LookedUp>,
    count: usize,
}

impl Suspects {
    /// How many are kept before they must be looked up.
    const MOST: usize = 250_000;

    pub fn add(&mut self, key: KeyHash, aggregate_id: &str, command_id: Uuid, why: Suspect) {
        let suspect = self.by_key.entry(key).or_insert_with(|| LookedUp {
            aggregate_id: aggregate_id.into(),
            command_id,
            repeats: Vec::new(),
            outcomes: [None; 2],
        });
        if let Suspect::Repeat { offset, issued_at } = why {
            suspect.repeats.push((offset, issued_at));
        }
        self.count += 1;
    }

    /// Whether they must be looked up before there are more.
    pub const fn is_full(&self) -> bool {
        self.count >= Self::MOST
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// An outcome that was come across, in the outcomes record at `record`.
    pub fn see(&mut self, entry: &OutcomeEntry, record: Offset) {
        if entry.about_copy {
            return;
        }
        let Some(suspect) = self.by_key.get_mut(&KeyHash::of(&entry.aggregate_id, entry.command_id)) else { return };
        let found = FoundOutcome { command: entry.offset, record };
        match &mut suspect.outcomes {
            [first @ None, _] => *first = Some(found),
            // The same command answered twice is found by its offset already.
            [Some(first), second @ None] if first.command != found.command => *second = Some(found),
            _ => {}
        }
    }

    /// All of them, as found; none are left.
    pub fn take(&mut self) -> impl Iterator<Item = LookedUp> + use<> {
        self.count = 0;
        std::mem::take(&mut self.by_key).into_values()
    }
}
