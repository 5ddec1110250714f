//! Rebuild: a view is built anew from the first event, beside the live one, and then takes its place.
//!
//! A new [`Generation`] has tables of its own. Its partitions are folded side by side, outside of the
//! worker's group; the worker goes on with the live generation and knows nothing of it. At the end the live
//! one is held for a moment, the new one folds what is left up to where it stands, and one row makes the new
//! one live. Queries are answered all the time, from one generation or the other. A worker that runs follows
//! by itself; one of another shape ends.
//!
//! Whatever ends a rebuild half-way leaves the live view untouched, and an unfinished generation that the
//! next rebuild drops, or [goes on with](Rebuild::resume). The one that was replaced is kept until it is
//! dropped.

mod partition;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::partition::Builder;
use super::generations::{Claim, Generations};
use super::views::{Generation, Progress, Reading, SourcePartition, StoredPosition, Views};
use super::worker::{WorkerParts, WorkerSettings};
use super::{Projection, RebuildError, Shape, ViewError, shape_of};
use crate::clock;
use crate::log::{Isolation, TopicPartition};
use crate::position::Offset;

/// How long the live generation may be held, which is how long what was written waits to be seen; twice as
/// long each time that this was too short. What was folded counts either way.
const SHORTEST_HOLD: Duration = Duration::from_secs(1);
/// How often the exchange is tried before the live view is called too fast: in the end it is held for longer
/// than its events of the minute before can take.
const EXCHANGES: usize = 7;
/// How long one comparison may read.
const LONGEST_READING: Duration = Duration::from_hours(6);

/// Told how many more offsets were folded, from several threads.
pub type Told = Arc<dyn Fn(u64) + Send + Sync>;

/// A new generation of a view, under way. Dropping it ends the work and leaves it unfinished.
pub struct Rebuild<P: Projection> {
    projection: Arc<P>,
    views: Views,
    parts: WorkerParts,
    settings: WorkerSettings,
    shape: Arc<Shape>,
    live: Generation,
    generation: Generation,
    jobs: usize,
    told: Told,
    stopped: Arc<AtomicBool>,
    claim: Arc<dyn Claim>,
}

impl<P: Projection> Drop for Rebuild<P> {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

impl<P: Projection> std::fmt::Debug for Rebuild<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { live, generation, .. } = self;
        f.debug_struct("Rebuild").field("view", &P::NAME).field("live", live).field("generation", generation).finish()
    }
}

impl<P: Projection> Rebuild<P> {
    /// Makes a new generation, without rows; drops unfinished ones. To be called within a tokio runtime.
    ///
    /// # Errors
    /// If nobody has made the view yet, another process rebuilds it, or log, registry or database are away.
    pub async fn begin(
        projection: Arc<P>,
        views: &Views,
        parts: WorkerParts,
        settings: WorkerSettings,
    ) -> Result<Self, RebuildError> {
        let mut rebuild = Self::claim(projection, views, parts, settings).await?;
        let generations = views.store().generations();
        let there = generations.list(P::NAME).await?;
        // Never the number of one that is dropped: on SQLite that is a file's name, and who still has the dropped
        // file open deletes the write-ahead log of that name as it closes it.
        let highest = there.iter().copied().max().unwrap_or_default();
        rebuild.generation = highest.max(rebuild.live).next();
        let partitions = rebuild.shape.partitions(rebuild.parts.topology.partitions);
        generations.make(&rebuild.shape, rebuild.generation, &partitions).await?;
        for unfinished in there.into_iter().filter(|it| *it > rebuild.live) {
            generations.remove(P::NAME, unfinished).await?;
        }
        Ok(rebuild)
    }

    /// Goes on with the unfinished generation, from where each of its partitions is. The projection must be
    /// the one that began it: the rows that are there stay.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin); and if there is no unfinished one, or one of other tables.
    pub async fn resume(
        projection: Arc<P>,
        views: &Views,
        parts: WorkerParts,
        settings: WorkerSettings,
    ) -> Result<Self, RebuildError> {
        let mut rebuild = Self::claim(projection, views, parts, settings).await?;
        let there = views.store().generations().list(P::NAME).await?;
        let unfinished = there.into_iter().filter(|it| *it > rebuild.live).max();
        rebuild.generation = unfinished.ok_or(RebuildError::NothingToResume { view: P::NAME })?;
        rebuild.progress().await?;
        Ok(rebuild)
    }

    async fn claim(
        projection: Arc<P>,
        views: &Views,
        parts: WorkerParts,
        settings: WorkerSettings,
    ) -> Result<Self, RebuildError> {
        let shape = Arc::new(shape_of::<P>().map_err(ViewError::from)?);
        let claim = Arc::from(views.store().generations().claim(P::NAME).await?);
        let live = views.store().generations().live(P::NAME).await?;
        let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (views, generation) = (views.clone(), live);
        let (told, stopped): (Told, _) = (Arc::new(|_| {}), Arc::default());
        Ok(Self { projection, views, parts, settings, shape, live, generation, jobs, told, stopped, claim })
    }

    /// Folds so many partitions side by side, instead of one for each core.
    #[must_use]
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// Tells how far it comes.
    #[must_use]
    pub fn telling(mut self, told: Told) -> Self {
        self.told = told;
        self
    }

    /// The generation that is built.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The generation that is to be replaced.
    #[must_use]
    pub const fn live(&self) -> Generation {
        self.live
    }

    /// The shape of the new generation.
    #[must_use]
    pub const fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// How far the new generation is.
    ///
    /// # Errors
    /// If the database is away, or its tables are others.
    pub async fn progress(&self) -> Result<Progress, RebuildError> {
        Ok(self.generations().progress(&self.shape, self.generation).await?)
    }

    fn generations(&self) -> &dyn Generations {
        self.views.store().generations()
    }

    /// How many offsets there are between the new generation and the end of the log.
    ///
    /// # Errors
    /// If log or database are away.
    pub async fn left(&self) -> Result<u64, RebuildError> {
        let (ends, progress) = (self.ends().await?, self.progress().await?);
        let left = progress.positions.iter().filter_map(|at| {
            let (_, end) = ends.iter().find(|(source, _)| *source == at.source)?;
            u64::try_from(end.0 - at.next_offset.0).ok()
        });
        Ok(left.sum())
    }

    /// Folds up to the present end of the log.
    ///
    /// # Errors
    /// If an event must not be passed over, or log, registry or database stay away.
    pub async fn catch_up(&self) -> Result<(), RebuildError> {
        let ends = self.ends().await?;
        self.fold(ends, None).await.map(|_| ())
    }

    /// The live and the new generation, both after the same events of each partition, for as long as the two
    /// are kept. The live one moves on meanwhile, unseen. Only before [`catch_up`](Self::catch_up) led beyond it.
    ///
    /// # Errors
    /// As for [`catch_up`](Self::catch_up); and if the live generation has other tables, or stands before
    /// the new one.
    pub async fn side_by_side(&self) -> Result<(Box<dyn Reading>, Box<dyn Reading>), RebuildError> {
        // Close to the live one first, so that the reading is not kept open for long.
        let live = self.generations().progress(&self.shape, self.live).await.map_err(incomparable::<P>)?;
        self.fold(goals(&live.positions), None).await?;
        let live = self.generations().read(&self.shape, self.live, LONGEST_READING).await?;
        let wanted = live.progress()[0].positions.clone();
        self.fold(goals(&wanted), None).await?;
        let new = self.generations().read(&self.shape, self.generation, LONGEST_READING).await?;
        for (wanted, found) in wanted.iter().zip(&new.progress()[0].positions) {
            if (wanted.source, wanted.sequence) != (found.source, found.sequence) {
                let (source, live, new) = (wanted.source, wanted.sequence, found.sequence);
                let what = format!("{source}: the live generation is at sequence {live} and the new one at {new}");
                return Err(RebuildError::Disturbed { view: P::NAME, what });
            }
        }
        Ok((live, new))
    }

    /// Catches up, and makes the new generation the live one.
    ///
    /// # Errors
    /// As for [`catch_up`](Self::catch_up); [`RebuildError::Outrun`] if the live one cannot be caught up with.
    pub async fn exchange(self) -> Result<(), RebuildError> {
        for longest in std::iter::successors(Some(SHORTEST_HOLD), |hold| Some(*hold * 2)).take(EXCHANGES) {
            self.catch_up().await?;
            let hold = self.generations().hold(P::NAME, self.live).await?;
            let known = |name: &str| self.shape.source(name);
            let goals = hold.positions().iter().filter_map(|at| {
                let aggregate = known(&at.aggregate)?;
                Some((SourcePartition { aggregate, partition: at.partition }, at.next_offset))
            });
            let until = clock::instant() + longest;
            if self.fold(goals.collect(), Some(until)).await? {
                hold.exchange(self.generation).await?;
                self.views.has_changed(P::NAME);
                return Ok(());
            }
        }
        Err(RebuildError::Outrun { view: P::NAME, attempts: EXCHANGES })
    }

    /// The ends of the log, of each partition.
    async fn ends(&self) -> Result<Vec<(SourcePartition, Offset)>, RebuildError> {
        let sources = self.shape.partitions(self.parts.topology.partitions);
        let places: Vec<TopicPartition> = sources.iter().map(|source| self.place(*source)).collect();
        let log = self.parts.log.clone();
        let bounds = tokio::task::spawn_blocking(move || log.bounds(&places, Isolation::Committed));
        let bounds = bounds.await.map_err(|error| RebuildError::Thread(error.to_string()))??;
        Ok(sources.into_iter().zip(bounds.into_iter().map(|it| it.end)).collect())
    }

    fn place(&self, source: SourcePartition) -> TopicPartition {
        self.shape.place(&self.parts.topology, source)
    }

    /// Folds each partition up to an offset, if it is not there yet; whether that was done before `until`.
    async fn fold(&self, goals: Vec<(SourcePartition, Offset)>, until: Option<Instant>) -> Result<bool, RebuildError> {
        let progress = self.progress().await?;
        let limit = self.settings.parked_aggregates;
        let parked = self.views.store().parked(&self.shape, self.generation, limit).await?;
        let ahead = goals.into_iter().filter_map(|(source, goal)| {
            let at = progress.positions.iter().find(|at| at.source == source)?;
            (at.next_offset < goal).then(|| (*at, self.place(source), goal))
        });
        let ahead: Vec<(StoredPosition, TopicPartition, Offset)> = ahead.collect();
        let builder = Builder {
            projection: self.projection.clone(),
            views: self.views.clone(),
            parts: self.parts.clone(),
            settings: self.settings,
            shape: self.shape.clone(),
            generation: self.generation,
            parked,
            runtime: tokio::runtime::Handle::current(),
            told: self.told.clone(),
            stopped: self.stopped.clone(),
            until,
            // Kept until the last thread has ended, also if nobody waits for it any more.
            _claim: self.claim.clone(),
        };
        let jobs = self.jobs;
        let folded = tokio::task::spawn_blocking(move || builder.fold_all(ahead, jobs));
        folded.await.map_err(|error| RebuildError::Thread(error.to_string()))?
    }
}

fn goals(positions: &[StoredPosition]) -> Vec<(SourcePartition, Offset)> {
    positions.iter().map(|at| (at.source, at.next_offset)).collect()
}

fn incomparable<P: Projection>(error: ViewError) -> RebuildError {
    match error {
        ViewError::ShapeChanged { .. } => RebuildError::Incomparable { view: P::NAME },
        other => other.into(),
    }
}
