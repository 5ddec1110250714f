//! What a lane does when partitions come and go.

use super::super::error::LaneError;
use super::super::partition::Owned;
use super::super::restore::{Restore, Step, Tools};
use super::super::status::PartitionState;
use super::{Held, Lane, Phase, RETRY_AFTER};
use crate::aggregate::Aggregate;
use crate::clock;
use crate::log::TopicPartition;
use crate::position::Partition;

impl<A: Aggregate> Lane<A> {
    pub(super) fn assigned(&mut self, partitions: &[TopicPartition]) {
        self.epoch.0 += 1;
        for TopicPartition { partition, .. } in partitions {
            tracing::info!(aggregate = A::NAME, partition = partition.0, "assigned");
            let phase = Phase::Restoring(Box::new(Restore::cold(*partition, &self.judge.settings)));
            self.held.insert(*partition, Held { epoch: self.epoch, phase, stop_at: None });
            self.board.set(*partition, PartitionState::Restoring("assigned".to_owned()));
        }
        metrics::counter!("headwater_rebalances_total", "aggregate" => A::NAME).increment(1);
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
        for TopicPartition { partition, .. } in partitions {
            tracing::info!(aggregate = A::NAME, partition = partition.0, "released");
            self.held.remove(partition);
            self.building.shares.remove(partition);
            self.board.remove(*partition);
        }
        Ok(self.member.release(partitions)?)
    }

    /// One step of one partition's restore; they take turns, so that none waits for one that stands still.
    pub(super) fn restore_one(&mut self) -> Result<(), LaneError> {
        let now = clock::instant();
        for (partition, held) in &mut self.held {
            if matches!(held.phase, Phase::Retrying(at) if at <= now) {
                held.phase = Phase::Restoring(Box::new(Restore::cold(*partition, &self.judge.settings)));
            }
        }
        let is_restoring = |held: &Held<A>| matches!(held.phase, Phase::Restoring(_));
        let mut restoring = self.held.iter().filter(|(_, held)| is_restoring(held)).map(|(partition, _)| *partition);
        let first = restoring.clone().next();
        let stalled = self.stalled;
        let Some(partition) = restoring.find(|it| stalled.is_none_or(|stalled| *it > stalled)).or(first) else {
            return Ok(());
        };
        let Some(held) = self.held.get_mut(&partition) else { return Ok(()) };
        let Phase::Restoring(restore) = std::mem::replace(&mut held.phase, Phase::Retrying(now)) else {
            return Ok(());
        };
        let mut tools = Tools {
            log: &*self.log,
            member: &mut *self.member,
            reader: &mut *self.reader,
            codecs: &self.judge.codecs,
            settings: &self.judge.settings,
            retention: self.judge.topology.command_retention,
            own_ids: &self.transactional_ids,
            clock: &self.clock,
        };
        let stepped = (*restore).step(&mut tools);
        // One that got on is stepped again, since a reader that stays in one partition is quick.
        let got_on = matches!(&stepped, Ok(Step::More(restore)) if restore.got_on());
        self.stalled = if got_on { self.stalled } else { Some(partition) };
        let phase = match stepped {
            Ok(Step::More(restore)) => {
                self.board.set(partition, PartitionState::Restoring(restore.progress()));
                Phase::Restoring(restore)
            }
            Ok(Step::Done(owned)) => self.start_judging(owned)?,
            Err(error) if error.is_temporary() => self.retry_restore(partition, &error),
            Err(error) => {
                tracing::error!(aggregate = A::NAME, partition = partition.0, %error, "the partition stops");
                metrics::counter!("headwater_partitions_stopped_total", "aggregate" => A::NAME).increment(1);
                self.board.set(partition, PartitionState::Stopped(error.to_string()));
                Phase::Stopped
            }
        };
        if let Some(held) = self.held.get_mut(&partition) {
            held.phase = phase;
        }
        Ok(())
    }

    fn start_judging(&mut self, owned: Box<Owned<A>>) -> Result<Phase<A>, LaneError> {
        let partition = owned.partition;
        tracing::info!(
            aggregate = A::NAME,
            partition = partition.0,
            sequence = owned.sequence.0,
            commands_offset = owned.commands_offset.0,
            instances = owned.instances.len(),
            "restored"
        );
        let commands = self.judge.codecs.topics.commands.partition(partition);
        match self.member.resume(&[(commands, owned.commands_offset)]) {
            Ok(()) => {
                self.board.set(partition, PartitionState::Running { sequence: owned.sequence });
                Ok(Phase::Running { owned, waiting: None })
            }
            Err(error) if error.is_temporary() => Ok(self.retry_restore(partition, &error)),
            Err(error) => Err(error.into()),
        }
    }

    fn retry_restore(&self, partition: Partition, error: &dyn std::fmt::Display) -> Phase<A> {
        tracing::warn!(aggregate = A::NAME, partition = partition.0, %error, "the restore starts anew in a moment");
        self.board.set(partition, PartitionState::Restoring(error.to_string()));
        Phase::Retrying(clock::instant() + RETRY_AFTER)
    }
}
