//! A lane: one OS thread that owns some partitions and runs the processor loop.
//!
//! poll → decide against the overlay → hand the batch to the committer → go on deciding while it commits
//! → on success fold the overlay into the state; else drop it, and everything decided after it, and
//! restore what it touched from the log.
//!
//! Fencing: the epochs of a batch's shares are compared, and the group's metadata taken, in one step of
//! this thread, when the batch is handed over. A rebalance that is polled after that cannot let it commit
//! under a later generation, because the batch carries the earlier one. Revoked partitions are still
//! ours until released, which waits for the commit.

mod committing;
mod deciding;
mod owning;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::error::{LaneError, PartitionError};
use super::judge::Judge;
use super::partition::{Epoch, Owned};
use super::restore::Restore;
use super::status::Board;
use super::transaction::Committer;
use crate::aggregate::Aggregate;
use crate::clock::Clock;
use crate::log::{Log, LogError, Member, Polled, Reader};
use crate::position::{Offset, Partition};

const IDLE_WAIT: Duration = Duration::from_millis(100);
/// How long a commit may go unnoticed while there is nothing else to commit.
const COMMITTING_WAIT: Duration = Duration::from_millis(2);
/// For how long to wait for a commit before looking for more commands to decide.
const DECIDED_WAIT: Duration = Duration::from_micros(500);
/// The most commands decided between two looks at the commit under way.
const CHUNK: usize = 500;
/// After a failure that may pass, when to try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const FAILURE_PAUSE: Duration = Duration::from_millis(50);
/// After how many failures in a row the lane ends, for its supervisor to start it anew: some minutes.
const MOST_FAILURES: u32 = 300;

/// One OS thread's partitions of one aggregate's commands.
pub(super) struct Lane<A: Aggregate> {
    pub judge: Judge<A>,
    pub log: Arc<dyn Log>,
    pub clock: Clock,
    pub member: Box<dyn Member>,
    pub reader: Box<dyn Reader>,
    pub committer: Committer,
    /// Kept with the committed offsets, so that a later owner can end what this one left open.
    transactional_ids: String,
    board: Board,
    stop: Arc<AtomicBool>,
    held: BTreeMap<Partition, Held<A>>,
    epoch: Epoch,
    building: Batch<A>,
    committing: Option<Batch<A>>,
    /// The most commands of a batch; halved while a batch is rejected, to find the one that is.
    limit: usize,
    /// A command that the log rejects for its size, found by halving: the offset after it.
    rejected: Option<(Partition, Offset)>,
    /// The partition whose restore did not get on when it was its turn.
    stalled: Option<Partition>,
    /// Batches and polls that failed since the last that did not.
    failures: u32,
}

/// A partition that the lane owns.
struct Held<A: Aggregate> {
    epoch: Epoch,
    phase: Phase<A>,
    /// A command that cannot be judged: the partition stops when it comes to it.
    stop_at: Option<(Offset, Arc<PartitionError>)>,
}

enum Phase<A: Aggregate> {
    Restoring(Box<Restore<A>>),
    /// Judging. While `waiting`, its flow is paused.
    Running {
        owned: Box<Owned<A>>,
        waiting: Option<Waiting>,
    },
    /// Begins its restore anew at this time.
    Retrying(Instant),
    Stopped,
}

/// A record that cannot be read yet.
struct Waiting {
    offset: Offset,
    since: Instant,
    retry_at: Instant,
}

/// The parts of a lane that are made outside of it.
pub(super) struct Parts<A: Aggregate> {
    pub judge: Judge<A>,
    pub log: Arc<dyn Log>,
    pub clock: Clock,
    pub member: Box<dyn Member>,
    pub committer: Committer,
    pub transactional_ids: String,
    pub board: Board,
    pub stop: Arc<AtomicBool>,
}

impl<A: Aggregate> Lane<A> {
    pub fn new(parts: Parts<A>) -> Result<Self, LogError> {
        let Parts { judge, log, clock, member, committer, transactional_ids, board, stop } = parts;
        let limit = judge.settings.batch_commands.max(1);
        let reader = log.reader()?;
        Ok(Self {
            judge,
            log,
            clock,
            member,
            reader,
            committer,
            transactional_ids,
            board,
            stop,
            held: BTreeMap::new(),
            epoch: Epoch(0),
            building: Batch::new(),
            committing: None,
            limit,
            rejected: None,
            stalled: None,
            failures: 0,
        })
    }

    /// Works until it is told to stop, then finishes the batch at hand and leaves the group.
    pub fn run(mut self) -> Result<(), LaneError> {
        while !self.stop.load(Ordering::Relaxed) {
            self.turn()?;
        }
        self.finish()?;
        self.member.leave()?;
        Ok(())
    }

    fn turn(&mut self) -> Result<(), LaneError> {
        self.take_completion(Duration::ZERO)?;
        self.restore_one()?;
        self.resume_waiting()?;
        let room = self.room();
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
            self.add_due_checkpoint()?;
            self.submit()?;
        } else if room == 0 {
            self.take_completion(IDLE_WAIT)?;
        } else if !self.building.is_empty() {
            self.take_completion(DECIDED_WAIT)?;
        }
        Ok(())
    }

    /// Waits a little, longer after each failure in a row; gives up after many.
    fn pause_after_failure(&mut self, error: &dyn std::fmt::Display) -> Result<(), LaneError> {
        self.failures += 1;
        if self.failures > MOST_FAILURES {
            let text = format!("gave up after {MOST_FAILURES} failures in a row, the last: {error}");
            return Err(LogError::Fatal(text).into());
        }
        if self.failures > 1 {
            std::thread::sleep((FAILURE_PAUSE * self.failures).min(RETRY_AFTER));
        }
        Ok(())
    }

    fn room(&self) -> usize {
        if self.building.bytes() >= self.judge.settings.batch_bytes {
            return 0;
        }
        self.limit.saturating_sub(self.building.commands)
    }

    fn poll_wait(&self) -> Duration {
        let restoring = self.held.values().any(|held| matches!(held.phase, Phase::Restoring(_)));
        match &self.committing {
            _ if restoring || !self.building.is_empty() => Duration::ZERO,
            Some(_) => COMMITTING_WAIT,
            None => IDLE_WAIT,
        }
    }
}
