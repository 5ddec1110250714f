//! How far behind partitions are.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::partition::Owned;
use crate::clock;
use crate::log::{Isolation, Log, LogError, Reader, TopicPartition};
use crate::position::Offset;

const EVERY: Duration = Duration::from_secs(1);
/// How long one round may look at what comes next in partitions that stand still.
const LOOKING: Duration = Duration::from_millis(200);

/// Measures lag now and then.
///
/// A partition ends with the marker of its last transaction, which is never delivered. So where nothing
/// came since the last round, it is looked whether there is anything to come.
pub struct LagMeter {
    next_at: Instant,
    reader: Option<Box<dyn Reader>>,
    /// For each partition, where it stood in the last round, and up to where there is nothing but
    /// markers and aborted records.
    seen: HashMap<TopicPartition, Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    next: Offset,
    passed: Offset,
}

impl LagMeter {
    pub fn new() -> Self {
        Self { next_at: clock::instant(), reader: None, seen: HashMap::new() }
    }

    /// Measures, if it is time to.
    pub fn measure(&mut self, log: &dyn Log, view: &'static str, owned: &mut [Owned]) -> Result<(), LogError> {
        if owned.is_empty() || clock::instant() < self.next_at {
            return Ok(());
        }
        self.next_at = clock::instant() + EVERY;
        let places: Vec<TopicPartition> = owned.iter().map(|it| it.place.clone()).collect();
        self.seen.retain(|place, _| places.contains(place));
        let bounds = log.bounds(&places, Isolation::Committed)?;
        let until = clock::instant() + LOOKING;
        let mut total = 0;
        for (partition, bounds) in owned.iter_mut().zip(bounds) {
            let Some(&mut at) = partition.at() else { continue };
            let before = self.seen.get(&partition.place).copied().unwrap_or_default();
            let mut seen = Seen { next: at.next, passed: at.next.max(before.passed) };
            let left = until.saturating_duration_since(clock::instant());
            if seen.passed < bounds.end && before.next == at.next && !left.is_zero() {
                seen.passed = self.look(log, &partition.place, seen.passed, bounds.end, left)?;
            }
            self.seen.insert(partition.place.clone(), seen);
            let lag = (bounds.end.0 - seen.passed.0).max(0);
            (partition.lag, total) = (Some(lag), total + lag);
        }
        #[expect(clippy::cast_precision_loss, reason = "a metric; nothing is computed from it")]
        metrics::gauge!("headwater_view_lag_records", "view" => view).set(total as f64);
        Ok(())
    }

    /// The first offset from `next` on that may hold a record.
    fn look(
        &mut self,
        log: &dyn Log,
        place: &TopicPartition,
        next: Offset,
        end: Offset,
        wait: Duration,
    ) -> Result<Offset, LogError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(log.reader()?),
        };
        let stretch = reader.read(place, next, end, wait, 1)?;
        Ok(if stretch.records.is_empty() { stretch.next } else { next })
    }
}
