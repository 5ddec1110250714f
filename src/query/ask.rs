//! How a query is answered: wait for the positions asked for, then read all views at one moment.

use std::any::TypeId;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{Answer, ViewFlags, ViewMoment};
use super::error::QueryError;
use super::rows::Rows;
use super::{Projections, Query};
use crate::clock;
use crate::position::Position;
use crate::projection::{Progress, Reading, Shape, StoredPosition, Views};

/// A query that runs longer is cut off.
const LONGEST: Duration = Duration::from_secs(10);
/// The database cuts it off a little later, so that it is always said in the same words.
const GRACE: Duration = Duration::from_secs(1);
/// The first and the longest pause before a view is looked at again while waiting, unless a worker of
/// this process says that it moved on.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

impl Views {
    /// Answers a query, once its views have reached every position in `at`; waits at most `wait` for it.
    ///
    /// # Errors
    /// See [`QueryError`]; it says what is [temporary](QueryError::is_temporary) and what is
    /// [bad input](QueryError::is_bad_input).
    pub async fn ask<Q: Query>(
        &self,
        query: Q,
        at: &[Position],
        wait: Duration,
    ) -> Result<Answer<Q::Answer>, QueryError> {
        let shapes = self.shapes_of::<Q::Reads>()?;
        for position in at {
            is_folded(&shapes, position)?;
        }
        let mut reading = self.reach(&shapes, at, wait).await?;
        for (shape, progress) in shapes.iter().zip(reading.progress()) {
            is_there(shape, progress)?;
        }
        let (positions, flags) = summary(reading.progress());
        let moment = ViewMoment::of(reading.progress());
        let mut rows = Rows::new(&mut *reading);
        let answer = tokio::time::timeout(LONGEST, query.ask(&mut rows)).await;
        let answer = answer.map_err(|_| QueryError::TooLong { query: Q::NAME, limit: LONGEST })??;
        Ok(Answer { answer, positions, flags, moment })
    }

    /// Where the views of a query are now.
    ///
    /// # Errors
    /// As [`ask`](Self::ask)'s.
    pub async fn moment_of<Q: Query>(&self) -> Result<ViewMoment, QueryError> {
        let shapes = self.shapes_of::<Q::Reads>()?;
        let mut progress = Vec::with_capacity(shapes.len());
        // One after the other: a view never comes back to where it was, so if each is where it was when they
        // were read together, all were there when the first of them was looked at.
        for shape in &*shapes {
            progress.push(self.store().progress(shape).await?);
        }
        Ok(ViewMoment::of(&progress))
    }

    /// The shapes of some projections, which never change.
    fn shapes_of<P: Projections>(&self) -> Result<Arc<[Arc<Shape>]>, QueryError> {
        Ok(self.remembered(TypeId::of::<P>(), || P::shapes())?)
    }

    /// The views at a moment when they have reached every position; waits at most `wait` for it.
    pub(crate) async fn reach(
        &self,
        shapes: &[Arc<Shape>],
        at: &[Position],
        wait: Duration,
    ) -> Result<Box<dyn Reading>, QueryError> {
        let begun = clock::instant();
        let mut pause = PAUSES.0;
        let mut changes: Vec<_> = shapes.iter().map(|shape| self.changes_of(shape.view)).collect();
        loop {
            for change in &mut changes {
                change.borrow_and_update();
            }
            let reading = self.store().read(shapes, LONGEST + GRACE).await?;
            let missing = missing(shapes, reading.progress(), at)?;
            let Some(not_yet) = missing else { return Ok(reading) };
            drop(reading);
            let Some(left) = left(begun, wait) else { return Err(not_yet(wait)) };
            let moved = changes.iter_mut().map(|change| Box::pin(change.changed()));
            // Whether a worker of this process spoke, or the time is up: look again.
            let _ = tokio::time::timeout(left.min(pause), futures::future::select_all(moved)).await;
            pause = (2 * pause).min(PAUSES.1);
        }
    }
}

fn left(begun: Instant, wait: Duration) -> Option<Duration> {
    wait.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())
}

fn is_folded(shapes: &[Arc<Shape>], position: &Position) -> Result<(), QueryError> {
    if shapes.iter().any(|shape| shape.sources.contains(&position.aggregate.as_str())) {
        return Ok(());
    }
    let mut folded: Vec<_> = shapes.iter().flat_map(|shape| shape.sources.iter().copied()).collect();
    folded.sort_unstable();
    folded.dedup();
    let reason = format!("its views fold the events of {} only", folded.join(", "));
    Err(QueryError::Foreign { position: position.clone(), reason })
}

type NotYet = Box<dyn FnOnce(Duration) -> QueryError + Send>;

/// The first position that a view has not reached.
fn missing(shapes: &[Arc<Shape>], progress: &[Progress], at: &[Position]) -> Result<Option<NotYet>, QueryError> {
    for position in at {
        for (shape, progress) in shapes.iter().zip(progress) {
            if !shape.sources.contains(&position.aggregate.as_str()) {
                continue;
            }
            let (view, wanted) = (shape.view, position.clone());
            let Some(reached) = progress.reached(&position.aggregate, position.partition) else {
                let reason = format!("{} has no partition {}", position.aggregate, position.partition);
                return Err(QueryError::Foreign { position: wanted, reason });
            };
            if reached < position.sequence {
                return Ok(Some(Box::new(move |waited| QueryError::NotYet { view, wanted, reached, waited })));
            }
        }
    }
    Ok(None)
}

fn is_there(shape: &Shape, progress: &Progress) -> Result<(), QueryError> {
    if !progress.is_replaying() {
        return Ok(());
    }
    let replaying = progress.positions.iter().filter(|position| position.replaying_to.0 > 0);
    let (at, to) = replaying.fold((0, 0), |(at, to), position| {
        (at + position.sequence.0.min(position.replaying_to.0), to + position.replaying_to.0)
    });
    Err(QueryError::Replaying { view: shape.view, at, to })
}

fn summary(progress: &[Progress]) -> (Vec<Position>, ViewFlags) {
    let mut positions: Vec<Position> =
        progress.iter().flat_map(|view| view.positions.iter().map(StoredPosition::position)).collect();
    positions.sort_by(|a, b| (&a.aggregate, a.partition, a.sequence).cmp(&(&b.aggregate, b.partition, b.sequence)));
    positions.dedup_by(|a, b| (&a.aggregate, a.partition) == (&b.aggregate, b.partition));
    let flags = ViewFlags {
        parked: progress.iter().map(|view| view.parked).sum(),
        partial: progress.iter().any(|view| view.partial),
    };
    (positions, flags)
}
