//! How many instances this process holds, and how many of them do not get on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::partition::Instances;
use crate::clock::Timestamp;
use crate::position::Partition;

/// How often they are counted at most.
const EVERY: Duration = Duration::from_secs(1);

/// The gauges of one saga in this process: the sum of its partitions.
#[derive(Clone, Debug)]
pub(super) struct Gauges {
    saga: &'static str,
    counts: Arc<Mutex<BTreeMap<Partition, Counts>>>,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    at: Timestamp,
    open: usize,
    overdue: usize,
    stuck: usize,
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

    fn show(&self, counts: &BTreeMap<Partition, Counts>) {
        let sum = |of: fn(&Counts) -> usize| {
            #[expect(clippy::cast_precision_loss, reason = "a metric; nothing is computed from it")]
            let sum = counts.values().map(of).sum::<usize>() as f64;
            sum
        };
        metrics::gauge!("headwater_saga_open_instances", "saga" => self.saga).set(sum(|it| it.open));
        metrics::gauge!("headwater_saga_overdue_instances", "saga" => self.saga).set(sum(|it| it.overdue));
        metrics::gauge!("headwater_saga_stuck_instances", "saga" => self.saga).set(sum(|it| it.stuck));
    }
}

impl Gauge {
    /// Counts anew, if it was not done just now.
    pub fn update(&self, instances: &Instances, now: Timestamp, stuck_after: Duration) {
        let mut counts = self.gauges.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.get(&self.partition).is_some_and(|counts| now.since(counts.at) < EVERY) {
            return;
        }
        let (open, overdue) = (instances.open(), instances.overdue(now));
        let stuck = instances.stuck(now.minus(stuck_after));
        counts.insert(self.partition, Counts { at: now, open, overdue, stuck });
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
