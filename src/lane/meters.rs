//! What lanes count, held ready: nothing is looked up while records are processed.

use metrics::{Counter, Histogram};

/// The meters of one lane.
pub(super) struct Meters {
    pub batch_records: Histogram,
    pub decide: Histogram,
    pub commit: Histogram,
    pub aborted: Counter,
    pub rebalances: Counter,
    pub stopped: Counter,
}

impl Meters {
    pub fn of(kind: &'static str, processor: &'static str) -> Self {
        Self {
            batch_records: metrics::histogram!("headwater_batch_records", "kind" => kind, "processor" => processor),
            decide: metrics::histogram!("headwater_decide_seconds", "kind" => kind, "processor" => processor),
            commit: metrics::histogram!("headwater_commit_seconds", "kind" => kind, "processor" => processor),
            aborted: metrics::counter!("headwater_batches_aborted_total", "kind" => kind, "processor" => processor),
            rebalances: metrics::counter!("headwater_rebalances_total", "kind" => kind, "processor" => processor),
            stopped: metrics::counter!("headwater_partitions_stopped_total", "kind" => kind, "processor" => processor),
        }
    }
}
