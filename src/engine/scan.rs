//! Reads partitions from end to end or as they grow, on the calling thread, which it blocks.

use std::sync::Arc;
use std::time::Duration;

use super::events::{EventRow, EventsError};
use super::{AggregateGate, Engine};
use crate::clock::Timestamp;
use crate::log::{Isolation, Log, LogError, RangeReader, Record, TopicPartition};
use crate::position::{Offset, Partition, Position, Sequence, Version};
use crate::projection::{Shape, Stream};
use crate::schema::json::Secrets;
use crate::topology::partition_of;

/// How long a stretch may give nothing before it counts as stuck.
const STALL: Duration = Duration::from_secs(30);

/// Up to which event a state is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The last there is.
    Now,
    /// This version.
    Version(Version),
    /// The last at or before this time.
    Time(Timestamp),
    /// The last at or before this sequence of its partition.
    Sequence(Sequence),
}

/// An instance at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspected {
    /// Its version; 0 before its first event.
    pub version: Version,
    /// Where its last event stands.
    pub position: Option<Position>,
    /// Its state.
    pub state: serde_json::Value,
}

/// Reads a partition from `from` to its present end and hands each record over.
pub fn scan<E: From<LogError> + From<crate::log::StallError>>(
    log: &dyn Log,
    partition: TopicPartition,
    from: Offset,
    mut each: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = log.reader()?;
    let mut range = RangeReader::to_present_end(log, partition, from, STALL)?;
    while let Some(records) = range.step(log, reader.as_mut())? {
        records.into_iter().try_for_each(&mut each)?;
    }
    Ok(())
}

impl Engine {
    /// The partition of an instance.
    #[must_use]
    pub fn partition_of(&self, id: &str) -> Partition {
        partition_of(id.as_bytes(), self.topology.partitions)
    }

    /// What views of these shapes have reached once they have all that is there now: the last position of each
    /// partition that they follow.
    pub fn ends_of(&self, shapes: &[Arc<Shape>]) -> Result<Vec<Position>, EventsError> {
        let mut ends = Vec::new();
        for shape in shapes {
            for aggregate in self.aggregates.iter().filter(|aggregate| shape.sources.contains(&aggregate.name())) {
                for number in 0..self.topology.partitions {
                    ends.extend(self.last_position(aggregate.as_ref(), shape.stream, Partition(number))?);
                }
            }
        }
        Ok(ends)
    }

    /// Reads ever longer stretches before the end until one has a record: markers take offsets too.
    fn last_position(
        &self,
        aggregate: &dyn AggregateGate,
        stream: Stream,
        partition: Partition,
    ) -> Result<Option<Position>, EventsError> {
        let place = stream.topic(aggregate.topics().clone()).partition(partition);
        let bounds = self.log.bounds(std::slice::from_ref(&place), Isolation::Committed)?[0];
        let mut length = 8;
        loop {
            let from = Offset((bounds.end.0 - length).max(bounds.low.0));
            let mut last = None;
            scan(self.log.as_ref(), place.clone(), from, |record| -> Result<(), EventsError> {
                last = Some(record);
                Ok(())
            })?;
            match last {
                Some(record) => return Ok(Some(aggregate.position(stream, &record)?)),
                None if from <= bounds.low => return Ok(None),
                None => length *= 8,
            }
        }
    }

    /// The state of an instance as folded from the log, and each event that made it.
    pub fn inspect(
        &self,
        aggregate: &dyn AggregateGate,
        id: &str,
        until: Until,
        secrets: Secrets,
        mut each: impl FnMut(EventRow),
    ) -> Result<Inspected, EventsError> {
        let partition = aggregate.topics().events.partition(self.partition_of(id));
        let low = self.log.bounds(std::slice::from_ref(&partition), Isolation::Committed)?[0].low;
        let mut fold = aggregate.fold(id);
        let mut position = None;
        let mut over = false;
        scan(self.log.as_ref(), partition, low, |record| -> Result<(), EventsError> {
            if over || record.key.as_deref() != Some(id.as_bytes()) {
                return Ok(());
            }
            let row = aggregate.event(&record, secrets)?;
            over = match until {
                Until::Now => false,
                Until::Version(version) => row.version > version,
                Until::Time(time) => row.occurred_at > time,
                Until::Sequence(sequence) => row.position.sequence > sequence,
            };
            if !over {
                fold.apply(&record)?;
                position = Some(row.position.clone());
                each(row);
            }
            Ok(())
        })?;
        Ok(Inspected { version: fold.version(), position, state: fold.state(secrets)? })
    }
}
