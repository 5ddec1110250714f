//! Finds offsets by sequence, and sequences by offset.
//!
//! Offsets are sparse: markers and aborted records take some. Sequences grow with them, so a sequence is
//! found by halving. Everything here blocks.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::log::{Isolation, Log, LogError, Reader, Record, TopicPartition};
use crate::position::{Offset, Sequence};
use crate::projection::source::{ReadError, ReaderError, RecordReader};
use crate::projection::{Events, Projection, ReplayError, Shape, SourcePartition, StopReason};

const STEP: Duration = Duration::from_millis(200);
/// An open transaction may hold a read up, but not for ever.
const STALL: Duration = Duration::from_mins(1);
/// How many offsets before the one in question are looked at first.
const WINDOW: i64 = 64;
const LARGEST_WINDOW: i64 = 8192;
const ALL: usize = 8192;

pub struct Search<P: Projection> {
    pub log: Arc<dyn Log>,
    pub readers: Vec<RecordReader<Events<P>>>,
    pub shape: Arc<Shape>,
}

impl<P: Projection> Search<P> {
    /// The offset to go on from after the event of this sequence.
    pub fn after_sequence(
        &self,
        source: SourcePartition,
        place: &TopicPartition,
        sequence: Sequence,
    ) -> Result<Offset, ReplayError> {
        let bounds = self.log.bounds(std::slice::from_ref(place), Isolation::Committed)?[0];
        let last = self.sequence_before(source, place, bounds.end)?;
        if sequence > last {
            let reason = format!("{place} has no event of sequence {sequence}; its last one is {last}");
            return Err(ReplayError::Target(reason));
        }
        let mut reader = self.log.reader()?;
        // Every event before `low` has at most this sequence, every one from `high` on a higher one.
        let (mut low, mut high) = (bounds.low, bounds.end);
        while low < high {
            let middle = Offset(low.0 + (high.0 - low.0) / 2);
            let first = stretch(&mut *reader, place, middle, high, 1)?.into_iter().next();
            match first.map(|record| Ok::<_, ReplayError>((record.offset, self.sequence(source, place, &record)?))) {
                Some(found) => {
                    let (offset, found) = found?;
                    if found > sequence { high = middle } else { low = offset.next() }
                }
                None => high = middle,
            }
        }
        Ok(low)
    }

    /// The sequence of the last event before this offset.
    pub fn sequence_before(
        &self,
        source: SourcePartition,
        place: &TopicPartition,
        offset: Offset,
    ) -> Result<Sequence, ReplayError> {
        let low = self.log.bounds(std::slice::from_ref(place), Isolation::Committed)?[0].low;
        let mut reader = self.log.reader()?;
        let (mut until, mut window) = (offset, WINDOW);
        while until > low {
            let from = low.max(Offset(until.0 - window));
            if let Some(last) = stretch(&mut *reader, place, from, until, ALL)?.last() {
                return self.sequence(source, place, last);
            }
            (until, window) = (from, (2 * window).min(LARGEST_WINDOW));
        }
        Ok(Sequence::NONE)
    }

    fn sequence(
        &self,
        source: SourcePartition,
        place: &TopicPartition,
        record: &Record,
    ) -> Result<Sequence, ReplayError> {
        let known = self.shape.sources.iter().position(|it| *it == source.aggregate);
        let reader = known.and_then(|known| self.readers.get(known));
        let reader = reader.ok_or_else(|| ReplayError::Target(format!("{place} is no topic of this projection")))?;
        let (partition, offset) = (place.clone(), record.offset);
        match reader.read(record) {
            Ok(found) => Ok(found.sequence()),
            Err(ReaderError::Record(ReadError::Key)) => {
                Err(ReplayError::Unreadable(StopReason::Key { partition, offset }))
            }
            Err(ReaderError::Record(ReadError::Value(reason))) => {
                Err(ReplayError::Unreadable(StopReason::Undecodable { partition, offset, reason }))
            }
            Err(ReaderError::Log(reason)) => Err(LogError::Unavailable(reason).into()),
        }
    }
}

/// All records of a stretch, or its first one if `max` is 1.
fn stretch(
    reader: &mut dyn Reader,
    place: &TopicPartition,
    from: Offset,
    until: Offset,
    max: usize,
) -> Result<Vec<Record>, LogError> {
    let (mut records, mut next, mut moved_at) = (Vec::new(), from, clock::instant());
    while next < until && records.len() < max {
        let read = reader.read(place, next, until, STEP, max - records.len())?;
        if read.next > next {
            (next, moved_at) = (read.next, clock::instant());
        } else if moved_at.elapsed() > STALL {
            let reason = format!("{place}: nothing to read at offset {next}: a transaction is open that nobody ends");
            return Err(LogError::Unavailable(reason));
        }
        records.extend(read.records);
    }
    Ok(records)
}
