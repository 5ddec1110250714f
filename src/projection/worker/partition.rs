//! One partition that a worker owns: where it is, and what it does.

use std::time::Instant;

use super::status::{Flow, PartitionStatus};
use crate::log::TopicPartition;
use crate::position::{Offset, Sequence};
use crate::projection::{Advance, Epoch, SourcePartition, StopReason, StoredPosition};

/// A partition with its state.
#[derive(Debug)]
pub struct Owned {
    pub source: SourcePartition,
    pub place: TopicPartition,
    pub state: State,
    /// Where the database stands, as last heard.
    stored: Option<StoredPosition>,
    pub lag: Option<i64>,
}

/// What a partition does.
#[derive(Debug)]
pub enum State {
    /// It is not known yet where to go on; `asked` once the database was.
    Starting { retry_at: Instant, asked: bool },
    /// Events are folded.
    Running(At),
    /// The next event cannot be read yet.
    Waiting { at: At, retry_at: Instant, reason: String },
    /// It goes no further.
    Stopped(StopReason),
}

/// Where a running partition is.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The next offset to read.
    pub next: Offset,
    /// The sequence of the last event read.
    pub sequence: Sequence,
    /// The next offset that will be stored once every batch made so far is written.
    written: Offset,
    epoch: Epoch,
}

impl At {
    pub const fn stored(position: &StoredPosition) -> Self {
        let StoredPosition { next_offset, sequence, epoch, .. } = *position;
        Self { next: next_offset, sequence, written: next_offset, epoch }
    }

    /// What the events read since the last batch advance the partition by.
    pub fn advance(&mut self) -> Option<Advance> {
        let expected = std::mem::replace(&mut self.written, self.next);
        let Self { next, sequence, epoch, .. } = *self;
        (next != expected).then_some(Advance { expected, next, sequence, epoch })
    }
}

impl Owned {
    pub const fn new(source: SourcePartition, place: TopicPartition, now: Instant) -> Self {
        Self { source, place, state: State::Starting { retry_at: now, asked: false }, stored: None, lag: None }
    }

    pub const fn at(&mut self) -> Option<&mut At> {
        match &mut self.state {
            State::Running(at) | State::Waiting { at, .. } => Some(at),
            State::Starting { .. } | State::Stopped(_) => None,
        }
    }

    /// Whether records of it are to be folded now.
    pub const fn running(&mut self) -> Option<&mut At> {
        match &mut self.state {
            State::Running(at) => Some(at),
            _ => None,
        }
    }

    /// Goes on from what the database says.
    pub fn start(&mut self, position: &StoredPosition) {
        self.stored = Some(*position);
        self.state = State::Running(At::stored(position));
    }

    /// Goes no further for now, or for good.
    pub fn halt(&mut self, view: &'static str, state: State) {
        match &state {
            State::Stopped(reason) => {
                tracing::error!(view, place = %self.place, %reason, "a partition is not folded any further");
                metrics::counter!("headwater_view_stopped_partitions_total", "view" => view).increment(1);
            }
            State::Waiting { reason, .. } => {
                tracing::warn!(view, place = %self.place, reason, "an event cannot be read yet; trying again");
            }
            State::Starting { .. } | State::Running(_) => {}
        }
        self.state = state;
    }

    /// Takes news of the database; whether it was reset since this partition started.
    pub fn hear(&mut self, position: &StoredPosition) -> bool {
        self.stored = Some(*position);
        self.at().is_some_and(|at| position.epoch > at.epoch)
    }

    pub fn status(&self) -> PartitionStatus {
        let flow = match &self.state {
            State::Starting { .. } => Flow::Starting,
            State::Running(_) => Flow::Running,
            State::Waiting { reason, .. } => Flow::Waiting(reason.clone()),
            State::Stopped(reason) => Flow::Stopped(reason.to_string()),
        };
        PartitionStatus {
            source: self.source,
            flow,
            next_offset: self.stored.map_or(Offset::ZERO, |stored| stored.next_offset),
            sequence: self.stored.map_or(Sequence::NONE, |stored| stored.sequence),
            lag: self.lag,
            replaying: self.stored.is_some_and(|stored| stored.is_replaying()),
        }
    }
}
