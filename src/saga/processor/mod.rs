//! The saga processor: takes in what is in an inbox, and writes the new states and the commands that follow,
//! with the offsets, in one transaction.
//!
//! | file | what |
//! |---|---|
//! | `inputs` | one inbox record: read, and taken in by its instance |
//! | `instance` | one instance: what a reaction, a retry or the end makes of it |
//! | `timers` | deadlines, retries, and ended instances that are forgotten |
//! | `partition` | the committed instances of one partition |
//! | `restore` | a partition's instances from the state topic |
//! | `gauges` | how many there are, and how many do not get on |

mod gauges;
mod inputs;
mod instance;
mod partition;
mod restore;
mod timers;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::Saga;
use super::codecs::SagaCodecs;
use super::error::PartitionError;
use super::settings::SagaSettings;
use crate::aggregate::HandOffTargets;
use crate::aggregate::processor::{ProcessorParts, ProcessorSettings};
use crate::clock::Timestamp;
use crate::lane::{
    self, Committed, LaneError, Lanes, Moments, Processor, Progress, Share, Step, Tools, Treatment, Verdict,
};
use crate::log::{Record, Topic, Written};
use crate::position::{Offset, Partition};
use crate::topology::Topology;
use gauges::Gauges;
pub(crate) use instance::command_id;
use partition::{Changes, Entry, Owned};
use restore::Restore;

type Overlay<'a> = lane::Overlay<'a, Owned, Changes>;

/// Runs the instances of saga `S`.
struct Runner<S: Saga> {
    codecs: Arc<SagaCodecs<S>>,
    targets: HandOffTargets,
    topology: Topology,
    processor: ProcessorSettings,
    settings: SagaSettings,
    gauges: Gauges,
}

/// Starts to run a saga's instances.
pub(super) fn start<S: Saga>(
    codecs: &Arc<SagaCodecs<S>>,
    parts: &ProcessorParts,
    settings: &SagaSettings,
) -> Result<Lanes, LaneError> {
    let lanes = settings.lanes(parts, &format!("{}.inbox", S::NAME), parts.topology.saga_group(S::NAME));
    let gauges = Gauges::new(S::NAME);
    Lanes::start(&lanes, || Runner {
        codecs: codecs.clone(),
        targets: parts.targets.clone(),
        topology: parts.topology.clone(),
        processor: parts.settings.clone(),
        settings: settings.clone(),
        gauges: gauges.clone(),
    })
}

impl Overlay<'_> {
    /// An instance as of the last input.
    fn entry(&self, id: &str) -> Option<&Entry> {
        let changed = |changes: &'_ Changes| changes.instances.contains_key(id);
        if changed(&self.share.changes) {
            return self.share.changes.instances.get(id)?.as_ref();
        }
        if let Some(committing) = self.committing.filter(|share| changed(&share.changes)) {
            return committing.changes.instances.get(id)?.as_ref();
        }
        self.state.instances.get(id)
    }

    /// Its id as it is held already, so that it is held once.
    fn id(&self, id: &str) -> Arc<str> {
        let of = |changes: &Changes| changes.instances.get_key_value(id).map(|(id, _)| id.clone());
        of(&self.share.changes)
            .or_else(|| self.committing.and_then(|share| of(&share.changes)))
            .or_else(|| self.state.instances.id(id))
            .unwrap_or_else(|| Arc::from(id))
    }
}

impl<S: Saga> Processor for Runner<S> {
    const KIND: &'static str = "saga";
    type State = Owned;
    type Changes = Changes;
    type Restore = Box<Restore>;
    type Error = PartitionError;

    fn name(&self) -> &'static str {
        S::NAME
    }

    fn input(&self) -> &Topic {
        &self.codecs.topics.inbox
    }

    fn next_offset(state: &Owned) -> Offset {
        state.inbox_offset
    }

    fn restore(&self, partition: Partition, committed: Option<Committed>, before: Option<Owned>) -> Box<Restore> {
        let owned = before.unwrap_or_else(|| Owned::new(partition, self.gauges.of(partition)));
        Box::new(Restore::begin(owned, committed))
    }

    fn step(&self, restore: Box<Restore>, tools: &mut Tools<'_>) -> Result<Step<Box<Restore>, Owned>, PartitionError> {
        restore.step(self, tools)
    }

    fn progress(restore: &Box<Restore>) -> Progress {
        restore.progress()
    }

    fn begin(&self, state: &Owned, committing: Option<&Share<Changes>>) -> Changes {
        let time = committing.map_or(state.time, |share| share.changes.time);
        Changes { instances: HashMap::new(), time, commands: 0 }
    }

    fn process(
        &self,
        overlay: &mut Overlay<'_>,
        record: &Record,
        treatment: Treatment<'_>,
        now: Timestamp,
    ) -> Result<Verdict, PartitionError> {
        self.take_in(overlay, record, treatment, now)
    }

    /// To skip an input would be to lose it.
    fn give_up(
        &self,
        _: &mut Overlay<'_>,
        record: &Record,
        reason: String,
        _: Timestamp,
    ) -> Result<(), PartitionError> {
        Err(inputs::unreadable(record, reason))
    }

    fn is_due(&self, state: &Owned, now: Timestamp) -> bool {
        state.gauge.update(now, || state.instances.count(now, self.settings.stuck()));
        let passes = || now.since(state.passed_at) >= Duration::from_secs(self.processor.checkpoint_seconds);
        state.instances.is_due(now) || (state.is_dirty && passes())
    }

    fn do_due(&self, state: &mut Owned, share: &mut Share<Changes>, now: Timestamp) -> Result<(), PartitionError> {
        self.fire(state, share, now)
    }

    fn seal(&self, _: &mut Share<Changes>) -> Result<(), PartitionError> {
        Ok(())
    }

    fn fold(&self, state: &mut Owned, share: Share<Changes>, written: &Written, moments: &Moments) {
        metrics::counter!("headwater_saga_inputs_total", "saga" => S::NAME).increment(share.inputs as u64);
        metrics::counter!("headwater_saga_commands_total", "saga" => S::NAME).increment(share.changes.commands);
        let end = written.get(&self.codecs.topics.state.partition(share.partition));
        state.state_offset = end.copied().unwrap_or(state.state_offset);
        state.inbox_offset = share.next_offset;
        state.time = share.changes.time;
        state.is_dirty = share.inputs > 0;
        if !state.is_dirty {
            state.passed_at = moments.committed;
        }
        for (id, entry) in share.changes.instances {
            state.instances.put(id, entry);
        }
    }
}
