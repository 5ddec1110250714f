//! What a lane does when partitions come and go.

use std::collections::BTreeMap;

use super::error::{LaneError, StopReason};
use super::processor::{Processor, Step};
use super::restore::{Means, Restoring};
use super::running::{Held, Lane, Phase, RETRY_AFTER};
use super::status::PartitionState;
use crate::clock;
use crate::log::TopicPartition;
use crate::position::Partition;

impl<P: Processor> Lane<P> {
    pub(super) fn assigned(&mut self, partitions: &[TopicPartition]) {
        self.epoch.0 += 1;
        self.pulse.join();
        self.tell(partitions, "assigned");
        for TopicPartition { partition, .. } in partitions {
            let phase = Phase::Restoring(Box::new(Restoring::of(*partition, None)));
            self.held.insert(*partition, Held { epoch: self.epoch, phase, failing: BTreeMap::new() });
            self.states.set(*partition, PartitionState::Restoring("assigned".into()));
        }
        self.meters.rebalances.increment(1);
    }

    /// Finishes, then lets go: the next owner finds everything committed.
    pub(super) fn hand_over(&mut self, partitions: &[TopicPartition]) -> Result<(), LaneError> {
        self.finish()?;
        self.release(partitions)
    }

    /// They belong to somebody else already: their share of every decided batch is dropped.
    pub(super) fn give_up(&mut self, partitions: &[TopicPartition]) -> Result<(), LaneError> {
        self.finish_commit()?;
        self.release(partitions)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LaneError> {
        self.tell(partitions, "released");
        self.leave(&partitions.iter().map(|it| it.partition).collect::<Vec<_>>());
        for TopicPartition { partition, .. } in partitions {
            self.held.remove(partition);
            self.building.shares.remove(partition);
            self.states.remove(*partition);
        }
        Ok(self.member.release(partitions)?)
    }

    /// Has the processor keep what it wants to keep of partitions that are let go.
    pub(super) fn leave(&mut self, partitions: &[Partition]) {
        let now = self.clock.now();
        for partition in partitions {
            if let Some(Held { phase: Phase::Running { state, .. }, .. }) = self.held.get_mut(partition) {
                self.processor.leave(state, now);
            }
        }
    }

    /// Has the processor look after the partitions; one that it cannot go on with is restored.
    pub(super) fn tend(&mut self) -> Result<(), LaneError> {
        let now = self.clock.now();
        let mut failed = Vec::new();
        for (partition, held) in &mut self.held {
            if let Phase::Running { state, .. } = &mut held.phase
                && let Err(error) = self.processor.tend(state, now)
            {
                tracing::error!(partition = partition.0, kind = P::KIND, processor = self.processor.name(), %error, "restores the partition");
                failed.push(*partition);
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        self.finish_commit()?;
        self.rewind(&failed)
    }

    /// One line for all of them: there may be hundreds.
    fn tell(&self, partitions: &[TopicPartition], what: &str) {
        if !partitions.is_empty() {
            let numbers: Vec<_> = partitions.iter().map(|it| it.partition.0).collect();
            tracing::info!(kind = P::KIND, processor = self.processor.name(), partitions = ?numbers, "{what}");
        }
    }

    /// One step of one partition's restore; they take turns, so that none waits for one that stands still.
    pub(super) fn restore_one(&mut self) -> Result<(), LaneError> {
        let now = clock::instant();
        for (partition, held) in &mut self.held {
            if matches!(held.phase, Phase::Retrying(at) if at <= now) {
                held.phase = Phase::Restoring(Box::new(Restoring::of(*partition, None)));
            }
        }
        let is_restoring = |held: &Held<P>| matches!(held.phase, Phase::Restoring(_));
        let mut restoring = self.held.iter().filter(|(_, held)| is_restoring(held)).map(|(partition, _)| *partition);
        let first = restoring.clone().next();
        let stalled = self.stalled;
        let Some(partition) = restoring.find(|it| stalled.is_none_or(|stalled| *it > stalled)).or(first) else {
            return Ok(());
        };
        let Some(held) = self.held.get_mut(&partition) else { return Ok(()) };
        let Phase::Restoring(restoring) = std::mem::replace(&mut held.phase, Phase::Retrying(now)) else {
            return Ok(());
        };
        let means = Means {
            log: &*self.log,
            member: &mut *self.member,
            reader: &mut *self.reader,
            clock: &self.clock,
            stall: self.settings.stall,
            own_ids: &self.transactional_ids,
        };
        let stepped = restoring.step(&self.processor, means);
        // One that got on is stepped again, since a reader that stays in one partition is quick.
        let got_on = matches!(&stepped, Ok(Step::More(restoring)) if restoring.got_on());
        self.stalled = if got_on { self.stalled } else { Some(partition) };
        let phase = match stepped {
            Ok(Step::More(restoring)) => {
                self.states.set(partition, PartitionState::Restoring(restoring.progress()));
                Phase::Restoring(Box::new(restoring))
            }
            Ok(Step::Done(state)) => self.start_processing(partition, state)?,
            Err(error) if error.is_temporary() => self.retry_restore(partition, &error),
            Err(error) => {
                tracing::error!(kind = P::KIND, processor = self.processor.name(), partition = partition.0, %error, "the partition stops");
                self.meters.stopped.increment(1);
                self.states.set(partition, PartitionState::Stopped(error.to_string()));
                Phase::Stopped
            }
        };
        if let Some(held) = self.held.get_mut(&partition) {
            held.phase = phase;
        }
        Ok(())
    }

    fn start_processing(&mut self, partition: Partition, state: P::State) -> Result<Phase<P>, LaneError> {
        let (next_offset, of) = (P::next_offset(&state), self.processor.name());
        tracing::debug!(
            kind = P::KIND,
            processor = of,
            partition = partition.0,
            next_offset = next_offset.0,
            "restored"
        );
        match self.member.resume(&[(self.input(partition), next_offset)]) {
            Ok(()) => {
                self.states.set(partition, PartitionState::Running { next_offset });
                Ok(Phase::Running { state: Box::new(state), waiting: None })
            }
            Err(error) if error.is_temporary() => Ok(self.retry_restore(partition, &error)),
            Err(error) => Err(error.into()),
        }
    }

    fn retry_restore(&self, partition: Partition, error: &dyn std::fmt::Display) -> Phase<P> {
        tracing::warn!(kind = P::KIND, processor = self.processor.name(), partition = partition.0, %error, "the restore starts anew in a moment");
        self.states.set(partition, PartitionState::Restoring(error.to_string().into()));
        Phase::Retrying(clock::instant() + RETRY_AFTER)
    }
}
