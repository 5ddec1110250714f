//! Replay: a view is set to another place in the log and folds on from there.
//!
//! To the first event, the tables are emptied and made anew; until the old position is reached again,
//! queries are not answered. To anywhere else the rows stay: what is folded again is compared by version,
//! what is passed over is missing, so the view counts as partial. A running worker notices and goes on
//! from the new place by itself. Nothing here runs a saga or sends a reply again.
//!
//! First a [plan], to be shown; then [apply].

mod search;
mod target;

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::log::{Isolation, Log, TopicPartition};
use crate::position::{Offset, Partition, Sequence};

use super::views::{Applied, Epoch, Generation, Move, Reset, SourcePartition, StoredPosition, Views};
use super::worker::WorkerParts;
use super::{Projection, ReplayError, Shape, Source, TableKind, ViewError, shape_of};

pub use target::{OffsetTarget, Target, TargetError};

use self::search::Search;

/// Where a replay sets each partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The view.
    pub view: &'static str,
    /// The generation of it that is reset.
    pub generation: Generation,
    /// Whether its tables are emptied.
    pub empties: bool,
    /// The partitions that are set to another place, sorted.
    pub moves: Vec<PlannedMove>,
}

/// Where a replay sets one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMove {
    /// The partition of the events topic.
    pub partition: TopicPartition,
    /// The next offset at present.
    pub current: Offset,
    /// The next offset afterwards.
    pub target: Offset,
    /// The sequence of the last event before it.
    pub sequence: Sequence,
    source: SourcePartition,
    epoch: Epoch,
}

impl PlannedMove {
    /// How many offsets it goes on, or back if negative.
    #[must_use]
    pub const fn delta(&self) -> i64 {
        self.target.0 - self.current.0
    }
}

/// Finds out where a replay would set each partition. Changes nothing.
///
/// # Errors
/// If the target is none of this view's, if rows cannot be folded onto themselves, or if log or
/// database are away.
pub async fn plan<P: Projection>(views: &Views, parts: &WorkerParts, target: &Target) -> Result<Plan, ReplayError> {
    let shape = shape_of::<P>().map_err(ViewError::from)?;
    if !matches!(target, Target::Earliest | Target::Current)
        && let Some(table) = shape.tables.iter().find(|table| table.kind != TableKind::Rows)
    {
        return Err(ReplayError::NotRepeatable { view: P::NAME, table: table.name });
    }
    check_target(&shape, parts, target)?;
    let progress = views.store().progress(&shape).await?;
    let readers = P::Source::readers(&parts.log, &parts.registry, &parts.topology)?;
    let search = Search::<P> { log: parts.log.clone(), readers, shape: Arc::new(shape) };
    let empties = *target == Target::Earliest;
    let (generation, parts, target) = (progress.generation, parts.clone(), target.clone());
    let moves = move || moves(&search, &parts, &target, &progress.positions);
    let moves = tokio::task::spawn_blocking(moves).await;
    let moves = moves.map_err(|error| ReplayError::Target(format!("the search for the target failed: {error}")))??;
    Ok(Plan { view: P::NAME, generation, empties, moves })
}

fn check_target(shape: &Shape, parts: &WorkerParts, target: &Target) -> Result<(), ReplayError> {
    match target {
        Target::Position(position) => check_place(shape, parts, &position.aggregate, position.partition),
        Target::Offsets(offsets) => offsets.iter().try_for_each(|to| check_place(shape, parts, &to.of, to.partition)),
        _ => Ok(()),
    }
}

fn check_place(shape: &Shape, parts: &WorkerParts, of: &str, partition: Partition) -> Result<(), ReplayError> {
    let is_it = |source: &&str| **source == *of || parts.topology.aggregate(source).events.as_str() == of;
    if !shape.sources.iter().any(is_it) {
        let (view, folded) = (shape.view, shape.sources.join(", "));
        return Err(ReplayError::Target(format!("{of}/{partition}: view {view} folds the events of {folded} only")));
    }
    if !(0..parts.topology.partitions).contains(&partition.0) {
        let partitions = parts.topology.partitions;
        return Err(ReplayError::Target(format!(
            "{of}/{partition}: there are {partitions} partitions, counted from 0"
        )));
    }
    Ok(())
}

fn moves<P: Projection>(
    search: &Search<P>,
    parts: &WorkerParts,
    target: &Target,
    positions: &[StoredPosition],
) -> Result<Vec<PlannedMove>, ReplayError> {
    let now = parts.clock.now();
    let mut moves = Vec::new();
    for at in positions {
        let place = search.shape.place(&parts.topology, at.source);
        let found = match target {
            Target::Earliest => Some((Offset::ZERO, Sequence::NONE)),
            Target::Latest => Some(latest(search, &*parts.log, at, &place)?),
            Target::Position(to) if at.position().aggregate != to.aggregate => None,
            Target::Position(to) if at.source.partition != to.partition => None,
            Target::Position(to) => Some((search.after_sequence(at.source, &place, to.sequence)?, to.sequence)),
            Target::Time(time) => Some(at_time(search, parts, at, &place, *time)?),
            Target::Current => Some((at.next_offset, at.sequence)),
            Target::Shift(by) => {
                Some(at_offset(search, &*parts.log, at, &place, Offset(at.next_offset.0.saturating_add(*by)))?)
            }
            Target::Offsets(offsets) => {
                let is_it = |to: &&OffsetTarget| {
                    to.partition == at.source.partition
                        && (to.of == at.source.aggregate || to.of == place.topic.as_str())
                };
                let found = offsets.iter().find(is_it);
                found.map(|to| at_offset(search, &*parts.log, at, &place, to.offset)).transpose()?
            }
            Target::Ago(duration) => Some(at_time(search, parts, at, &place, now.minus(*duration))?),
        };
        if let Some((target, sequence)) = found {
            let (current, source, epoch) = (at.next_offset, at.source, at.epoch);
            moves.push(PlannedMove { partition: place, current, target, sequence, source, epoch });
        }
    }
    Ok(moves)
}

fn latest<P: Projection>(
    search: &Search<P>,
    log: &dyn Log,
    at: &StoredPosition,
    place: &TopicPartition,
) -> Result<(Offset, Sequence), ReplayError> {
    let end = log.bounds(std::slice::from_ref(place), Isolation::Committed)?[0].end;
    Ok((end, search.sequence_before(at.source, place, end)?))
}

/// This offset, or the nearest that is held.
fn at_offset<P: Projection>(
    search: &Search<P>,
    log: &dyn Log,
    at: &StoredPosition,
    place: &TopicPartition,
    offset: Offset,
) -> Result<(Offset, Sequence), ReplayError> {
    let bounds = log.bounds(std::slice::from_ref(place), Isolation::Committed)?[0];
    let offset = offset.clamp(bounds.low, bounds.end);
    Ok((offset, search.sequence_before(at.source, place, offset)?))
}

fn at_time<P: Projection>(
    search: &Search<P>,
    parts: &WorkerParts,
    at: &StoredPosition,
    place: &TopicPartition,
    time: Timestamp,
) -> Result<(Offset, Sequence), ReplayError> {
    match parts.log.offset_at(place, time)? {
        Some(offset) => Ok((offset, search.sequence_before(at.source, place, offset)?)),
        None => latest(search, &*parts.log, at, place),
    }
}

/// Does what a plan says, in one transaction.
///
/// # Errors
/// If the view was reset since the plan was made, or the database is away.
pub async fn apply<P: Projection>(views: &Views, plan: &Plan) -> Result<(), ReplayError> {
    let shape = shape_of::<P>().map_err(ViewError::from)?;
    // What stays where it is leaves the view as whole as it was.
    let moves = plan.moves.iter().filter(|it| plan.empties || it.delta() != 0).map(|it| Move {
        source: it.source,
        epoch: it.epoch,
        next_offset: it.target,
        sequence: it.sequence,
    });
    let reset = Reset { generation: plan.generation, empty: plan.empties, moves: moves.collect() };
    if reset.moves.is_empty() {
        return Ok(());
    }
    match views.store().reset(&shape, &reset).await? {
        Applied::Done => {
            views.has_changed(P::NAME);
            Ok(())
        }
        Applied::Moved => Err(ReplayError::Stale { view: P::NAME.to_owned() }),
    }
}
