//! Where the audit of a partition ends, while others go on writing to it: a cut that holds the outcome of
//! every event in it, and the events of every snapshot.
//!
//! First what is judged, then snapshots, then events, then outcomes and dead letters, then parked commands: what is taken
//! later reaches further. The end of the events is settled before that of the outcomes is asked for: until
//! the transactions of those events are ended, their outcomes may not have been written.

use std::time::Duration;

use super::VerifyError;
use crate::clock;
use crate::log::{Bounds, Isolation, Log, RangeReader, StallError, TopicPartition};
use crate::position::{Offset, Partition};
use crate::topology::AggregateTopics;

const SETTLE_PAUSE: Duration = Duration::from_millis(20);

/// The stretches of one partition's topics that are audited.
pub(super) struct Cut {
    pub commands: RangeReader,
    pub events: RangeReader,
    pub snapshots: RangeReader,
    pub outcomes: RangeReader,
    pub dead_letters: RangeReader,
    pub parked: RangeReader,
    /// The first offset held of each.
    pub low: Lows,
}

/// The first offsets held.
pub(super) struct Lows {
    pub commands: Offset,
    pub events: Offset,
    pub outcomes: Offset,
}

impl Cut {
    /// Takes the ends. What is judged was asked for before.
    pub fn take(
        log: &dyn Log,
        topics: &AggregateTopics,
        dead_letters: &TopicPartition,
        partition: Partition,
        stall: Duration,
    ) -> Result<Self, VerifyError> {
        let range =
            |place: &TopicPartition, bounds: Bounds| RangeReader::between(place.clone(), bounds.low, bounds.end, stall);
        let snapshots = topics.snapshots.partition(partition);
        let snapshots_bounds = bounds(log, std::slice::from_ref(&snapshots))?[0];
        let events = topics.events.partition(partition);
        let events_bounds = bounds(log, std::slice::from_ref(&events))?[0];
        settle(log, &events, events_bounds.end, stall)?;
        let rest = [topics.commands.partition(partition), topics.outcomes.partition(partition), dead_letters.clone()];
        let parked = topics.parked.partition(partition);
        let rest_bounds = bounds(log, &rest)?;
        let parked_bounds = bounds(log, std::slice::from_ref(&parked))?[0];
        Ok(Self {
            commands: range(&rest[0], rest_bounds[0]),
            events: range(&events, events_bounds),
            snapshots: range(&snapshots, snapshots_bounds),
            outcomes: range(&rest[1], rest_bounds[1]),
            dead_letters: range(&rest[2], rest_bounds[2]),
            parked: range(&parked, parked_bounds),
            low: Lows { commands: rest_bounds[0].low, events: events_bounds.low, outcomes: rest_bounds[1].low },
        })
    }
}

fn bounds(log: &dyn Log, places: &[TopicPartition]) -> Result<Vec<Bounds>, VerifyError> {
    Ok(log.bounds(places, Isolation::Uncommitted).map_err(StallError::Log)?)
}

/// Waits until no transaction is open before `end`.
fn settle(log: &dyn Log, place: &TopicPartition, end: Offset, stall: Duration) -> Result<(), VerifyError> {
    let (mut moved_at, mut last) = (clock::instant(), None);
    loop {
        let stable = log.bounds(std::slice::from_ref(place), Isolation::Committed).map_err(StallError::Log)?[0].end;
        if stable >= end {
            return Ok(());
        }
        if last != Some(stable) {
            (moved_at, last) = (clock::instant(), Some(stable));
        } else if clock::elapsed(moved_at) > stall {
            let error =
                StallError::HangingTransaction { partition: place.clone(), next: stable, until: end, stable, stall };
            return Err(error.into());
        }
        clock::pause(SETTLE_PAUSE);
    }
}
