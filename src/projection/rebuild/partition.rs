//! The threads of a rebuild: each takes a partition, folds it to where it is to end, and takes the next.
//!
//! A partition has one thread at a time, and every batch is a compare-and-set of its offset, as a worker's
//! is. Everything here blocks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::Told;
use crate::clock;
use crate::log::{Isolation, RangeReader, Reader, Record, TopicPartition};
use crate::position::Offset;
use crate::projection::generations::Claim;
use crate::projection::views::{Applied, Generation, StoredPosition, Views};
use crate::projection::worker::fold::{Fold, Folded, PATIENCE};
use crate::projection::worker::partition::At;
use crate::projection::worker::{WorkerParts, WorkerSettings};
use crate::projection::{
    Batch, ParkedAggregate, Projection, RebuildError, Shape, Source, SourcePartition, Stream, ViewError,
};

/// A transaction holds about as many bytes of events.
const LARGEST_BATCH: usize = 32 * 1024 * 1024;
const PAUSE: Duration = Duration::from_millis(500);

pub struct Builder<P: Projection> {
    pub projection: Arc<P>,
    pub views: Views,
    pub parts: WorkerParts,
    pub settings: WorkerSettings,
    pub shape: Arc<Shape>,
    pub generation: Generation,
    pub parked: Vec<ParkedAggregate>,
    pub runtime: Handle,
    pub told: Told,
    pub stopped: Arc<AtomicBool>,
    pub until: Option<Instant>,
    pub _claim: Arc<dyn Claim>,
}

/// A partition, where it is, and the offset to fold it to.
type Stretch = (StoredPosition, TopicPartition, Offset);

impl<P: Projection> Builder<P> {
    /// Folds all of them; whether that was done in time.
    pub fn fold_all(&self, stretches: Vec<Stretch>, jobs: usize) -> Result<bool, RebuildError> {
        let jobs = jobs.min(stretches.len());
        let waiting = Mutex::new(VecDeque::from(stretches));
        // The first that fails ends the others.
        let failed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let work = || {
                let done = self.work(&waiting, &failed);
                failed.fetch_or(done.is_err(), Ordering::SeqCst);
                done
            };
            let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            let mut in_time = Ok(true);
            for thread in threads {
                let panicked = |_| Err(RebuildError::Thread("it panicked".to_owned()));
                let done = thread.join().unwrap_or_else(panicked);
                in_time = in_time.and_then(|before| done.map(|done| before && done));
            }
            in_time
        })
    }

    fn work(&self, waiting: &Mutex<VecDeque<Stretch>>, failed: &AtomicBool) -> Result<bool, RebuildError> {
        let readers = P::Source::readers(&self.parts.log, &self.parts.registry, &self.parts.topology)?;
        let clock = self.parts.clock.clone();
        let mut fold = Fold::new(self.projection.clone(), readers, &self.shape, clock, self.settings);
        fold.set_generation(self.generation);
        let mut reader = self.parts.log.reader()?;
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(stretch) = next else { return Ok(true) };
            fold.begin_anew();
            fold.start(stretch.0.source, &self.parked);
            if !self.fold_one(&mut fold, reader.as_mut(), stretch, failed)? {
                return Ok(false);
            }
        }
    }

    fn ends(&self, failed: &AtomicBool) -> bool {
        let late = self.until.is_some_and(|until| clock::instant() > until);
        late || failed.load(Ordering::SeqCst) || self.stopped.load(Ordering::SeqCst)
    }

    /// Folds one partition; whether it got to its end.
    fn fold_one(
        &self,
        fold: &mut Fold<Arc<P>>,
        reader: &mut dyn Reader,
        (from, place, until): Stretch,
        failed: &AtomicBool,
    ) -> Result<bool, RebuildError> {
        let (source, log) = (from.source, &*self.parts.log);
        let mut at = At::stored(&from);
        let mut range = RangeReader::between(place.clone(), self.first_kept(&from, &place)?, until, PATIENCE);
        let (mut events, mut bytes) = (0, 0);
        while let Some(records) = range.step(log, reader)? {
            for record in &records {
                fold_record(fold, source, &place, &mut at, record)?;
                (events, bytes) = (events + 1, bytes + record.value.as_ref().map_or(0, bytes::Bytes::len));
                if events >= self.settings.batch_events || bytes >= LARGEST_BATCH {
                    (events, bytes) = (0, 0);
                    self.write(fold, source, &mut at)?;
                }
            }
            let is_last = range.next_offset() >= range.until();
            if is_last {
                // Markers and what was aborted are passed as well, so that the end is reached.
                at.next = until;
                self.write(fold, source, &mut at)?;
            } else if self.ends(failed) {
                self.write(fold, source, &mut at)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Attempts are not kept for ever: the view begins with the first that is.
    fn first_kept(&self, from: &StoredPosition, place: &TopicPartition) -> Result<Offset, RebuildError> {
        if self.shape.stream == Stream::Events {
            return Ok(from.next_offset);
        }
        let bounds = self.parts.log.bounds(std::slice::from_ref(place), Isolation::Committed)?;
        Ok(bounds[0].low.max(from.next_offset))
    }

    /// Writes what was folded since the last time.
    fn write(&self, fold: &mut Fold<Arc<P>>, source: SourcePartition, at: &mut At) -> Result<(), RebuildError> {
        let before = at.next;
        let Some(advance) = at.advance() else { return Ok(()) };
        fold.advance(source, advance);
        let (batch, _) = fold.take();
        self.apply(&batch, source, before)?;
        (self.told)(u64::try_from(advance.next.0 - advance.expected.0).unwrap_or(0));
        Ok(())
    }

    fn apply(&self, batch: &Batch, source: SourcePartition, next: Offset) -> Result<(), RebuildError> {
        let begun = clock::instant();
        loop {
            match self.runtime.block_on(self.views.store().apply(batch)) {
                Ok(Applied::Done) => return Ok(()),
                // An earlier attempt of which only the answer was lost.
                Ok(Applied::Moved) if self.stored(source)? == Some(next) => return Ok(()),
                Ok(Applied::Moved) => {
                    let what = format!("somebody else wrote to {source} of generation {}", self.generation);
                    return Err(RebuildError::Disturbed { view: P::NAME, what });
                }
                Err(error) if error.is_temporary() && begun.elapsed() < PATIENCE => {
                    tracing::warn!(view = P::NAME, %error, "the views' database does not take what was folded; trying again");
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn stored(&self, source: SourcePartition) -> Result<Option<Offset>, ViewError> {
        let progress = self.views.store().generations().progress(&self.shape, self.generation);
        let progress = self.runtime.block_on(progress)?;
        Ok(progress.positions.iter().find(|at| at.source == source).map(|at| at.next_offset))
    }
}

/// Folds one record, as soon as it can be read.
fn fold_record<P: Projection>(
    fold: &mut Fold<Arc<P>>,
    source: SourcePartition,
    place: &TopicPartition,
    at: &mut At,
    record: &Record,
) -> Result<(), RebuildError> {
    let begun = clock::instant();
    loop {
        match fold.fold(source, place, at, record) {
            Folded::Taken => return Ok(()),
            Folded::Stopped(reason) => return Err(RebuildError::Stopped(reason)),
            Folded::NotYet(reason) if begun.elapsed() > PATIENCE => return Err(RebuildError::NotYet(reason)),
            Folded::NotYet(_) => std::thread::sleep(PAUSE),
        }
    }
}
