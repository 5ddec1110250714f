//! Faults that a test plants into the engine, to see that the simulator finds them.
//!
//! Only builds with the feature `mutations` hold any of them, and each is off until a simulation turns one
//! on.

/// Whether this fault is planted; never, without the feature.
macro_rules! is_planted {
    ($mutation:ident) => {{
        #[cfg(feature = "mutations")]
        let planted = $crate::clock::turns::mutation() == Some($crate::clock::Mutation::$mutation);
        #[cfg(not(feature = "mutations"))]
        let planted = false;
        planted
    }};
}
pub(crate) use is_planted;

/// What is wrong with the engine.
#[cfg(feature = "mutations")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// After a batch that was not committed its partitions go on from where they are.
    NoRewindAfterAbort,
    /// What a batch decided is folded into the state although it was not committed.
    FoldedWithoutCommit,
    /// A commit whose answer was lost, or that failed, is taken for done.
    CommitAssumed,
    /// The log takes offsets under an earlier generation.
    StaleGenerationAccepted,
    /// The log takes what a writer does that another of its id has fenced.
    FencedWriterAccepted,
    /// The committed offset is one past what was judged.
    OffsetOneTooFar,
    /// A decision does not see the batch that commits at the moment.
    CommittingNotSeen,
    /// A repeat is not recognised while its first copy commits.
    RepeatNotSeenWhileCommitting,
    /// A repeat is not recognised after a restore.
    RepeatNotSeenAfterRestore,
    /// A repeat is not answered.
    RepeatNotAnswered,
    /// The expected version is not looked at.
    ExpectedVersionIgnored,
    /// The sequence goes on from what an aborted batch had reached.
    SequenceKeptAfterAbort,
    /// A checkpoint says that one more event is covered than is.
    CheckpointOneTooFar,
    /// A checkpoint promises what holds when its last snapshot is written, not its first.
    CheckpointOfTheEnd,
    /// A snapshot is of what is decided, not of what is committed, and is written before its events.
    SnapshotBeforeItsEvents,
    /// What a checkpoint that was not committed had to write is not written by the next.
    DroppedSnapshotsForgotten,
    /// Replies are sent at once, not in the transaction.
    ReplyOutsideTransaction,
    /// Commands for other aggregates are sent at once, not in the transaction.
    CommandOutsideTransaction,
    /// The state of a saga's instance is not written with its commands.
    SagaStateNotWritten,
    /// The position of a view is stored in a transaction after the one of its rows.
    ViewPositionOutsideTransaction,
    /// The position of a view is stored whatever it was before.
    ViewPositionNotCompared,
    /// The stored position of a view is one past what was folded.
    ViewPositionOneTooFar,
    /// Batches that are written together store the position of the first.
    ViewPositionOfFirstBatch,
    /// A row that is written once adds to its sums each time.
    RepeatedRowAddsAgain,
    /// A later event of an aggregate that is parked in a view is folded.
    ParkedInViewFolded,
    /// A worker that is given a partition of a view does not ask which of its aggregates are parked.
    ParkedInViewNotRead,
    /// A replay of a view to its first event keeps the rows.
    ReplayKeepsRows,
    /// The outcome of a saga's step is taken in again when it comes again.
    StepStaysUnderWay,
    /// A writer goes on although a copy of its last request may still be under way. No simulation finds this, since
    /// its log gets every request once: it is for processes that a broker's requests reach late, which plant it by the
    /// variable `PLANTED_MUTATION`.
    SuspectWriterKept,
}

#[cfg(feature = "mutations")]
impl Mutation {
    /// What the environment of this process plants.
    pub(super) fn of_environment() -> Option<Self> {
        static PLANTED: std::sync::LazyLock<Option<Mutation>> = std::sync::LazyLock::new(|| {
            let is_wanted = std::env::var("PLANTED_MUTATION").is_ok_and(|it| it == "SuspectWriterKept");
            is_wanted.then_some(Mutation::SuspectWriterKept)
        });
        *PLANTED
    }
}
