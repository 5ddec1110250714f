//! Folds records: decodes, checks, projects, and parks what fails.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use hashbrown::HashMap;
use tracing::Span;

use super::WorkerSettings;
use super::link::Measured;
use super::partition::At;
use super::versions::LastVersions;
use crate::clock::{self, Clock, is_planted};
use crate::event::Recorded;
use crate::log::{Record, TopicPartition};
use crate::projection::source::{Found, ReadError, ReaderError, RecordReader};
use crate::projection::{
    Advance, Batch, Changes, Events, Generation, ParkedAggregate, ParkedEvent, Projection, Shape, SourcePartition,
    StopReason,
};
use crate::trace;

/// How long log or registry may be away before work that somebody waits for gives up.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Short: a thousand aggregates may have to be parked between two polls.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// What folding a record came to.
#[derive(Debug)]
pub enum Folded {
    /// It is in the batch.
    Taken,
    /// It cannot be read yet.
    NotYet(String),
    /// It must not be passed over.
    Stopped(StopReason),
}

/// Folds the records of one worker.
pub struct Fold<P: Projection> {
    projection: P,
    /// One for each aggregate, in the order of the shape's sources.
    readers: Vec<RecordReader<Events<P>>>,
    shape: Arc<Shape>,
    generation: Generation,
    clock: Clock,
    settings: WorkerSettings,
    versions: LastVersions,
    /// Parked aggregates, each with its partition.
    parked: HashMap<(&'static str, String), SourcePartition>,
    batch: Batch,
    measured: Measured,
}

impl<P: Projection> Fold<P> {
    pub fn new(
        projection: P,
        readers: Vec<RecordReader<Events<P>>>,
        shape: &Arc<Shape>,
        clock: Clock,
        settings: WorkerSettings,
    ) -> Self {
        Self {
            projection,
            readers,
            shape: shape.clone(),
            generation: Generation::FIRST,
            clock,
            settings,
            versions: LastVersions::default(),
            parked: HashMap::new(),
            batch: Batch::new(shape),
            measured: Measured::default(),
        }
    }

    pub const fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// The generation that is folded onto.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Folds onto another generation. Nothing may be under way.
    pub fn set_generation(&mut self, generation: Generation) {
        self.generation = generation;
        self.batch = Batch::of(&self.shape, generation);
    }

    /// Forgets what is under way.
    pub fn begin_anew(&mut self) {
        self.batch = Batch::of(&self.shape, self.generation);
        self.measured = Measured::default();
        self.versions.clear();
        self.parked.clear();
    }

    /// A partition is folded from here on, by what is parked in it now. What is remembered of it from before is
    /// of no use: another worker may have folded it meanwhile, and what was parked may have been released.
    pub fn start(&mut self, source: SourcePartition, parked: &[ParkedAggregate]) {
        self.versions.clear();
        self.parked.retain(|_, of| *of != source);
        let parked = parked.iter().filter(|it| it.source == source && !is_planted!(ParkedInViewNotRead));
        self.parked.extend(parked.map(|it| ((source.aggregate, it.aggregate_id.clone()), source)));
    }

    /// A partition goes on with what was folded.
    pub fn advance(&mut self, source: SourcePartition, advance: Advance) {
        self.batch.advance(source, advance);
    }

    /// Folds one record of a partition that is at `at`.
    pub fn fold(&mut self, source: SourcePartition, place: &TopicPartition, at: &mut At, record: &Record) -> Folded {
        let offset = record.offset;
        let aggregate = self.shape.sources.iter().position(|it| *it == source.aggregate);
        let Some(reader) = aggregate.and_then(|aggregate| self.readers.get(aggregate)) else {
            return Folded::NotYet(format!("{place} is no topic of this projection"));
        };
        let found = match read(reader, place, record) {
            Ok(found) => found,
            Err(Unread::NotYet(reason)) => return Folded::NotYet(reason),
            Err(Unread::Stopped(reason)) => return Folded::Stopped(reason),
        };
        if let Err(reason) = self.check(place, at, &found) {
            return Folded::Stopped(reason);
        }
        for event in found.events() {
            let span = trace::is_recorded(record.traceparent.as_ref()).then(|| span_of::<P>(record, event));
            let projected = {
                let _entered = span.as_ref().map(Span::enter);
                self.project(source, place, event)
            };
            if let Err(reason) = projected {
                return Folded::Stopped(reason);
            }
            self.measured.newest = self.measured.newest.max(event.occurred_at);
            self.measured.spans.extend(span);
        }
        (at.next, at.sequence) = (offset.next(), found.sequence());
        Folded::Taken
    }

    /// Attempts change nothing by themselves, so their numbers need not follow.
    fn check(&mut self, place: &TopicPartition, at: &At, found: &Found<Events<P>>) -> Result<(), StopReason> {
        let Found::Event(event) = found else { return Ok(()) };
        let gap = |what, last, found| StopReason::Gap {
            partition: place.clone(),
            offset: event.offset,
            aggregate_id: event.aggregate_id.clone(),
            what,
            last,
            found,
        };
        if event.sequence != at.sequence.next() {
            return Err(gap("sequence", at.sequence.0, event.sequence.0));
        }
        let follows = self.versions.follow(event.aggregate, &event.aggregate_id, event.version);
        follows.map_err(|last| gap("version", last.0, event.version.0))
    }

    fn project(
        &mut self,
        source: SourcePartition,
        place: &TopicPartition,
        event: &Recorded<Events<P>>,
    ) -> Result<(), StopReason> {
        let passes_over = !self.parked.is_empty() && !is_planted!(ParkedInViewFolded);
        if passes_over && self.parked.contains_key(&(event.aggregate, event.aggregate_id.clone())) {
            self.batch.park(source, &event.aggregate_id, event.offset, None);
            return Ok(());
        }
        match project(&self.projection, source, event, &mut self.batch, self.settings.attempts) {
            Ok(()) => Ok(()),
            Err(reason) => self.park(source, place, event, reason),
        }
    }

    fn park(
        &mut self,
        source: SourcePartition,
        place: &TopicPartition,
        event: &Recorded<Events<P>>,
        reason: String,
    ) -> Result<(), StopReason> {
        let (view, id, offset) = (P::NAME, event.aggregate_id.as_str(), event.offset.0);
        let parked = self.parked.len();
        if parked >= self.settings.parked_aggregates {
            return Err(StopReason::Parked { partition: place.clone(), offset: event.offset, parked });
        }
        tracing::error!(view, aggregate = event.aggregate, id, %place, offset, reason, "an aggregate is parked");
        self.parked.insert((event.aggregate, event.aggregate_id.clone()), source);
        let (sequence, version) = (event.sequence, event.version);
        let first = ParkedEvent { offset: event.offset, sequence, version, reason, at: self.clock.now() };
        self.batch.park(source, id, event.offset, Some(first));
        Ok(())
    }

    /// What was folded since the last call, and what is measured of it.
    pub fn take(&mut self) -> (Batch, Measured) {
        (
            std::mem::replace(&mut self.batch, Batch::of(&self.shape, self.generation)),
            std::mem::take(&mut self.measured),
        )
    }
}

/// Why a record gives nothing to be folded.
pub enum Unread {
    /// It cannot be read yet.
    NotYet(String),
    /// It must not be passed over.
    Stopped(StopReason),
}

/// What there is to be folded in a record.
pub fn read<E: 'static>(reader: &RecordReader<E>, place: &TopicPartition, record: &Record) -> Result<Found<E>, Unread> {
    let (partition, offset) = (place.clone(), record.offset);
    reader.read(record).map_err(|error| match error {
        ReaderError::Record(ReadError::Key) => Unread::Stopped(StopReason::Key { partition, offset }),
        ReaderError::Record(ReadError::Value(reason)) if reason.is_temporary() => {
            Unread::NotYet(format!("{place} offset {offset}: {reason}"))
        }
        ReaderError::Record(ReadError::Value(reason)) => {
            Unread::Stopped(StopReason::Undecodable { partition, offset, reason })
        }
        ReaderError::Log(reason) => Unread::NotYet(format!("{place} offset {offset}: {reason}")),
    })
}

/// Takes what follows from an event into a batch, if need be at a later attempt; or says why that fails.
pub fn project<P: Projection>(
    projection: &P,
    source: SourcePartition,
    event: &Recorded<Events<P>>,
    batch: &mut Batch,
    attempts: u32,
) -> Result<(), String> {
    let pauses = ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_times(attempts.max(1) as usize - 1);
    let mut pauses = pauses.build();
    loop {
        let mut changes = Changes::new();
        let project = AssertUnwindSafe(|| projection.project(event, &mut changes));
        let projected = catch_unwind(project).map_err(|panic| format!("it panicked: {}", panic_text(&*panic)));
        let taken = projected.and_then(|()| batch.absorb(source, changes).map_err(|error| error.to_string()));
        let Err(reason) = taken else { return Ok(()) };
        match pauses.next() {
            Some(pause) => clock::pause(pause),
            // A database does not take every text.
            None => return Err(reason.replace('\0', "\u{fffd}")),
        }
    }
}

/// The span of a traced event, a child of what wrote it.
fn span_of<P: Projection>(record: &Record, event: &Recorded<Events<P>>) -> Span {
    let span = tracing::info_span!(
        target: trace::TARGET, "project", otel.kind = "consumer", otel.name = format!("project {}", P::NAME),
        view = P::NAME, aggregate = event.aggregate, id = event.aggregate_id, version = event.version.0,
        partition = record.partition.0, offset = record.offset.0,
    );
    trace::follow(&span, record.traceparent.as_deref());
    span
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}
