//! What an application itself holds to be true of its events, at every prefix of the log.
//!
//! An aggregate's own rules are kept by `decide`. What holds across aggregates (that no money is lost, that
//! a seat is sold once) no single one of them can see; an [`Invariant`] can. It is audited by folding all
//! events of its source, partitions side by side, in an order in which causes come before effects.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::report::{Findings, InvariantCounts, Place, Rule};
use super::{Scope, VerifyError};
use crate::clock::Timestamp;
use crate::event::Recorded;
use crate::log::{Isolation, RangeReader, Reader, Record, TopicPartition};
use crate::position::{Offset, Partition};
use crate::projection::{Decoder, EventSource, ReadError, Source};
use crate::schema::{DecodeError, Registry};

/// How many records of each partition are held at once.
const RECORDS_AHEAD: usize = 1_000;

/// Something that holds at every prefix of the log; `verify` folds all events to see whether it does.
///
/// The value is the fold so far; its `Default` is that of no events. It should grow with what is open, not
/// with the log.
///
/// Events come in an order in which an effect never comes before its cause, also where they are of
/// different aggregates. For that [`is_ready`](Self::is_ready) says which effects still wait for a cause;
/// among the others the earlier comes first.
pub trait Invariant: Default + Send + 'static {
    /// Its name in reports: lower case letters, digits and `_`.
    const NAME: &'static str;
    /// What it promises, in a sentence.
    const PROMISE: &'static str;
    /// Whose events it is about: an aggregate, or a tuple of aggregates.
    type Source: EventSource;

    /// Whether everything that must come before this event has come. Without it events are ordered by their
    /// times alone, which the clocks of several brokers may tell differently.
    fn is_ready(&self, event: &Recorded<<Self::Source as Source>::Event>) -> bool {
        let _ = event;
        true
    }

    /// Takes the next event in.
    ///
    /// # Errors
    /// What does not hold any more, in words that need no context but the event's place. The fold goes on
    /// from there, so that one fault is told once.
    fn fold(&mut self, event: &Recorded<<Self::Source as Source>::Event>) -> Result<(), String>;
}

/// Folds all events of an invariant's source. Blocks.
///
/// Memory: the invariant's own, and at most a thousand records of each partition.
pub fn invariant<I: Invariant>(
    scope: &Scope<'_>,
    registry: &Arc<dyn Registry>,
    findings: &mut Findings,
) -> Result<InvariantCounts, VerifyError> {
    let mut counts = InvariantCounts { invariant: I::NAME, promise: I::PROMISE, ..InvariantCounts::default() };
    let aggregates = I::Source::aggregates();
    let partitions = || (0..scope.topology.partitions).map(Partition);
    let topics = aggregates.iter().map(|aggregate| scope.topology.aggregate(aggregate).events);
    let places: Vec<_> = topics.flat_map(|topic| partitions().map(move |number| topic.partition(number))).collect();
    let first = scope.log.bounds(&places, Isolation::Uncommitted)?;
    // What is asked for later reaches further: it holds the cause of everything before the first ends.
    let last = scope.log.bounds(&places, Isolation::Uncommitted)?;
    if first.iter().any(|bounds| bounds.low > Offset::ZERO) {
        counts.partial = true;
        return Ok(counts);
    }
    let decoders = I::Source::decoders(registry, scope.topology)?;
    let of_one_aggregate = usize::try_from(scope.topology.partitions).unwrap_or(1).max(1);
    let tracks = places.into_iter().zip(first.iter().zip(last)).enumerate().map(|(number, (place, (first, last)))| {
        let range = RangeReader::between(place.clone(), Offset::ZERO, last.end, scope.stall).at_most(RECORDS_AHEAD);
        let (aggregate, fetched) = (number / of_one_aggregate, VecDeque::new());
        Track { place, aggregate, range, fetched, settled: first.end, head: None }
    });
    let (tracks, reader, fold) = (tracks.collect(), scope.log.reader()?, I::default());
    let (by_time, waiting) = (BinaryHeap::new(), Vec::new());
    Walk { scope, decoders, reader, tracks, by_time, waiting, fold, counts: &mut counts, findings }.go()?;
    Ok(counts)
}

/// One partition, as far as it was read.
struct Track<E> {
    place: TopicPartition,
    /// The place of its aggregate among the source's.
    aggregate: usize,
    range: RangeReader,
    fetched: VecDeque<Record>,
    /// Every event before it has its causes within what is read.
    settled: Offset,
    /// Its next event.
    head: Option<Recorded<E>>,
}

struct Walk<'a, I: Invariant> {
    scope: &'a Scope<'a>,
    decoders: Vec<Decoder<<I::Source as Source>::Event>>,
    reader: Box<dyn Reader>,
    tracks: Vec<Track<<I::Source as Source>::Event>>,
    /// The tracks whose next event was not looked at yet, by its time.
    by_time: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// The tracks whose next event waits for a cause.
    waiting: Vec<usize>,
    fold: I,
    counts: &'a mut InvariantCounts,
    findings: &'a mut Findings,
}

impl<I: Invariant> Walk<'_, I> {
    fn go(mut self) -> Result<(), VerifyError> {
        for track in 0..self.tracks.len() {
            self.advance(track)?;
        }
        while let Some(track) = self.choose() {
            self.take(track);
            self.advance(track)?;
        }
        Ok(())
    }

    /// The track whose next event comes next.
    fn choose(&mut self) -> Option<usize> {
        if let Some(place) = self.waiting.iter().position(|track| self.is_ready(*track)) {
            return Some(self.waiting.swap_remove(place));
        }
        while let Some(Reverse((_, track))) = self.by_time.pop() {
            if self.is_ready(track) {
                return Some(track);
            }
            self.waiting.push(track);
        }
        self.without_cause().map(|place| self.waiting.swap_remove(place))
    }

    fn is_ready(&self, track: usize) -> bool {
        self.tracks[track].head.as_ref().is_some_and(|event| self.fold.is_ready(event))
    }

    /// The place of the first event that waits for a cause which is not in the log. Those that were added
    /// while the log is read may have theirs beyond.
    fn without_cause(&self) -> Option<usize> {
        let settled = self.waiting.iter().enumerate().filter_map(|(place, track)| {
            let track = &self.tracks[*track];
            let event = track.head.as_ref().filter(|event| event.offset < track.settled)?;
            Some((event.occurred_at, place))
        });
        settled.min().map(|(_, place)| place)
    }

    fn take(&mut self, track: usize) {
        let was_ready = self.is_ready(track);
        let Some(event) = self.tracks[track].head.take() else { return };
        let folded = catch_unwind(AssertUnwindSafe(|| self.fold.fold(&event)));
        self.counts.events += 1;
        let wrong = match folded {
            Ok(Ok(())) if was_ready => return,
            Ok(Ok(())) => "what must come before this event is not in the log".to_owned(),
            Ok(Err(wrong)) => wrong,
            Err(_) => "folding this event panics".to_owned(),
        };
        let place = Place::record(&self.tracks[track].place, event.offset, Some(&event.aggregate_id));
        self.findings.add(Rule::Invariant(I::NAME), place, wrong);
    }

    /// Reads the next event of a track that can be read, if there is one.
    fn advance(&mut self, number: usize) -> Result<(), VerifyError> {
        let track = &mut self.tracks[number];
        loop {
            while track.fetched.is_empty() {
                let Some(records) = track.range.step(self.scope.log, self.reader.as_mut())? else { return Ok(()) };
                (self.scope.progress)(u64::try_from(records.len()).unwrap_or(0));
                track.fetched.extend(records);
            }
            let Some(record) = track.fetched.pop_front() else { continue };
            let wrong = match self.decoders[track.aggregate].decode(&record) {
                Ok(event) => {
                    self.by_time.push(Reverse((event.occurred_at, number)));
                    track.head = Some(event);
                    return Ok(());
                }
                Err(ReadError::Value(DecodeError::RegistryAway(reason))) => {
                    return Err(VerifyError::RegistryAway(reason));
                }
                Err(ReadError::Value(reason)) => format!("this event cannot be read: {reason}"),
                Err(ReadError::Key) => "this event has no readable key".to_owned(),
            };
            self.findings.add(Rule::Invariant(I::NAME), Place::record(&track.place, record.offset, None), wrong);
        }
    }
}
