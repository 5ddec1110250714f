//! What a batch changes in a partition, and how a decision sees what was decided before it.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use super::observe::Traced;
use super::partition::{Instance, Owned};
use crate::aggregate::Aggregate;
use crate::aggregate::codecs::Codecs;
use crate::clock::Timestamp;
use crate::clock::is_planted;
use crate::command::{
    CommandIndex, CommandKey, Outcome, OutcomeEntry, Outcomes, ParkedQueue, ParkedSize, WaitingCommand,
};
use crate::lane::{self, Share};
use crate::position::{Offset, Sequence};
use crate::schema::SchemaError;
use crate::store::local::LocalStoreError;

/// Where an outcomes record is split, in bytes.
const OUTCOMES_RECORD_BYTES: usize = 512 * 1024;

/// What one batch does in one partition.
#[derive(Debug)]
pub(super) struct Changes<A> {
    pub instances: HashMap<Arc<str>, Instance<A>>,
    /// Instances that were not in memory, as the local store has them.
    pub loaded: HashMap<Arc<str>, Instance<A>>,
    /// The queues of parked aggregates that changed; an empty one releases its aggregate.
    pub parked: HashMap<Arc<str>, ParkedQueue>,
    /// How much waits after this batch.
    pub parked_size: ParkedSize,
    pub outcomes: Vec<OutcomeEntry>,
    /// The type names of their commands.
    pub names: Vec<&'static str>,
    /// The spans of those that are traced.
    pub traced: Vec<Traced>,
    index: CommandIndex,
    first_offset: Offset,
    pub sequence: Sequence,
    pub time: Timestamp,
    /// When the last command was appended.
    pub appended_at: Timestamp,
    /// What it carries of a checkpoint.
    pub checkpoint: Option<Slice>,
    /// The outcomes records, once they are written.
    pub outcomes_records: Vec<Bytes>,
}

impl<A: Aggregate> Changes<A> {
    /// Nothing yet, on top of a partition and of the share that commits at the moment.
    pub fn new(owned: &Owned<A>, committing: Option<&Share<Self>>) -> Self {
        let (first_offset, sequence, time, parked_size) = committing.map_or_else(
            || (owned.commands_offset, owned.sequence, owned.time, owned.parked_size),
            |share| (share.next_offset, share.changes.sequence, share.changes.time, share.changes.parked_size),
        );
        Self {
            instances: HashMap::new(),
            loaded: HashMap::new(),
            parked: HashMap::new(),
            parked_size,
            outcomes: Vec::new(),
            names: Vec::new(),
            traced: Vec::new(),
            index: CommandIndex::default(),
            first_offset,
            sequence,
            time,
            appended_at: Timestamp::MIN,
            checkpoint: None,
            outcomes_records: Vec::new(),
        }
    }

    pub fn outcome_of(&self, key: &CommandKey<'_>) -> Option<&OutcomeEntry> {
        let held = |number: usize| &self.outcomes[number];
        self.index.find(key, held).map(held)
    }

    pub fn record_outcome(&mut self, entry: OutcomeEntry, name: &'static str) {
        self.outcomes.push(entry);
        self.names.push(name);
        let held = |number: usize| &self.outcomes[number];
        let number = self.outcomes.len() - 1;
        if !held(number).about_copy {
            self.index.insert(&held(number).key(), number, held);
        }
    }

    /// A command appended then is dealt with; `time` is the partition's from now on.
    pub const fn pass(&mut self, appended_at: Timestamp, time: Timestamp) {
        self.time = time;
        self.appended_at = appended_at;
    }
}

/// What one batch carries of a checkpoint.
#[derive(Debug)]
pub(super) struct Slice {
    pub ids: Vec<Arc<str>>,
    pub is_last: bool,
}

/// Adds the outcomes records; once, before the batch is committed.
pub(super) fn write_outcomes<A: Aggregate>(
    share: &mut Share<Changes<A>>,
    codecs: &Codecs<A>,
) -> Result<(), SchemaError> {
    let (mut from, mut first_offset) = (0, share.changes.first_offset);
    while from < share.changes.outcomes.len() {
        let outcomes = &mut share.changes.outcomes;
        let mut bytes = 0;
        let count = outcomes[from..]
            .iter()
            .take_while(|entry| {
                bytes += size_of_entry(entry);
                bytes <= OUTCOMES_RECORD_BYTES
            })
            .count()
            .max(1);
        let last = from + count == outcomes.len();
        let entries: Vec<_> = outcomes.drain(from..from + count).collect();
        // A command that was parked stands further back than those around it.
        let reached = entries.iter().map(|it| it.offset.next()).fold(first_offset, Offset::max);
        let next_offset = if last { share.next_offset } else { reached };
        let record = Outcomes { first_offset, next_offset, sequence: share.changes.sequence, entries };
        first_offset = next_offset;
        let value = codecs.outcomes.encode(&record)?;
        share.changes.outcomes.splice(from..from, record.entries);
        from += count;
        share.changes.outcomes_records.push(value.clone());
        share.write(codecs.topics.outcomes.partition(share.partition), None, value, None);
    }
    Ok(())
}

fn size_of_entry(entry: &OutcomeEntry) -> usize {
    const FIXED_BYTES: usize = 96;
    let texts = match &entry.outcome {
        Outcome::Accepted(it) => it.data.as_ref().map_or(0, String::len),
        Outcome::Refused(it) => it.code.len() + it.message.len() + it.data.as_ref().map_or(0, String::len),
        Outcome::Failed(it) => it.message.len(),
    };
    FIXED_BYTES + entry.aggregate_id.len() + texts
}

impl<A: Aggregate> Owned<A> {
    /// Takes over what a committed batch did.
    ///
    /// Outcomes are forgotten by the earlier of the last command's append time and the wall clock: a leap of
    /// the broker's clock would else forget them all, and then refuse every command as too old.
    pub fn fold(&mut self, share: Share<Changes<A>>, ends: &Ends, now: Timestamp) {
        let changes = share.changes;
        self.is_dirty |= share.next_offset > self.commands_offset;
        self.events_since_checkpoint += u64::try_from(changes.sequence.0 - self.sequence.0).unwrap_or(0);
        self.sequence = changes.sequence;
        self.time = changes.time;
        self.commands_offset = share.next_offset;
        for (id, instance) in changes.loaded {
            self.instances.entry(id).or_insert(instance);
        }
        if let Some(saved) = &mut self.saved {
            changes.instances.keys().for_each(|id| saved.note_change(id));
            changes.outcomes_records.into_iter().for_each(|it| saved.note_outcomes(self.outcomes_offset, it));
            ends.outcomes.into_iter().for_each(|end| saved.note_last_outcomes(Offset(end.0 - 1)));
        }
        for (id, instance) in changes.instances {
            self.changed.insert(id.clone());
            self.instances.insert(id, instance);
        }
        for entry in changes.outcomes {
            self.memory.remember(entry, self.outcomes_offset);
        }
        for (id, queue) in changes.parked {
            self.parked.replace(id, queue);
        }
        self.set_parked_size(changes.parked_size);
        self.events_offset = ends.events.unwrap_or(self.events_offset);
        self.outcomes_offset = ends.outcomes.unwrap_or(self.outcomes_offset);
        self.parked_offset = ends.parked.unwrap_or(self.parked_offset);
        self.memory.forget(changes.appended_at.min(now));
    }
}

/// One past what a committed batch delivered to each topic, if anything.
pub(super) struct Ends {
    pub events: Option<Offset>,
    pub outcomes: Option<Offset>,
    pub parked: Option<Offset>,
}

/// What a decision is made against.
pub(super) type Overlay<'a, A> = lane::Overlay<'a, Owned<A>, Changes<A>>;

impl<'a, A: Aggregate> Overlay<'a, A> {
    fn committing(&self) -> Option<&'a Share<Changes<A>>> {
        self.committing.filter(|_| !is_planted!(CommittingNotSeen))
    }

    /// An instance as of the last decision; `None` before its first event.
    pub fn instance(&self, id: &str) -> Option<&Instance<A>> {
        self.share
            .changes
            .instances
            .get(id)
            .or_else(|| self.committing().and_then(|share| share.changes.instances.get(id)))
            .or_else(|| self.state.instance(id))
            .or_else(|| self.share.changes.loaded.get(id))
            .or_else(|| self.committing.and_then(|share| share.changes.loaded.get(id)))
    }

    /// Has an instance at hand that is not in memory.
    pub fn load(&mut self, id: &str, codecs: &Codecs<A>) -> Result<(), LocalStoreError> {
        if self.state.saved.as_ref().is_some_and(|saved| !saved.holds_all())
            && self.instance(id).is_none()
            && let Some(instance) = self.state.saved_instance(id, codecs)?
        {
            self.share.changes.loaded.insert(Arc::from(id), instance);
        }
        Ok(())
    }

    /// An instance to change in this batch: a copy of what it was before.
    pub fn instance_mut(&mut self, id: &str) -> &mut Instance<A> {
        let committing = self.committing();
        if !self.share.changes.instances.contains_key(id) {
            let (key, instance) = committing
                .and_then(|share| share.changes.instances.get_key_value(id))
                .or_else(|| self.state.instances.get_key_value(id))
                .or_else(|| self.share.changes.loaded.get_key_value(id))
                .or_else(|| self.committing.and_then(|share| share.changes.loaded.get_key_value(id)))
                .map_or_else(|| (Arc::from(id), Instance::default()), |(key, it)| (key.clone(), it.clone()));
            self.share.changes.instances.insert(key, instance);
        }
        self.share.changes.instances.get_mut(id).expect("it was just inserted if it was missing")
    }

    /// The commands of a parked aggregate; `None` if it is not parked.
    pub fn queue(&self, id: &str) -> Option<&ParkedQueue> {
        let changes = &self.share.changes;
        // Almost always none is: this is asked for every command.
        if changes.parked_size.commands == 0 {
            return None;
        }
        let queue = changes
            .parked
            .get(id)
            .or_else(|| self.committing.and_then(|share| share.changes.parked.get(id)))
            .or_else(|| self.state.parked.get(id));
        queue.filter(|queue| !queue.is_empty())
    }

    /// One more command waits; `reason` if it cannot be judged itself.
    pub fn park(&mut self, id: &str, command: WaitingCommand, reason: Option<&str>) {
        let (bytes, queue) = (command.bytes(), self.queue_mut(id));
        let is_first = queue.is_empty();
        queue.push(Arc::new(command), reason);
        let size = &mut self.share.changes.parked_size;
        size.aggregates += usize::from(is_first);
        size.commands += 1;
        size.bytes += bytes;
    }

    /// The first command of a parked aggregate waits no longer.
    pub fn unpark_first(&mut self, id: &str) {
        let queue = self.queue_mut(id);
        let Some(command) = queue.pop() else { return };
        let is_last = queue.is_empty();
        let size = &mut self.share.changes.parked_size;
        size.aggregates -= usize::from(is_last);
        size.commands -= 1;
        size.bytes -= command.bytes();
    }

    /// A queue to change in this batch: a copy of what it was before.
    pub fn queue_mut(&mut self, id: &str) -> &mut ParkedQueue {
        if !self.share.changes.parked.contains_key(id) {
            let queue = self.queue(id).cloned().unwrap_or_default();
            self.share.changes.parked.insert(Arc::from(id), queue);
        }
        self.share.changes.parked.get_mut(id).expect("it was just inserted if it was missing")
    }

    /// The first outcome of a command.
    pub fn remembered(&self, key: &CommandKey<'_>) -> Option<&OutcomeEntry> {
        let changes = &self.share.changes;
        changes
            .outcome_of(key)
            .or_else(|| {
                let committing = self.committing.filter(|_| !is_planted!(RepeatNotSeenWhileCommitting));
                committing.and_then(|share| share.changes.outcome_of(key))
            })
            .or_else(|| self.state.memory.get(key))
    }
}
