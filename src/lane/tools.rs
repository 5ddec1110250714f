//! What a restore reads the log with, and how it ends what a lost owner left open.

use std::time::{Duration, Instant};

use crate::clock::{self, Clock};
use crate::log::{Isolation, Log, LogError, RangeReader, Reader, Record, StallError, TopicPartition};
use crate::position::Offset;

/// How long an open transaction may hold the restore up before the previous owner is taken for lost.
const OWNER_LOST: Duration = Duration::from_millis(500);

/// What a restore works with.
pub(crate) struct Tools<'a> {
    /// The log.
    pub log: &'a dyn Log,
    /// The wall clock.
    pub clock: &'a Clock,
    pub(super) reader: &'a mut dyn Reader,
    pub(super) stall: Duration,
    pub(super) own_ids: &'a str,
    pub(super) predecessor: &'a mut Predecessor,
}

/// How a restore gets on, and who owned the partition before.
pub(super) struct Predecessor {
    /// Its transactional ids, to be ended if it left a transaction open.
    pub ids: Vec<String>,
    /// When the restore last moved.
    pub moved: Instant,
}

impl Tools<'_> {
    /// The next records of a range; `None` at its end.
    pub fn read(&mut self, range: &mut RangeReader) -> Result<Option<Vec<Record>>, StallError> {
        let before = range.next_offset();
        let records = range.step(self.log, self.reader)?;
        let Predecessor { ids, moved } = self.predecessor;
        if range.next_offset() > before {
            *moved = clock::instant();
        } else if records.is_some() && clock::elapsed(*moved) > OWNER_LOST && !ids.is_empty() {
            self.end_owners_transactions(range)?;
        }
        Ok(records)
    }

    /// Ends the open transactions of an owner that is gone; else they would block every reader of the
    /// partitions they touched until the broker times them out.
    ///
    /// Only if one is really open: a live owner that merely handed this partition over would be fenced.
    fn end_owners_transactions(&mut self, range: &RangeReader) -> Result<(), LogError> {
        let stable = self.log.bounds(std::slice::from_ref(range.partition()), Isolation::Committed)?[0].end;
        self.predecessor.moved = clock::instant();
        if stable >= range.until() {
            return Ok(());
        }
        for id in self.predecessor.ids.drain(..).filter(|id| !self.own_ids.split(',').any(|own| own == id)) {
            let partition = range.partition();
            tracing::info!(%partition, transactional_id = id, "ends the previous owner's transaction");
            drop(self.log.writer(&id)?);
        }
        Ok(())
    }

    /// A range from `wanted`, or from the first offset held if that is later, to the present end; and that
    /// first offset.
    pub fn range(&self, partition: TopicPartition, wanted: Offset) -> Result<(RangeReader, Offset), LogError> {
        let low = self.low(&partition)?;
        let range = RangeReader::to_present_end(self.log, partition, wanted.max(low), self.stall)?;
        Ok((range, low))
    }

    /// How long a restore may stand still.
    pub const fn stall(&self) -> Duration {
        self.stall
    }

    /// The first offset held.
    pub fn low(&self, partition: &TopicPartition) -> Result<Offset, LogError> {
        Ok(self.log.bounds(std::slice::from_ref(partition), Isolation::Uncommitted)?[0].low)
    }

    /// See [`pass_markers`].
    pub fn pass_markers(&mut self, input: &TopicPartition, from: Offset) -> Result<Offset, LogError> {
        pass_markers(self.log, self.reader, input, from)
    }
}

/// Where to go on in the input: `from`, or the end if there is no record between. Else what is left there,
/// the marker of a transaction, would look like lost records once it is deleted.
pub(super) fn pass_markers(
    log: &dyn Log,
    reader: &mut dyn Reader,
    input: &TopicPartition,
    from: Offset,
) -> Result<Offset, LogError> {
    const MARKERS_WAIT: Duration = Duration::from_millis(100);
    let end = log.bounds(std::slice::from_ref(input), Isolation::Committed)?[0].end;
    if end <= from {
        return Ok(from);
    }
    let stretch = reader.read(input, from, end, MARKERS_WAIT, 1)?;
    Ok(if stretch.records.is_empty() { stretch.next } else { from })
}
