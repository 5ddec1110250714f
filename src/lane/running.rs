//! The loop of one thread.
//!
//! Fencing: the epochs of a batch's shares are compared, and the group's metadata taken, in one step of
//! this thread, when the batch is handed over. A rebalance that is polled after that cannot let it commit
//! under a later generation, because the batch carries the earlier one. Revoked partitions are still
//! ours until released, which waits for the commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::LaneParts;
use super::batch::Batch;
use super::error::LaneError;
use super::meters::Meters;
use super::processor::Processor;
use super::restore::Restoring;
use super::settings::LaneSettings;
use super::share::Epoch;
use super::status::{PartitionStates, Pulse};
use super::transaction::Committer;
use crate::clock::{self, Clock};
use crate::log::{Group, Log, LogError, Member, Polled, Reader, TopicPartition};
use crate::position::{Offset, Partition};

pub(super) const IDLE_WAIT: Duration = Duration::from_millis(100);
/// While a batch is committed: how long its end may go unnoticed while there are no records, and how long
/// records may while some are decided already.
const COMMITTING_WAIT: Duration = Duration::from_millis(2);
/// The most records processed between two looks at the commit under way.
const CHUNK: usize = 500;
/// After a failure that may pass, when to try again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
const FAILURE_PAUSE: Duration = Duration::from_millis(50);
/// A second eviction within this time is no accident.
const CALM: Duration = Duration::from_mins(1);
/// After how many failures in a row the lane ends, for its supervisor to start it anew: some minutes.
const MOST_FAILURES: u32 = 300;

/// One OS thread's partitions of one topic.
pub(super) struct Lane<P: Processor> {
    pub processor: P,
    pub log: Arc<dyn Log>,
    pub clock: Clock,
    pub settings: LaneSettings,
    group: Group,
    pub member: Box<dyn Member>,
    /// When it last joined again, having been evicted.
    evicted_at: Option<Instant>,
    pub reader: Box<dyn Reader>,
    pub committer: Committer,
    /// Kept with the committed offsets, so that a later owner can end what this one left open.
    pub transactional_ids: String,
    pub states: PartitionStates,
    stop: Arc<AtomicBool>,
    pub held: BTreeMap<Partition, Held<P>>,
    pub epoch: Epoch,
    pub building: Batch<P>,
    pub committing: Option<Batch<P>>,
    /// Until when a batch gathers records of those whom the one before it has just answered.
    pub gathers_until: Option<Instant>,
    /// How many records it has once all of them have asked again.
    pub gathers_at_most: usize,
    /// The most records of a batch; halved while a batch is rejected, to find the one that is.
    pub limit: usize,
    /// A record whose batch the log rejects for its size, found by halving: the offset after it.
    pub rejected: Option<(Partition, Offset)>,
    /// The partition whose restore did not get on when it was its turn.
    pub stalled: Option<Partition>,
    /// The partition that last had something due.
    pub last_due: Option<Partition>,
    /// Batches and polls that failed since the last that did not.
    pub failures: u32,
    pub meters: Meters,
    pub pulse: Pulse,
}

/// A partition that the lane owns.
pub(super) struct Held<P: Processor> {
    pub epoch: Epoch,
    pub phase: Phase<P>,
    /// Records that could not be processed, and are not committed yet: those of a batch at most.
    pub failing: BTreeMap<Offset, Failing<P::Error>>,
}

/// A record that cannot be processed: the partition stops when it comes to it, unless the fault is the
/// record's own; then it is tried some times and set aside.
pub(super) struct Failing<E> {
    pub attempts: u32,
    pub error: Arc<E>,
}

pub(super) enum Phase<P: Processor> {
    Restoring(Box<Restoring<P>>),
    /// Processing. While `waiting`, its flow is paused.
    Running {
        state: Box<P::State>,
        waiting: Option<Waiting>,
    },
    /// Begins its restore anew at this time.
    Retrying(Instant),
    Stopped,
}

/// A record that cannot be read yet.
pub(super) struct Waiting {
    pub offset: Offset,
    pub since: Instant,
    pub retry_at: Instant,
}

impl<P: Processor> Lane<P> {
    /// Opens the writers and joins the group.
    pub fn open(
        parts: &LaneParts,
        name: &str,
        processor: P,
        (states, pulse): (PartitionStates, Pulse),
        stop: Arc<AtomicBool>,
    ) -> Result<Self, LaneError> {
        let ids: Vec<_> = (0..parts.settings.writers.max(1)).map(|slot| format!("{name}.{slot}")).collect();
        let transactional_ids = ids.join(",");
        let committer = Committer::start(parts.log.clone(), ids, stop.clone())?;
        let topics = vec![processor.input().clone()];
        let group = Group { name: parts.group.clone(), instance: Some(name.to_owned()), topics };
        let member = parts.log.join(&group)?;
        let limit = parts.settings.batch_records.max(1);
        let meters = Meters::of(P::KIND, processor.name());
        Ok(Self {
            processor,
            log: parts.log.clone(),
            clock: parts.clock.clone(),
            settings: parts.settings.clone(),
            group,
            member,
            evicted_at: None,
            reader: parts.log.reader()?,
            committer,
            transactional_ids,
            states,
            stop,
            held: BTreeMap::new(),
            epoch: Epoch(0),
            building: Batch::new(),
            committing: None,
            gathers_until: None,
            gathers_at_most: 0,
            limit,
            rejected: None,
            stalled: None,
            last_due: None,
            failures: 0,
            meters,
            pulse,
        })
    }

    pub fn input(&self, partition: Partition) -> TopicPartition {
        self.processor.input().partition(partition)
    }

    /// Works until it is told to stop, then finishes the batch at hand and leaves the group.
    pub fn run(mut self) -> Result<(), LaneError> {
        while !self.stop.load(Ordering::Relaxed) {
            match self.turn() {
                Err(LaneError::Log(LogError::Fenced(reason))) => self.join_again(reason)?,
                turned => turned?,
            }
        }
        self.finish()?;
        let owned: Vec<_> = self.held.keys().copied().collect();
        self.leave(&owned);
        self.member.leave()?;
        Ok(())
    }

    /// A coordinator that came up again may take a member for another one of its instance: what a restart of
    /// the broker leaves behind. Somebody else may own the partitions by now, so it begins with nothing; and
    /// not again and again: two that share one instance would evict each other for ever.
    fn join_again(&mut self, reason: String) -> Result<(), LaneError> {
        if self.evicted_at.is_some_and(|at| clock::elapsed(at) < CALM) {
            return Err(LogError::Fenced(reason).into());
        }
        tracing::warn!(
            kind = P::KIND,
            processor = self.processor.name(),
            reason,
            "evicted from the group; joining again"
        );
        self.evicted_at = Some(clock::instant());
        while self.committing.take().is_some() {
            // Whether it was committed is what the next restore finds out.
            while self.committer.wait(IDLE_WAIT)?.is_none() {}
        }
        self.building = Batch::new();
        for partition in std::mem::take(&mut self.held).into_keys() {
            self.states.remove(partition);
        }
        self.epoch.0 += 1;
        // As after a start: whatever the writers left open would have every restore wait for its end.
        let ids = self.transactional_ids.split(',').map(str::to_owned).collect();
        self.committer = Committer::start(self.log.clone(), ids, self.stop.clone())?;
        self.member = self.log.join(&self.group)?;
        Ok(())
    }

    fn turn(&mut self) -> Result<(), LaneError> {
        self.pulse.beat();
        if !self.pulse.has_joined() && self.member.fence().is_ok() {
            self.pulse.join();
        }
        self.take_completion(Duration::ZERO)?;
        self.tend()?;
        self.restore_one()?;
        self.resume_waiting()?;
        let room = self.room();
        let before = self.building.inputs;
        if room > 0 {
            let wait = self.poll_wait();
            match self.member.poll(wait, room.min(CHUNK)) {
                Ok(Polled::Records(records)) => self.decide_all(&records)?,
                Ok(Polled::Assigned(partitions)) => self.assigned(&partitions),
                Ok(Polled::Revoked(partitions)) => self.hand_over(&partitions)?,
                Ok(Polled::Lost(partitions)) => self.give_up(&partitions)?,
                Err(error) if error.is_temporary() => self.pause_after_failure(&error)?,
                Err(error) => return Err(error.into()),
            }
        }
        if self.committing.is_none() {
            self.do_due()?;
            if self.gathers().is_none() {
                self.submit()?;
            }
        } else if room == 0 {
            self.take_completion(IDLE_WAIT)?;
        } else if before > 0 && self.building.inputs == before {
            self.take_completion(COMMITTING_WAIT)?;
        }
        Ok(())
    }

    /// Waits a little, longer after each failure in a row; gives up after many.
    pub fn pause_after_failure(&mut self, error: &dyn std::fmt::Display) -> Result<(), LaneError> {
        self.failures += 1;
        if self.failures > MOST_FAILURES {
            let text = format!("gave up after {MOST_FAILURES} failures in a row, the last: {error}");
            return Err(LogError::Fatal(text).into());
        }
        if self.failures > 1 {
            clock::pause((FAILURE_PAUSE * self.failures).min(RETRY_AFTER));
        }
        Ok(())
    }

    pub fn room(&self) -> usize {
        if self.building.bytes() >= self.settings.batch_bytes {
            return 0;
        }
        self.limit.saturating_sub(self.building.inputs)
    }

    fn poll_wait(&self) -> Duration {
        let restoring = self.held.values().any(|held| matches!(held.phase, Phase::Restoring(_)));
        match &self.committing {
            _ if restoring => Duration::ZERO,
            None if self.building.is_empty() => IDLE_WAIT,
            None => self.gathers().unwrap_or_default(),
            Some(_) if self.building.is_empty() => COMMITTING_WAIT,
            Some(_) => Duration::ZERO,
        }
    }
}
