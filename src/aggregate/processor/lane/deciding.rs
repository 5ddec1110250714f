//! What a lane does with the commands it polled.

use std::sync::Arc;
use std::time::Duration;

use super::super::batch::{Overlay, Share};
use super::super::error::{LaneError, PartitionError};
use super::super::judge::Verdict;
use super::super::settings::ProcessorSettings;
use super::super::status::PartitionState;
use super::{Held, Lane, Phase, RETRY_AFTER, Waiting};
use crate::aggregate::Aggregate;
use crate::clock::{self, Timestamp};
use crate::log::Record;
use crate::position::Partition;

impl<A: Aggregate> Lane<A> {
    pub(super) fn decide_all(&mut self, records: &[Record]) -> Result<(), LaneError> {
        let now = self.clock.now();
        for record in records {
            self.decide(record, now)?;
        }
        Ok(())
    }

    fn decide(&mut self, record: &Record, now: Timestamp) -> Result<(), LaneError> {
        let partition = record.partition;
        let Some(Held { epoch, phase: Phase::Running { owned, waiting }, stop_at }) = self.held.get_mut(&partition)
        else {
            // Fetched before its partition stopped or began to restore; it will be read again.
            return Ok(());
        };
        if waiting.as_ref().is_some_and(|waiting| record.offset != waiting.offset) {
            return Ok(());
        }
        if let Some((_, error)) = stop_at.as_ref().filter(|(offset, _)| *offset == record.offset) {
            let error = error.clone();
            return self.stop_partition(partition, &error);
        }
        let committing = self.committing.as_ref().and_then(|batch| batch.shares.get(&partition));
        let share = self.building.share(*epoch, owned, committing);
        let mut overlay = Overlay { owned, committing, share };
        let rejected = self.rejected == Some((partition, record.offset.next()));
        let verdict = self.judge.judge(&mut overlay, record, rejected, now);
        let verdict = match verdict {
            Ok(Verdict::Wait { reason, unknown })
                if unknown && waited_enough(waiting.as_ref(), &self.judge.settings) =>
            {
                self.judge.give_up(&mut overlay, record, reason, now).map(|()| Verdict::Done)
            }
            other => other,
        };
        match verdict {
            Ok(Verdict::Done) => {
                *waiting = None;
                self.building.commands += 1;
                Ok(())
            }
            Ok(Verdict::Wait { reason, .. }) => self.wait_for_schema(record, &reason),
            Err(error) => self.cannot_judge(record, error),
        }
    }

    /// Pauses the partition in front of a record that cannot be read yet.
    fn wait_for_schema(&mut self, record: &Record, reason: &str) -> Result<(), LaneError> {
        let partition = record.topic.partition(record.partition);
        tracing::warn!(%partition, offset = record.offset.0, reason, "waits: a command's schema cannot be had");
        self.board.set(record.partition, PartitionState::Waiting(reason.to_owned()));
        self.drop_empty_share(record.partition);
        let Some(Held { phase: Phase::Running { waiting, .. }, .. }) = self.held.get_mut(&record.partition) else {
            return Ok(());
        };
        let now = clock::instant();
        let since = waiting.as_ref().map_or(now, |waiting| waiting.since);
        *waiting = Some(Waiting { offset: record.offset, since, retry_at: now + RETRY_AFTER });
        Ok(self.member.pause(&[partition])?)
    }

    fn drop_empty_share(&mut self, partition: Partition) {
        let is_empty = |share: &mut Share<A>| share.records.is_empty() && share.outcomes.is_empty();
        if self.building.shares.get_mut(&partition).is_some_and(is_empty) {
            self.building.shares.remove(&partition);
        }
    }

    pub(super) fn resume_waiting(&mut self) -> Result<(), LaneError> {
        let now = clock::instant();
        for (partition, held) in &mut self.held {
            let Phase::Running { waiting: Some(waiting), .. } = &mut held.phase else { continue };
            if waiting.retry_at > now {
                continue;
            }
            waiting.retry_at = now + RETRY_AFTER;
            let commands = self.judge.codecs.topics.commands.partition(*partition);
            match self.member.resume(&[(commands, waiting.offset)]) {
                Err(error) if !error.is_temporary() => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// A command that cannot be judged: what was decided before it in this batch is decided anew and
    /// committed, then the partition stops in front of it.
    fn cannot_judge(&mut self, record: &Record, error: PartitionError) -> Result<(), LaneError> {
        tracing::error!(%error, "a command cannot be judged");
        if let Some(held) = self.held.get_mut(&record.partition) {
            held.stop_at = Some((record.offset, Arc::new(error)));
        }
        self.finish_commit()?;
        self.rewind(&[record.partition])
    }

    pub(super) fn stop_partition(&mut self, partition: Partition, error: &PartitionError) -> Result<(), LaneError> {
        tracing::error!(partition = partition.0, aggregate = A::NAME, %error, "the partition stops");
        metrics::counter!("headwater_partitions_stopped_total", "aggregate" => A::NAME).increment(1);
        // What was decided before it may still be committed: the share stays, the state goes with it.
        self.finish()?;
        let Some(held) = self.held.get_mut(&partition) else { return Ok(()) };
        if !matches!(held.phase, Phase::Running { .. }) {
            // They were not committed: they are decided anew after the restore, which leads here again.
            return Ok(());
        }
        held.phase = Phase::Stopped;
        self.board.set(partition, PartitionState::Stopped(error.to_string()));
        Ok(self.member.pause(&[self.judge.codecs.topics.commands.partition(partition)])?)
    }
}

fn waited_enough(waiting: Option<&Waiting>, settings: &ProcessorSettings) -> bool {
    waiting.is_some_and(|waiting| waiting.since.elapsed() >= Duration::from_secs(settings.unknown_schema_seconds))
}
