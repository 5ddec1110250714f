//! What a lane is told of the work it does.

use super::error::StopReason;
use super::share::{Overlay, Share};
use super::status::Progress;
use super::tools::Tools;
use crate::clock::Timestamp;
use crate::log::{Record, Topic, Written};
use crate::position::{Offset, Partition};

/// The work on one topic: how a partition's state is restored, what a record leads to, and what is folded
/// into the state once that is committed.
///
/// Each lane has one of its own. Nothing in it changes but a partition's state, and that only by
/// [`fold`](Self::fold).
pub(crate) trait Processor: Send + Sized + 'static {
    /// What kind of processor it is, in logs and metrics.
    const KIND: &'static str;
    /// The committed state of one owned partition.
    type State: Send;
    /// What one batch does in one partition, besides the records it writes.
    type Changes: Send;
    /// A restore under way.
    type Restore: Send;
    /// Why a partition stops.
    type Error: StopReason;

    /// The aggregate or saga that it works for, in logs and metrics.
    fn name(&self) -> &'static str;
    /// The topic it reads.
    fn input(&self) -> &Topic;
    /// The next record to process.
    fn next_offset(state: &Self::State) -> Offset;

    /// Begins to restore a partition: from nothing, or from the state before a batch that was not
    /// committed.
    fn restore(&self, partition: Partition, committed: Option<Committed>, before: Option<Self::State>)
    -> Self::Restore;
    /// Goes one step further. After a temporary error the lane begins anew.
    fn step(
        &self,
        restore: Self::Restore,
        tools: &mut Tools<'_>,
    ) -> Result<Step<Self::Restore, Self::State>, Self::Error>;
    /// What a restore is doing, for people.
    fn progress(restore: &Self::Restore) -> Progress;

    /// No changes yet, on top of the state and of the share that commits at the moment.
    fn begin(&self, state: &Self::State, committing: Option<&Share<Self::Changes>>) -> Self::Changes;
    /// Takes one record in. `now` is the wall clock.
    fn process(
        &self,
        overlay: &mut Overlay<'_, Self::State, Self::Changes>,
        record: &Record,
        treatment: Treatment<'_>,
        now: Timestamp,
    ) -> Result<Verdict, Self::Error>;
    /// Gives up on a record that still cannot be read.
    fn give_up(
        &self,
        overlay: &mut Overlay<'_, Self::State, Self::Changes>,
        record: &Record,
        reason: String,
        now: Timestamp,
    ) -> Result<(), Self::Error>;

    /// Whether something is to be done in a partition without a record: its time has come.
    fn is_due(&self, state: &Self::State, now: Timestamp) -> bool;
    /// Does part of it, at most what fits a batch. Nothing is committing meanwhile.
    fn do_due(
        &self,
        state: &mut Self::State,
        share: &mut Share<Self::Changes>,
        now: Timestamp,
    ) -> Result<(), Self::Error>;

    /// Looks after a partition beside the log, in every turn of the lane: what it keeps elsewhere. After a
    /// temporary error the partition is restored.
    fn tend(&self, _state: &mut Self::State, _now: Timestamp) -> Result<(), Self::Error> {
        Ok(())
    }
    /// The last time before the partition is let go.
    fn leave(&self, _state: &mut Self::State, _now: Timestamp) {}

    /// Writes what depends on a whole share; once, before it is committed.
    fn seal(&self, share: &mut Share<Self::Changes>) -> Result<(), Self::Error>;
    /// A word kept with the committed offset and given to the next [`restore`](Self::restore); at most some
    /// dozens of bytes.
    fn note(&self, _share: &Share<Self::Changes>) -> Option<String> {
        None
    }
    /// A share is committed: the state is what it says. `written` is one past the last record in each
    /// partition written to.
    fn fold(&self, state: &mut Self::State, share: Share<Self::Changes>, written: &Written, moments: &Moments);
    /// A share was dropped.
    fn dropped(&self, _state: &mut Self::State, _changes: Self::Changes) {}
}

/// When a batch got where, by the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    /// Its first record was taken in.
    pub begun: Timestamp,
    /// All was decided.
    pub handed_over: Timestamp,
    /// Its commit was heard of.
    pub committed: Timestamp,
}

/// Where a group stands in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The next offset to process.
    pub offset: Offset,
    /// The [note](Processor::note) that was committed with it.
    pub note: Option<String>,
}

/// What one step of a restore came to.
pub(crate) enum Step<R, S> {
    /// There is more to read.
    More(R),
    /// Restored.
    Done(S),
}

/// How a record is to be taken in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Treatment<'r> {
    /// As any other.
    Normal,
    /// The log rejects what it leads to, however small its batch was made: it must lead to less.
    Rejected,
    /// Taking it in failed again and again by a fault of its own, for this reason: it must be set aside.
    Poison(&'r str),
}

/// What came of looking at a record.
pub(crate) enum Verdict {
    /// It is dealt with; its offset may be committed with the batch.
    Done,
    /// It cannot be read yet: its schema is not to be had. `unknown` if the registry answers and does not
    /// know it.
    Wait { reason: String, unknown: bool },
}
