//! Reading a partition to a given end, with a deadline without progress.

use std::time::{Duration, Instant};

use super::{Isolation, Log, LogError, Reader, Record, TopicPartition};
use crate::clock;
use crate::position::Offset;

const STEP_WAIT: Duration = Duration::from_millis(100);
const STEP_RECORDS: usize = 10_000;

/// Reads one partition from an offset up to the high watermark found at the start, as seen
/// read-committed. An open transaction holds it up until that is ended; when nothing moves for
/// `stall`, it gives up loudly.
#[derive(Debug)]
pub struct RangeReader {
    partition: TopicPartition,
    next: Offset,
    until: Offset,
    stall: Duration,
    records: usize,
    /// Since when nothing came, if it was so at the last step.
    waits_since: Option<Instant>,
}

/// Why a range was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum StallError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A transaction stays open.
    #[error(
        "{partition}: nothing to read at offset {next} for {stall:?} although the partition goes to {until}: a transaction \
         that nobody ends holds it at {stable}; stop the workers, see with `kafka-transactions.sh find-hanging` which \
         other partitions it holds, and end it in each: `kafka-transactions.sh abort --topic {topic} --partition \
         {number} --start-offset {stable}`",
        topic = .partition.topic,
        number = .partition.partition
    )]
    HangingTransaction {
        /// Where.
        partition: TopicPartition,
        /// The next offset to read.
        next: Offset,
        /// The end to be reached.
        until: Offset,
        /// The last stable offset.
        stable: Offset,
        /// How long nothing moved.
        stall: Duration,
    },
    /// The partition has become shorter.
    #[error(
        "{partition}: the end was {until} and is now {end}: the partition was truncated or created anew; \
         what was committed there is gone"
    )]
    Truncated {
        /// Where.
        partition: TopicPartition,
        /// The end to be reached.
        until: Offset,
        /// The end as it is now.
        end: Offset,
    },
}

impl RangeReader {
    /// Begins at `from`; the end is the high watermark of this moment.
    pub fn to_present_end(
        log: &dyn Log,
        partition: TopicPartition,
        from: Offset,
        stall: Duration,
    ) -> Result<Self, LogError> {
        let until = log.bounds(std::slice::from_ref(&partition), Isolation::Uncommitted)?[0].end;
        Ok(Self::between(partition, from, until, stall))
    }

    /// From `from` to an end that was asked for before.
    #[must_use]
    pub fn between(partition: TopicPartition, from: Offset, until: Offset, stall: Duration) -> Self {
        Self { partition, next: from, until, stall, records: STEP_RECORDS, waits_since: None }
    }

    /// With so many records at once, and not more.
    #[must_use]
    pub const fn at_most(mut self, records: usize) -> Self {
        self.records = records;
        self
    }

    /// The partition that is read.
    #[must_use]
    pub const fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The next offset to read; equal to the end when done.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.next
    }

    /// One past the last offset to read.
    #[must_use]
    pub const fn until(&self) -> Offset {
        self.until
    }

    /// The next records; `None` at the end. An empty step means that nothing came within a moment:
    /// do what else is to be done and call again.
    pub fn step(&mut self, log: &dyn Log, reader: &mut dyn Reader) -> Result<Option<Vec<Record>>, StallError> {
        if self.next >= self.until {
            return Ok(None);
        }
        let began = clock::instant();
        let stretch = reader.read(&self.partition, self.next, self.until, STEP_WAIT, self.records)?;
        if stretch.next > self.next {
            self.next = stretch.next;
            self.waits_since = None;
        } else if clock::elapsed(*self.waits_since.get_or_insert(began)) > self.stall {
            return Err(self.explain(log)?);
        }
        Ok(Some(stretch.records))
    }

    fn explain(&self, log: &dyn Log) -> Result<StallError, LogError> {
        let partition = self.partition.clone();
        let one = std::slice::from_ref(&self.partition);
        let end = log.bounds(one, Isolation::Uncommitted)?[0].end;
        if end < self.until {
            return Ok(StallError::Truncated { partition, until: self.until, end });
        }
        let stable = log.bounds(one, Isolation::Committed)?[0].end;
        Ok(StallError::HangingTransaction { partition, next: self.next, until: self.until, stable, stall: self.stall })
    }
}
