//! What a lane does with the batches it decided: hands them over one by one, folds those that are
//! committed, and goes back to the log where one is not.

use std::time::Duration;

use super::super::batch::{Batch, Share};
use super::super::checkpoint;
use super::super::error::{LaneError, PartitionError};
use super::super::restore::{Restore, pass_markers};
use super::super::status::PartitionState;
use super::super::transaction::{Job, Unresolved};
use super::{Held, IDLE_WAIT, Lane, Phase};
use crate::aggregate::Aggregate;
use crate::log::{CommittedOffset, LogError, Topic, Written};
use crate::position::Partition;

impl<A: Aggregate> Lane<A> {
    /// Adds a slice of one checkpoint to the batch at hand if any partition is due; one, to bound the
    /// transaction, and none while a rejected command is searched for.
    pub(super) fn add_due_checkpoint(&mut self) -> Result<(), LaneError> {
        let now = self.clock.now();
        let settings = &self.judge.settings;
        if self.limit < settings.batch_commands {
            return Ok(());
        }
        let is_due = |held: &Held<A>| match &held.phase {
            Phase::Running { owned, waiting: None } => checkpoint::is_due(owned, settings, now),
            _ => false,
        };
        let Some((&partition, held)) = self.held.iter_mut().find(|(_, held)| is_due(held)) else { return Ok(()) };
        let Phase::Running { owned, .. } = &mut held.phase else { return Ok(()) };
        let is_idle = !self.building.shares.contains_key(&partition);
        let commands = self.judge.codecs.topics.commands.partition(partition);
        let passed = if is_idle {
            match pass_markers(&*self.log, &mut *self.reader, &commands, owned.commands_offset) {
                // While the log is away the checkpoint waits, as everything does.
                Err(error) if error.is_temporary() => return Ok(()),
                passed => Some(passed?),
            }
        } else {
            None
        };
        let share = self.building.share(held.epoch, owned, None);
        share.next_offset = passed.unwrap_or(share.next_offset);
        if let Err(source) = checkpoint::write_slice(owned, share, &self.judge.codecs, settings.batch_bytes) {
            self.building.shares.remove(&partition);
            let (offset, at) = (owned.commands_offset, self.judge.codecs.topics.snapshots.partition(partition));
            return self.stop_partition(partition, &PartitionError::Encoding { partition: at, offset, source });
        }
        Ok(())
    }

    /// Hands the batch at hand to the committer, if there is one.
    pub(super) fn submit(&mut self) -> Result<(), LaneError> {
        let mut batch = std::mem::replace(&mut self.building, Batch::new());
        batch.shares.retain(|partition, share| self.held.get(partition).is_some_and(|held| held.epoch == share.epoch));
        if batch.is_empty() {
            return Ok(());
        }
        let fence = match self.member.fence() {
            Ok(fence) => fence,
            // Not a member any more: the next poll tells what is lost.
            Err(error @ (LogError::Fenced(_) | LogError::Unavailable(_))) => {
                return self.not_committed(batch, &Unresolved::Aborted(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        };
        let topics = &self.judge.codecs.topics;
        let mut job = Job { records: Vec::new(), offsets: Vec::new(), fence };
        for (partition, share) in &mut batch.shares {
            if let Err(source) = share.write_outcomes(&self.judge.codecs, *partition) {
                let at = topics.outcomes.partition(*partition);
                tracing::error!(partition = %at, %source, "outcomes cannot be written");
                return Err(LaneError::Log(LogError::Fatal(format!("{at}: {source}"))));
            }
            job.records.append(&mut share.records);
            let committed = CommittedOffset { offset: share.next_offset, metadata: self.transactional_ids.clone() };
            job.offsets.push((topics.commands.partition(*partition), committed));
        }
        metrics::histogram!("headwater_batch_commands", "aggregate" => A::NAME)
            .record(f64::from(u32::try_from(batch.commands).unwrap_or(u32::MAX)));
        self.committer.submit(job);
        self.committing = Some(batch);
        Ok(())
    }

    pub(super) fn take_completion(&mut self, wait: Duration) -> Result<(), LaneError> {
        let Some(batch) = self.committing.take() else { return Ok(()) };
        match self.committer.wait(wait)? {
            None => self.committing = Some(batch),
            Some(Ok(written)) => self.committed(batch, &written),
            Some(Err(failure)) => self.not_committed(batch, &failure)?,
        }
        Ok(())
    }

    fn committed(&mut self, batch: Batch<A>, written: &Written) {
        self.limit = self.judge.settings.batch_commands.max(1);
        self.failures = 0;
        let now = self.clock.now();
        let topics = &self.judge.codecs.topics;
        for (partition, mut share) in batch.shares {
            count_outcomes::<A>(&share);
            self.rejected.take_if(|(at, next)| *at == partition && *next <= share.next_offset);
            let Some(Held { epoch, phase: Phase::Running { owned, .. }, .. }) = self.held.get_mut(&partition) else {
                continue;
            };
            if *epoch != share.epoch {
                continue;
            }
            if let Some(slice) = share.checkpoint.take() {
                checkpoint::committed(owned, &slice, now);
            }
            let end = |topic: &Topic| written.get(&topic.partition(partition)).copied();
            owned.fold(share, end(&topics.events), end(&topics.outcomes), now);
            self.board.set(partition, PartitionState::Running { sequence: owned.sequence });
        }
    }

    /// Drops the batch and everything decided after it, and restores what they touched.
    fn not_committed(&mut self, batch: Batch<A>, failure: &Unresolved) -> Result<(), LaneError> {
        metrics::counter!("headwater_batches_aborted_total", "aggregate" => A::NAME).increment(1);
        tracing::warn!(
            aggregate = A::NAME,
            commands = batch.commands,
            ?failure,
            "a batch was not committed; it is decided anew"
        );
        if let Unresolved::Rejected(_) = failure {
            let only_share = || batch.shares.iter().next().filter(|_| batch.commands == 1 && batch.shares.len() == 1);
            self.rejected = only_share().map(|(partition, share)| (*partition, share.next_offset));
            self.limit = (batch.commands / 2).max(1);
        }
        let mut touched: Vec<_> = batch.shares.keys().copied().collect();
        for (partition, share) in batch.shares {
            self.drop_checkpoint(partition, share);
        }
        touched.extend(self.building.shares.keys().copied());
        self.rewind(&touched)?;
        self.pause_after_failure(failure)
    }

    /// The snapshots of a batch that is dropped are still to be written.
    fn drop_checkpoint(&mut self, partition: Partition, share: Share<A>) {
        if let (Some(slice), Some(Held { phase: Phase::Running { owned, .. }, .. })) =
            (share.checkpoint, self.held.get_mut(&partition))
        {
            checkpoint::dropped(owned, slice);
        }
    }

    /// Restores partitions from the log, starting from their committed state. Nothing may be committing.
    pub(super) fn rewind(&mut self, partitions: &[Partition]) -> Result<(), LaneError> {
        for partition in partitions {
            if let Some(share) = self.building.shares.remove(partition) {
                self.drop_checkpoint(*partition, share);
            }
            let Some(held) = self.held.get_mut(partition) else { continue };
            held.phase = match std::mem::replace(&mut held.phase, Phase::Stopped) {
                Phase::Running { owned, .. } => {
                    self.member.pause(&[self.judge.codecs.topics.commands.partition(*partition)])?;
                    Phase::Restoring(Box::new(Restore::warm(*owned)))
                }
                other => other,
            };
        }
        self.building.commands = self.building.shares.values().map(|share| share.outcomes.len()).sum();
        Ok(())
    }

    /// Waits until the batch under way is committed or not.
    pub(super) fn finish_commit(&mut self) -> Result<(), LaneError> {
        while self.committing.is_some() {
            self.take_completion(IDLE_WAIT)?;
        }
        Ok(())
    }

    /// Commits what is decided.
    pub(super) fn finish(&mut self) -> Result<(), LaneError> {
        self.finish_commit()?;
        self.submit()?;
        self.finish_commit()
    }
}

fn count_outcomes<A: Aggregate>(share: &Share<A>) {
    for entry in &share.outcomes {
        metrics::counter!("headwater_commands_total", "aggregate" => A::NAME, "outcome" => entry.outcome.kind())
            .increment(1);
    }
}
