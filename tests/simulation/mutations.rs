//! Faults planted into the engine: each is found.

use headwater::clock::Mutation;
use headwater::testing::simulation::Simulation;

use crate::{deliveries, tallies, views};

/// Each is found within so many seeds.
const SEEDS: u64 = 600;

fn found(simulation: impl Fn() -> Simulation, mutations: &[Mutation]) {
    let missed: Vec<_> = mutations
        .iter()
        .filter(|mutation| match simulation().with_mutation(**mutation).run(0..SEEDS) {
            Err(failure) => {
                eprintln!("{mutation:?}: seed {}: {}", failure.seed, failure.what);
                false
            }
            Ok(_) => true,
        })
        .collect();
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}

#[test]
fn what_is_planted_into_command_processors_is_found() {
    found(
        tallies,
        &[
            Mutation::NoRewindAfterAbort,
            Mutation::FoldedWithoutCommit,
            Mutation::CommitAssumed,
            Mutation::StaleGenerationAccepted,
            Mutation::FencedWriterAccepted,
            Mutation::OffsetOneTooFar,
            Mutation::CommittingNotSeen,
            Mutation::RepeatNotSeenWhileCommitting,
            Mutation::RepeatNotSeenAfterRestore,
            Mutation::RepeatNotAnswered,
            Mutation::ExpectedVersionIgnored,
            Mutation::SequenceKeptAfterAbort,
            Mutation::CheckpointOneTooFar,
            Mutation::CheckpointOfTheEnd,
            Mutation::SnapshotBeforeItsEvents,
            Mutation::DroppedSnapshotsForgotten,
            Mutation::ReplyOutsideTransaction,
            Mutation::CommandOutsideTransaction,
        ],
    );
}

#[test]
fn what_is_planted_into_views_is_found() {
    found(
        views,
        &[
            Mutation::ViewPositionOutsideTransaction,
            Mutation::ViewPositionNotCompared,
            Mutation::ViewPositionOneTooFar,
            Mutation::ViewPositionOfFirstBatch,
            Mutation::RepeatedRowAddsAgain,
            Mutation::ParkedInViewFolded,
            Mutation::ParkedInViewNotRead,
            Mutation::ReplayKeepsRows,
        ],
    );
}

#[test]
fn what_is_planted_into_sagas_is_found() {
    found(
        deliveries,
        &[
            Mutation::NoRewindAfterAbort,
            Mutation::SagaStateNotWritten,
            Mutation::StepStaysUnderWay,
            Mutation::CommandOutsideTransaction,
        ],
    );
}
