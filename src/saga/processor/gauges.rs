//! How many instances this process holds, and how many of them do not get on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::position::Partition;

/// How often they are counted at most.
const EVERY: Duration = Duration::from_secs(1);

/// The gauges of one saga in this process: the sum of its partitions.
#[derive(Clone, Debug)]
pub(super) struct Gauges {
    saga: &'static str,
    counts: Arc<Mutex<BTreeMap<Partition, Counted>>>,
}

/// How many instances a partition holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub open: usize,
    /// Whose deadline is over.
    pub overdue: usize,
    /// That have not got on for long.
    pub stuck: usize,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    at: Timestamp,
    count: Count,
}

/// One partition's part; gone from the sum when it is dropped.
#[derive(Debug)]
pub(super) struct Gauge {
    gauges: Gauges,
    partition: Partition,
}

impl Gauges {
    pub fn new(saga: &'static str) -> Self {
        Self { saga, counts: Arc::default() }
    }

    pub fn of(&self, partition: Partition) -> Gauge {
        Gauge { gauges: self.clone(), partition }
    }

    fn show(&self, counts: &BTreeMap<Partition, Counted>) {
        let sum = |of: fn(&Count) -> usize| {
            #[expect(clippy::cast_precision_loss, reason = "a metric; nothing is computed from it")]
            let sum = counts.values().map(|counted| of(&counted.count)).sum::<usize>() as f64;
            sum
        };
        metrics::gauge!("headwater_saga_open_instances", "saga" => self.saga).set(sum(|it| it.open));
        metrics::gauge!("headwater_saga_overdue_instances", "saga" => self.saga).set(sum(|it| it.overdue));
        metrics::gauge!("headwater_saga_stuck_instances", "saga" => self.saga).set(sum(|it| it.stuck));
    }
}

impl Gauge {
    /// Counts anew, if it was not done just now.
    pub fn update(&self, now: Timestamp, count: impl FnOnce() -> Count) {
        let mut counts = self.gauges.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.get(&self.partition).is_some_and(|counted| now.since(counted.at) < EVERY) {
            return;
        }
        counts.insert(self.partition, Counted { at: now, count: count() });
        self.gauges.show(&counts);
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        let mut counts = self.gauges.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(&self.partition);
        self.gauges.show(&counts);
    }
}
