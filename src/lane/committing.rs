//! What a lane does with the batches it decided: hands them over one by one, folds those that are
//! committed, and goes back to the log where one is not.

use std::time::Duration;

use super::batch::Batch;
use super::error::{LaneError, StopReason};
use super::processor::{Moments, Processor};
use super::restore::{Restoring, metadata};
use super::running::{Held, IDLE_WAIT, Lane, Phase};
use super::share::Share;
use super::status::PartitionState;
use super::tools::pass_markers;
use super::transaction::{Job, Unresolved};
use crate::clock;
use crate::clock::is_planted;
use crate::log::{CommittedOffset, LogError, Written};
use crate::position::{Offset, Partition};

/// How long offsets alone may wait for something to be written with them.
const OFFSETS_WAIT: Duration = Duration::from_millis(200);
/// For how long a batch gathers records after the one before it, for each record of that one but the first; at
/// most as long as its commit took. A transaction costs the brokers milliseconds whatever is in it, and those who
/// got an answer are about to ask again: so the more ask at once, the larger are the batches. When all of them
/// have, there is nobody left to wait for.
const GATHERING: Duration = Duration::from_micros(500);
/// A batch of as many records is large enough.
const GATHERED: usize = 256;

impl<P: Processor> Lane<P> {
    /// For how long the batch at hand is not handed over yet.
    pub(super) fn gathers(&self) -> Option<Duration> {
        let inputs = self.building.inputs;
        let until = if self.building.is_empty() || self.room() == 0 || inputs >= GATHERED {
            None
        } else if self.building.writes() {
            self.gathers_until.filter(|_| inputs < self.gathers_at_most)
        } else {
            self.building.begun.map(|(_, begun)| begun + OFFSETS_WAIT)
        };
        until?.checked_duration_since(clock::instant()).filter(|left| !left.is_zero())
    }

    /// Adds what is due in one partition to the batch at hand; one at a time, in turn, to bound the
    /// transaction, and none while a rejected record is searched for.
    pub(super) fn do_due(&mut self) -> Result<(), LaneError> {
        if self.limit < self.settings.batch_records || self.building.carries_due {
            return Ok(());
        }
        let now = self.clock.now();
        let is_due = |held: &Held<P>| match &held.phase {
            Phase::Running { state, waiting: None } => self.processor.is_due(state, now),
            _ => false,
        };
        let mut due = self.held.iter().filter(|(_, held)| is_due(held)).map(|(partition, _)| *partition);
        let Some(first) = due.next() else { return Ok(()) };
        let after_last = |partition: &Partition| self.last_due.is_none_or(|last| *partition > last);
        let partition = std::iter::once(first).chain(due).find(after_last).unwrap_or(first);
        self.last_due = Some(partition);
        self.building.carries_due = true;
        let input = self.input(partition);
        let Some(Held { epoch, phase: Phase::Running { state, .. }, .. }) = self.held.get_mut(&partition) else {
            return Ok(());
        };
        let is_idle = !self.building.shares.contains_key(&partition);
        let share = self.building.share(&self.processor, (partition, *epoch), state, None);
        if is_idle {
            match pass_markers(&*self.log, &mut *self.reader, &input, share.next_offset) {
                Ok(passed) => share.next_offset = passed,
                // While the log is away what is due waits, as everything does.
                Err(error) => {
                    self.building.shares.remove(&partition);
                    return if error.is_temporary() { Ok(()) } else { Err(error.into()) };
                }
            }
        }
        if let Err(error) = self.processor.do_due(state, share, now) {
            self.building.shares.remove(&partition);
            return if error.is_temporary() { Ok(()) } else { self.stop_partition(partition, &error) };
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
        let mut job = Job { records: Vec::new(), offsets: Vec::new(), fence };
        for (partition, share) in &mut batch.shares {
            if let Err(error) = self.processor.seal(share) {
                tracing::error!(partition = partition.0, %error, "a batch cannot be written");
                return Err(LaneError::Log(LogError::Fatal(error.to_string())));
            }
            job.records.append(&mut share.records);
            let metadata = metadata(&self.transactional_ids, self.processor.note(share));
            let too_far = i64::from(is_planted!(OffsetOneTooFar));
            let offset = Offset(share.next_offset.0 + too_far);
            job.offsets.push((self.input(*partition), CommittedOffset { offset, metadata }));
        }
        #[cfg(feature = "mutations")]
        self.send_outside(&mut job);
        self.meters.batch_records.record(f64::from(u32::try_from(batch.inputs).unwrap_or(u32::MAX)));
        self.meters.decide.record(batch.deciding);
        batch.handed_over = Some((self.clock.now(), clock::instant()));
        self.committer.submit(job);
        self.committing = Some(batch);
        Ok(())
    }

    pub(super) fn take_completion(&mut self, wait: Duration) -> Result<(), LaneError> {
        let Some(batch) = self.committing.take() else { return Ok(()) };
        match self.committer.wait(wait)? {
            None => self.committing = Some(batch),
            Some(Ok(written)) => self.committed(batch, &written),
            Some(Err(_)) if is_planted!(CommitAssumed) => self.committed(batch, &Written::default()),
            Some(Err(failure)) => self.not_committed(batch, &failure)?,
        }
        Ok(())
    }

    fn committed(&mut self, batch: Batch<P>, written: &Written) {
        self.limit = self.settings.batch_records.max(1);
        self.failures = 0;
        let committed = self.clock.now();
        let (handed_over, since) = batch.handed_over.unwrap_or_else(|| (committed, clock::instant()));
        let took = clock::elapsed(since);
        self.meters.commit.record(took);
        let others = u32::try_from(batch.inputs.saturating_sub(1)).unwrap_or(u32::MAX);
        let gathering = GATHERING.saturating_mul(others);
        self.gathers_until = Some(clock::instant() + gathering.min(took));
        self.gathers_at_most = self.building.inputs + batch.inputs;
        let moments = Moments { begun: batch.begun.map_or(handed_over, |(begun, _)| begun), handed_over, committed };
        for (partition, share) in batch.shares {
            self.rejected.take_if(|(at, next)| *at == partition && *next <= share.next_offset);
            let Some(Held { epoch, phase: Phase::Running { state, .. }, failing }) = self.held.get_mut(&partition)
            else {
                continue;
            };
            if *epoch != share.epoch {
                continue;
            }
            *failing = failing.split_off(&share.next_offset);
            self.processor.fold(state, share, written, &moments);
            self.states.set(partition, PartitionState::Running { next_offset: P::next_offset(state) });
        }
    }

    /// Drops the batch and everything decided after it, and restores what they touched.
    fn not_committed(&mut self, batch: Batch<P>, failure: &Unresolved) -> Result<(), LaneError> {
        self.meters.aborted.increment(1);
        tracing::warn!(
            kind = P::KIND,
            processor = self.processor.name(),
            records = batch.inputs,
            ?failure,
            "a batch was not committed; it is decided anew"
        );
        if let Unresolved::Rejected(_) = failure {
            let only_share = || batch.shares.iter().next().filter(|_| batch.inputs == 1 && batch.shares.len() == 1);
            self.rejected = only_share().map(|(partition, share)| (*partition, share.next_offset));
            self.limit = (batch.inputs / 2).max(1);
        }
        let mut touched: Vec<_> = batch.shares.keys().copied().collect();
        for (partition, share) in batch.shares {
            self.dropped(partition, share);
        }
        touched.extend(self.building.shares.keys().copied());
        if !is_planted!(NoRewindAfterAbort) {
            self.rewind(&touched)?;
        }
        self.pause_after_failure(failure)
    }

    fn dropped(&mut self, partition: Partition, share: Share<P::Changes>) {
        if let Some(Held { phase: Phase::Running { state, .. }, .. }) = self.held.get_mut(&partition) {
            if is_planted!(FoldedWithoutCommit) {
                let now = self.clock.now();
                let moments = Moments { begun: now, handed_over: now, committed: now };
                return self.processor.fold(state, share, &Written::default(), &moments);
            }
            self.processor.dropped(state, share.changes);
        }
    }

    /// For faults that a test plants: some records do not wait for the transaction.
    #[cfg(feature = "mutations")]
    fn send_outside(&self, job: &mut Job) {
        let kind = match crate::clock::turns::mutation() {
            Some(crate::clock::Mutation::ReplyOutsideTransaction) => ".replies",
            Some(crate::clock::Mutation::CommandOutsideTransaction) => ".commands",
            Some(crate::clock::Mutation::SnapshotBeforeItsEvents) => ".snapshots",
            _ => return,
        };
        let Ok(sender) = self.log.sender() else { return };
        for record in job.records.extract_if(.., |record| record.topic.as_str().ends_with(kind)) {
            drop(sender.send(record, Box::new(drop)));
        }
    }

    /// Restores partitions from the log, starting from their committed state. Nothing may be committing.
    pub(super) fn rewind(&mut self, partitions: &[Partition]) -> Result<(), LaneError> {
        for partition in partitions {
            if let Some(share) = self.building.shares.remove(partition) {
                self.dropped(*partition, share);
            }
            let Some(held) = self.held.get_mut(partition) else { continue };
            held.phase = match std::mem::replace(&mut held.phase, Phase::Stopped) {
                Phase::Running { state, .. } => {
                    self.member.pause(&[self.processor.input().partition(*partition)])?;
                    Phase::Restoring(Box::new(Restoring::of(*partition, Some(*state))))
                }
                other => other,
            };
        }
        self.building.inputs = self.building.shares.values().map(|share| share.inputs).sum();
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
