//! What a lane does with the records it polled.

use std::sync::Arc;
use std::time::Duration;

use super::error::{LaneError, StopReason};
use super::processor::{Processor, Treatment, Verdict};
use super::running::{Failing, Held, Lane, Phase, RETRY_AFTER, Waiting};
use super::share::{Overlay, Share};
use super::status::PartitionState;
use crate::clock::{self, Timestamp};
use crate::log::Record;
use crate::position::Partition;

/// For how long this lane has to find a schema unknown itself, however long its record has stood there: the
/// registry may have come back a moment ago.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

impl<P: Processor> Lane<P> {
    pub(super) fn decide_all(&mut self, records: &[Record]) -> Result<(), LaneError> {
        let (now, begun) = (self.clock.now(), clock::instant());
        for record in records {
            self.decide(record, now)?;
        }
        self.building.begun.get_or_insert((now, begun));
        self.building.deciding += clock::elapsed(begun);
        Ok(())
    }

    fn decide(&mut self, record: &Record, now: Timestamp) -> Result<(), LaneError> {
        let partition = record.partition;
        let Some(Held { epoch, phase: Phase::Running { state, waiting }, failing }) = self.held.get_mut(&partition)
        else {
            // Fetched before its partition stopped or began to restore; it will be read again.
            return Ok(());
        };
        if waiting.as_ref().is_some_and(|waiting| record.offset != waiting.offset) {
            return Ok(());
        }
        let failing = failing.get(&record.offset);
        if let Some(error) = failing.filter(|it| !it.error.is_poison()).map(|it| it.error.clone()) {
            return self.stop_partition(partition, &error);
        }
        let poison = failing.filter(|it| it.attempts >= self.settings.attempts).map(|it| it.error.to_string());
        let committing = self.committing.as_ref().and_then(|batch| batch.shares.get(&partition));
        let share = self.building.share(&self.processor, (partition, *epoch), state, committing);
        let mut overlay = Overlay { state: &**state, committing, share };
        let treatment = match &poison {
            _ if self.rejected == Some((partition, record.offset.next())) => Treatment::Rejected,
            Some(reason) => Treatment::Poison(reason),
            None => Treatment::Normal,
        };
        let verdict = match self.processor.process(&mut overlay, record, treatment, now) {
            Ok(Verdict::Wait { reason, unknown: true })
                if waiting.as_ref().is_some_and(|it| {
                    clock::elapsed(it.since) >= self.settings.unknown_schema.min(UNKNOWN_FOR)
                        && now.since(record.timestamp) >= self.settings.unknown_schema
                }) =>
            {
                self.processor.give_up(&mut overlay, record, reason, now).map(|()| Verdict::Done)
            }
            other => other,
        };
        match verdict {
            Ok(Verdict::Done) => {
                share.next_offset = record.offset.next();
                share.inputs += 1;
                *waiting = None;
                self.building.inputs += 1;
                Ok(())
            }
            Ok(Verdict::Wait { reason, .. }) => self.wait_for_schema(record, &reason),
            Err(error) => self.cannot_process(record, error),
        }
    }

    /// Pauses the partition in front of a record that cannot be read yet.
    fn wait_for_schema(&mut self, record: &Record, reason: &str) -> Result<(), LaneError> {
        let partition = record.topic.partition(record.partition);
        self.states.set(record.partition, PartitionState::Waiting(reason.to_owned()));
        self.drop_empty_share(record.partition);
        let Some(Held { phase: Phase::Running { waiting, .. }, .. }) = self.held.get_mut(&record.partition) else {
            return Ok(());
        };
        let now = clock::instant();
        if waiting.is_none() {
            tracing::warn!(%partition, offset = record.offset.0, reason, "waits: a record's schema cannot be had");
        }
        let since = waiting.as_ref().map_or(now, |waiting| waiting.since);
        *waiting = Some(Waiting { offset: record.offset, since, retry_at: now + RETRY_AFTER });
        Ok(self.member.pause(&[partition])?)
    }

    fn drop_empty_share(&mut self, partition: Partition) {
        let is_empty = |share: &mut Share<P::Changes>| share.records.is_empty() && share.inputs == 0;
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
            let input = self.processor.input().partition(*partition);
            match self.member.resume(&[(input, waiting.offset)]) {
                Err(error) if !error.is_temporary() => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// A record that cannot be processed: what was decided before it in this batch is decided anew and
    /// committed, then the partition stops in front of it, or tries it again and in the end sets it aside.
    fn cannot_process(&mut self, record: &Record, error: P::Error) -> Result<(), LaneError> {
        if error.is_temporary() {
            tracing::error!(%error, "a record cannot be processed now");
        } else if let Some(held) = self.held.get_mut(&record.partition) {
            let attempts = held.failing.get(&record.offset).map_or(0, |it| it.attempts) + 1;
            tracing::error!(%error, attempts, "a record cannot be processed");
            held.failing.insert(record.offset, Failing { attempts, error: Arc::new(error) });
        }
        self.finish_commit()?;
        self.rewind(&[record.partition])
    }

    pub(super) fn stop_partition(&mut self, partition: Partition, error: &P::Error) -> Result<(), LaneError> {
        tracing::error!(partition = partition.0, kind = P::KIND, processor = self.processor.name(), %error, "the partition stops");
        self.meters.stopped.increment(1);
        // What was decided before it may still be committed: the share stays, the state goes with it.
        self.finish()?;
        let Some(held) = self.held.get_mut(&partition) else { return Ok(()) };
        if !matches!(held.phase, Phase::Running { .. }) {
            // They were not committed: they are decided anew after the restore, which leads here again.
            return Ok(());
        }
        held.phase = Phase::Stopped;
        self.states.set(partition, PartitionState::Stopped(error.to_string()));
        Ok(self.member.pause(&[self.input(partition)])?)
    }
}
