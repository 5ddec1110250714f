//! Parked aggregates of a view: what becomes of them.
//!
//! An event that cannot be folded parks its aggregate: from it on, that aggregate's events are passed over
//! and noted, and all others flow. Once the projection is corrected the passed-over events are folded
//! [after all](retry), in order, in the transaction that releases the aggregate; or all [but the one that
//! failed](skip), which leaves the view partial.
//!
//! A worker may run meanwhile, and the aggregate's events may go on coming. What was passed over is folded in
//! steps, each of which counts: after it the aggregate stays parked at its next event. Once few are left, the
//! view is [held](super::Generations::hold) for a moment, so that no more can come, the rest is folded, and the
//! aggregate is released: this ends whenever the view can be kept up with at all. Each step raises the
//! partition's epoch: whatever the worker has under way changes nothing and is made anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{Batch, ParkedEvent, Release};
use super::source::Stream;
use super::views::{Applied, Generation, ParkedAggregate, Views};
use super::worker::fold::{self, Unread};
use super::worker::{WorkerParts, WorkerSettings};
use super::{Events, ParkedError, Projection, Shape, Source, SourcePartition, ViewError, shape_of};
use crate::clock;
use crate::event::Recorded;
use crate::log::{RangeReader, Record, TopicPartition};
use crate::position::{Offset, Sequence};

/// How often it is begun anew, one time after the other, because the view was reset or rebuilt meanwhile.
const ATTEMPTS: usize = 20;
/// So few events are folded while the view is held.
const FEW: i64 = 1_000;
/// How many steps are made without holding the view, if there never are so few.
const STEPS: usize = 20;
/// How long the view is held, which is how long what was written waits to be seen.
const LONGEST_HOLD: Duration = Duration::from_secs(3);
/// More than any worker parks before it stops.
const MOST: usize = 100_000;
/// The most events that are folded in one transaction; the aggregate stays parked at the next one until the
/// last of them.
const EVENTS: i64 = 50_000;

/// What a retry came to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Retried {
    /// How many passed-over events were folded.
    pub folded: i64,
    /// The sequence of the event that was left out for good.
    pub skipped: Option<Sequence>,
    /// Why the aggregate is parked again, at the next event that failed.
    pub parked_again: Option<String>,
}

/// Every parked aggregate of the live view, with the generation it stands in.
///
/// # Errors
/// If the database is away or the view's tables are others.
pub async fn list(views: &Views, shape: &Shape) -> Result<(Generation, Vec<ParkedAggregate>), ViewError> {
    let generation = views.store().progress(shape).await?.generation;
    Ok((generation, views.store().parked(shape, generation, MOST).await?))
}

/// Folds the passed-over events of an aggregate. Those that fold count, also if a later one fails again:
/// then the aggregate is parked from there.
///
/// # Errors
/// If it is not parked, or log, registry or database are away.
pub async fn retry<P: Projection>(
    projection: &Arc<P>,
    views: &Views,
    parts: &WorkerParts,
    settings: WorkerSettings,
    (aggregate, id): (&str, &str),
) -> Result<Retried, ParkedError> {
    release(projection, views, parts, settings, (aggregate, id), false).await
}

/// As [`retry`], but leaves the event out that parked the aggregate. The view is partial from then on.
///
/// # Errors
/// As for [`retry`].
pub async fn skip<P: Projection>(
    projection: &Arc<P>,
    views: &Views,
    parts: &WorkerParts,
    settings: WorkerSettings,
    (aggregate, id): (&str, &str),
) -> Result<Retried, ParkedError> {
    release(projection, views, parts, settings, (aggregate, id), true).await
}

async fn release<P: Projection>(
    projection: &Arc<P>,
    views: &Views,
    parts: &WorkerParts,
    settings: WorkerSettings,
    (aggregate, id): (&str, &str),
    mut skips: bool,
) -> Result<Retried, ParkedError> {
    let shape = Arc::new(shape_of::<P>().map_err(ViewError::from)?);
    let mut retried = Retried { folded: 0, skipped: None, parked_again: None };
    let (mut attempts, mut unheld) = (0, 0);
    while attempts < ATTEMPTS {
        let Some((generation, parked)) = find(views, &shape, aggregate, id).await? else {
            if retried.folded > 0 || retried.skipped.is_some() {
                return Ok(retried);
            }
            let (aggregate, id) = (aggregate.to_owned(), id.to_owned());
            return Err(ParkedError::NotParked { view: P::NAME, aggregate, id });
        };
        let (projection, parts, shape) = (projection.clone(), parts.clone(), shape.clone());
        let stops = Stops::Before(parked.last_offset);
        let attempt = Attempt { projection, parts, settings, shape, generation, parked, skips, stops };
        let made = if attempt.parked.events > FEW && unheld < STEPS {
            unheld += 1;
            attempt.step(views).await?
        } else {
            attempt.hold(views).await?
        };
        let Some(made) = made else {
            attempts += 1;
            continue;
        };
        views.has_changed(P::NAME);
        retried.folded += made.folded;
        retried.skipped = retried.skipped.or(made.skipped);
        (attempts, skips) = (0, false);
        match made.rest {
            Rest::None => return Ok(retried),
            Rest::Fails(reason) => return Ok(Retried { parked_again: Some(reason), ..retried }),
            Rest::More => {}
        }
    }
    Err(ParkedError::Disturbed { view: P::NAME, attempts: ATTEMPTS })
}

async fn find(
    views: &Views,
    shape: &Shape,
    aggregate: &str,
    id: &str,
) -> Result<Option<(Generation, ParkedAggregate)>, ViewError> {
    let (generation, parked) = list(views, shape).await?;
    let is_it = |it: &ParkedAggregate| it.source.aggregate == aggregate && it.aggregate_id == id;
    Ok(parked.into_iter().find(is_it).map(|parked| (generation, parked)))
}

/// One attempt at the events that were passed over.
struct Attempt<P: Projection> {
    projection: Arc<P>,
    parts: WorkerParts,
    settings: WorkerSettings,
    shape: Arc<Shape>,
    generation: Generation,
    parked: ParkedAggregate,
    skips: bool,
    stops: Stops,
}

/// Where an attempt ends, if not earlier.
#[derive(Clone, Copy)]
enum Stops {
    /// Before this event: the aggregate stays parked at it, whatever follows.
    Before(Offset),
    /// After the last event, unless it is later than this.
    At(Instant),
}

/// What an attempt made.
struct Made {
    batch: Batch,
    folded: i64,
    skipped: Option<Sequence>,
    rest: Rest,
}

/// What is left of the passed-over events.
enum Rest {
    None,
    More,
    Fails(String),
}

impl<P: Projection> Attempt<P> {
    /// Folds all but the last of the events, while more may come. `None` if another was faster.
    async fn step(self, views: &Views) -> Result<Option<Made>, ParkedError> {
        let made = self.made().await?;
        let applied = views.store().apply(&made.batch).await?;
        Ok((applied == Applied::Done).then_some(made))
    }

    /// Folds the events to the last, while no more can come. `None` if the view is another by now.
    async fn hold(mut self, views: &Views) -> Result<Option<Made>, ParkedError> {
        let hold = match views.store().generations().hold(P::NAME, self.generation).await {
            Ok(hold) => hold,
            Err(ViewError::NotLive { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // As it stands now, and goes on to stand.
        let (aggregate, id) = (self.parked.source.aggregate, &self.parked.aggregate_id);
        let Some((generation, parked)) = find(views, &self.shape, aggregate, id).await? else { return Ok(None) };
        (self.generation, self.parked) = (generation, parked);
        self.stops = Stops::At(clock::instant() + LONGEST_HOLD);
        let made = self.made().await?;
        let applied = hold.apply(&made.batch).await?;
        Ok((applied == Applied::Done).then_some(made))
    }

    async fn made(self) -> Result<Made, ParkedError> {
        let made = tokio::task::spawn_blocking(move || self.make());
        made.await.map_err(|error| ParkedError::Thread(error.to_string()))?
    }

    fn make(self) -> Result<Made, ParkedError> {
        let (source, parked) = (self.parked.source, self.parked.clone());
        let place = self.shape.place(&self.parts.topology, source);
        let readers = P::Source::readers(&self.parts.log, &self.parts.registry, &self.parts.topology)?;
        let known = self.shape.sources.iter().position(|it| *it == source.aggregate);
        let of_source = known.and_then(|known| readers.get(known)).ok_or_else(|| ViewError::Corrupt {
            view: P::NAME.to_owned(),
            reason: format!("{source} is parked, which it does not fold"),
        })?;
        let until = parked.last_offset.next();
        let mut range = RangeReader::between(place.clone(), parked.first_offset, until, fold::PATIENCE);
        let mut reader = self.parts.log.reader()?;
        let batch = Batch::of(&self.shape, self.generation);
        let mut made = Made { batch, folded: 0, skipped: None, rest: Rest::None };
        // The first that stays parked.
        let mut again: Option<ParkedEvent> = None;
        while again.is_none()
            && let Some(records) = range.step(&*self.parts.log, reader.as_mut())?
        {
            for record in records.iter().filter(|it| self.concerns(it)) {
                let found = fold::read(of_source, &place, record).map_err(|unread| match unread {
                    Unread::NotYet(reason) => ParkedError::NotYet(reason),
                    Unread::Stopped(reason) => ParkedError::Unreadable(reason),
                })?;
                for event in found.events().iter().filter(|event| event.aggregate_id == parked.aggregate_id) {
                    again = again.or_else(|| self.take(source, &place, event, &mut made));
                }
            }
        }
        let folded = made.folded + i64::from(made.skipped.is_some());
        made.batch.release(Release { parked, again, folded, skips: made.skipped.is_some() });
        Ok(made)
    }

    /// Whether the record may speak of the parked aggregate. One of outcomes speaks of many.
    fn concerns(&self, record: &Record) -> bool {
        self.shape.stream == Stream::Attempts || record.key.as_deref() == Some(self.parked.aggregate_id.as_bytes())
    }

    /// Folds one event; gives it as the one that the aggregate stays parked at if it is not folded.
    fn take(
        &self,
        source: SourcePartition,
        place: &TopicPartition,
        event: &Recorded<Events<P>>,
        made: &mut Made,
    ) -> Option<ParkedEvent> {
        if self.skips && event.offset == self.parked.first_offset {
            made.skipped = Some(event.sequence);
            return None;
        }
        let stays = |reason: String| ParkedEvent {
            offset: event.offset,
            sequence: event.sequence,
            version: event.version,
            reason,
            at: self.parts.clock.now(),
        };
        let ends = match self.stops {
            Stops::Before(last) => event.offset >= last,
            Stops::At(until) => clock::instant() > until,
        };
        if ends || made.folded == EVENTS {
            made.rest = Rest::More;
            return Some(stays("its events are being folded after all".to_owned()));
        }
        let attempts = self.settings.attempts;
        match fold::project(&*self.projection, source, event, &mut made.batch, attempts) {
            Ok(()) => {
                made.folded += 1;
                None
            }
            Err(reason) => {
                tracing::warn!(view = P::NAME, id = event.aggregate_id, %place, offset = event.offset.0, reason, "it fails again");
                made.rest = Rest::Fails(reason.clone());
                Some(stays(reason))
            }
        }
    }
}
