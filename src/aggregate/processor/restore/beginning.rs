//! Where a restore begins: from the local store where it fits the log, else from the log alone.

use super::super::error::PartitionError;
use super::super::judge::Judge;
use super::super::saved::{OutcomesRecord, Saved, StampError, Unfit};
use super::super::settings::ProcessorSettings;
use super::{Restore, Stage, folding};
use crate::aggregate::Aggregate;
use crate::lane::Tools;
use crate::log::{LogError, RangeReader};

impl<A: Aggregate> Restore<A> {
    /// Begins from what the local store has of the partition, if there is anything and it fits.
    pub(super) fn begin_from_store(&mut self, judge: &Judge<A>, tools: &mut Tools<'_>) -> Result<(), PartitionError> {
        self.stage = Stage::Cold;
        let Some(local) = judge.store.as_ref().filter(|local| local.is_usable()) else { return Ok(()) };
        let partition = self.owned.partition;
        match Saved::open(local, tools.log, &judge.codecs, partition) {
            Ok(Ok(saved)) => self.owned.saved = Some(saved),
            Ok(Err(error)) => {
                local.give_up(&error, true);
                return Ok(());
            }
            Err(StampError::Log(error)) => return Err(error.into()),
            Err(StampError::Schema(error)) => return Err(LogError::Unavailable(error.to_string()).into()),
        }
        let taken = self.owned.take_saved(&judge.codecs, tools.clock.now()).and_then(|taken| {
            if taken {
                self.owned.check_reach(&judge.codecs, &judge.settings, tools)?;
            }
            Ok(taken)
        });
        match taken {
            Ok(true) => {}
            Ok(false) => return self.clear_store(&judge.settings),
            Err(Unfit::Other(reason)) => return self.begin_anew(&reason, &judge.settings),
            Err(Unfit::Log(error)) => return Err(error.into()),
            Err(Unfit::Store(error)) => return Err(error.into()),
        }
        (self.warm, self.from_store) = (true, true);
        let known = self.owned.saved.as_ref().and_then(Saved::last_outcomes);
        let Some(OutcomesRecord { offset, .. }) = known else { return self.begin_events(&judge.codecs, tools) };
        let outcomes = judge.codecs.topics.outcomes.partition(partition);
        self.stage = Stage::Known(RangeReader::between(outcomes, offset, offset.next(), tools.stall()));
        Ok(())
    }

    /// Whether the log has the outcomes record where the store says it is: one that was truncated, or created
    /// anew, has another one there, or none.
    pub(super) fn compare(
        &mut self,
        mut range: RangeReader,
        judge: &Judge<A>,
        tools: &mut Tools<'_>,
    ) -> Result<(), PartitionError> {
        let known = self.owned.saved.as_ref().and_then(Saved::last_outcomes);
        let Some(records) = tools.read(&mut range)? else {
            return self.begin_anew("the log has no outcomes where it stands", &judge.settings);
        };
        let Some((record, value)) = records.iter().find_map(|it| Some((it, it.value.as_ref()?))) else {
            self.stage = Stage::Known(range);
            return Ok(());
        };
        if known != Some(OutcomesRecord::new(record.offset, value)) {
            return self.begin_anew("the log has other outcomes where it stands", &judge.settings);
        }
        let outcomes = folding::decode_outcomes(record, value, &judge.codecs)?;
        self.last_outcomes = Some((outcomes.sequence, outcomes.next_offset));
        self.begin_events(&judge.codecs, tools)
    }

    /// What the store has is of no use: it is cleared, and the log alone counts.
    pub(super) fn begin_anew(&mut self, reason: &str, settings: &ProcessorSettings) -> Result<(), PartitionError> {
        let partition = self.owned.partition.0;
        tracing::warn!(
            aggregate = A::NAME,
            partition,
            reason,
            "the local store does not fit: the partition is restored from the log"
        );
        metrics::counter!("headwater_store_rebuilds_total", "reason" => "unfit").increment(1);
        self.clear_store(settings)
    }

    fn clear_store(&mut self, settings: &ProcessorSettings) -> Result<(), PartitionError> {
        let saved = self.owned.saved.take();
        let anew = Self::begin(self.owned.partition, self.committed, None, settings);
        *self = Self { stage: Stage::Cold, records: self.records, ..anew };
        let Some(mut saved) = saved else { return Ok(()) };
        saved.clear().inspect_err(|error| saved.give_up(error))?;
        self.owned.saved = Some(saved);
        Ok(())
    }

    /// Says what it took.
    pub(super) fn tell(&self) {
        let (partition, records) = (self.owned.partition.0, self.records);
        let from = match (self.from_store, self.warm) {
            (true, _) => "store",
            (false, true) => "memory",
            (false, false) => "log",
        };
        metrics::counter!("headwater_restored_records_total", "aggregate" => A::NAME, "from" => from)
            .increment(u64::try_from(records).unwrap_or(u64::MAX));
        tracing::info!(aggregate = A::NAME, partition, from, records, "restored");
    }
}
