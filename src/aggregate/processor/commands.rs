//! The work of a lane on a commands topic.

use super::batch::{self, Changes, Ends, Overlay};
use super::checkpoint::{self, NotWritten};
use super::error::PartitionError;
use super::judge::Judge;
use super::observe::Traced;
use super::partition::Owned;
use super::restore::Restore;
use crate::aggregate::Aggregate;
use crate::clock::Timestamp;
use crate::clock::is_planted;
use crate::lane::{Committed, Moments, Processor, Progress, Share, Step, Tools, Treatment, Verdict};
use crate::log::{Record, Topic, Written};
use crate::position::{Offset, Partition};

impl<A: Aggregate> Processor for Judge<A> {
    const KIND: &'static str = "commands";
    type State = Owned<A>;
    type Changes = Changes<A>;
    type Restore = Box<Restore<A>>;
    type Error = PartitionError;

    fn name(&self) -> &'static str {
        A::NAME
    }

    fn input(&self) -> &Topic {
        &self.codecs.topics.commands
    }

    fn next_offset(state: &Owned<A>) -> Offset {
        state.commands_offset
    }

    fn restore(&self, partition: Partition, committed: Option<Committed>, before: Option<Owned<A>>) -> Box<Restore<A>> {
        let committed = committed.map(|committed| committed.offset);
        Box::new(Restore::begin(partition, committed, before, &self.settings))
    }

    fn step(
        &self,
        restore: Box<Restore<A>>,
        tools: &mut Tools<'_>,
    ) -> Result<Step<Box<Restore<A>>, Owned<A>>, PartitionError> {
        restore.step(self, tools)
    }

    fn progress(restore: &Box<Restore<A>>) -> Progress {
        restore.progress()
    }

    fn begin(&self, state: &Owned<A>, committing: Option<&Share<Changes<A>>>) -> Changes<A> {
        Changes::new(state, committing)
    }

    fn process(
        &self,
        overlay: &mut Overlay<'_, A>,
        record: &Record,
        treatment: Treatment<'_>,
        now: Timestamp,
    ) -> Result<Verdict, PartitionError> {
        self.judge(overlay, record, treatment, now)
    }

    fn give_up(
        &self,
        overlay: &mut Overlay<'_, A>,
        record: &Record,
        reason: String,
        now: Timestamp,
    ) -> Result<(), PartitionError> {
        Self::give_up(self, overlay, record, reason, now)
    }

    fn is_due(&self, state: &Owned<A>, now: Timestamp) -> bool {
        checkpoint::is_due(state, &self.settings, now)
    }

    fn do_due(&self, state: &mut Owned<A>, share: &mut Share<Changes<A>>, _: Timestamp) -> Result<(), PartitionError> {
        let written = checkpoint::write_slice(state, share, &self.codecs, self.settings.batch_bytes);
        written.map_err(|error| match error {
            NotWritten::Store(error) => error.into(),
            NotWritten::Schema(source) => PartitionError::Encoding {
                partition: self.codecs.topics.snapshots.partition(share.partition),
                offset: share.next_offset,
                source,
            },
        })
    }

    fn tend(&self, state: &mut Owned<A>, now: Timestamp) -> Result<(), PartitionError> {
        Ok(state.tend(&self.codecs, &self.settings, now)?)
    }

    fn leave(&self, state: &mut Owned<A>, now: Timestamp) {
        // Where it fails, that is said, and the next owner reads a little more.
        drop(state.save(&self.codecs, &self.settings, now));
    }

    fn seal(&self, share: &mut Share<Changes<A>>) -> Result<(), PartitionError> {
        batch::write_outcomes(share, &self.codecs).map_err(|source| PartitionError::Encoding {
            partition: self.codecs.topics.outcomes.partition(share.partition),
            offset: share.next_offset,
            source,
        })
    }

    fn fold(&self, state: &mut Owned<A>, mut share: Share<Changes<A>>, written: &Written, moments: &Moments) {
        let now = moments.committed;
        self.counters.judged(&share.changes.outcomes);
        self.slow_log.committed(A::NAME, &share.changes.outcomes, &share.changes.names, moments);
        if let Some(slice) = share.changes.checkpoint.take() {
            checkpoint::committed(state, &slice, now);
        }
        let end = |topic: &Topic| written.get(&topic.partition(share.partition)).copied();
        let topics = &self.codecs.topics;
        let ends = Ends { events: end(&topics.events), outcomes: end(&topics.outcomes), parked: end(&topics.parked) };
        state.fold(share, &ends, now);
    }

    fn dropped(&self, state: &mut Owned<A>, changes: Changes<A>) {
        changes.traced.iter().for_each(Traced::dropped);
        if is_planted!(SequenceKeptAfterAbort) {
            state.sequence = changes.sequence;
        }
        if let Some(slice) = changes.checkpoint {
            checkpoint::dropped(state, slice);
        }
    }
}
