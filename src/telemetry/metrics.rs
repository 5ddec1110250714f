//! Metrics: what there is, and how it is shown to Prometheus.
//!
//! [`METRICS`] is the one table of them. The exporter describes them from it, `src/telemetry/metrics.md` is made
//! from it, and a test holds every use in the source to it. A label takes few values: names of
//! aggregates, views, outcomes and routes, never ids.

use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{SharedString, Unit};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use Kind::{Counter, Gauge, Histogram};

/// What a metric's number means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// How much there was since the process began.
    Counter,
    /// How much there is now.
    Gauge,
    /// How often there was how much, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

impl Kind {
    /// As Prometheus calls it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
            Histogram(_) => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// `headwater_<noun>_<unit>[_total]`
    pub name: &'static str,
    /// What its number means.
    pub kind: Kind,
    /// What it is counted in.
    pub unit: Unit,
    /// By what it is told apart.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// From what one call takes to what nobody should wait for.
const SECONDS: &[f64] =
    &[0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// How much is done at once.
const SIZES: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0];

const fn metric(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, help }
}

/// Every metric there is.
pub const METRICS: &[Metric] = &[
    metric(
        "headwater_commands_total",
        Counter,
        Unit::Count,
        &["aggregate", "outcome"],
        "Commands judged and committed: accepted, refused or failed",
    ),
    metric(
        "headwater_commands_repeated_total",
        Counter,
        Unit::Count,
        &["aggregate"],
        "Commands that were sent again and had their first outcome again",
    ),
    metric(
        "headwater_dead_letters_total",
        Counter,
        Unit::Count,
        &["aggregate"],
        "Records on a commands topic that cannot be understood, set aside",
    ),
    metric(
        "headwater_replies_ignored_total",
        Counter,
        Unit::Count,
        &["aggregate"],
        "Commands that asked for a reply at a place that is none of this application's",
    ),
    metric(
        "headwater_batch_records",
        Histogram(SIZES),
        Unit::Count,
        &["kind", "processor"],
        "Records that one transaction takes in: commands, or a saga's inputs",
    ),
    metric(
        "headwater_decide_seconds",
        Histogram(SECONDS),
        Unit::Seconds,
        &["kind", "processor"],
        "How long it takes to decide the records of one transaction",
    ),
    metric(
        "headwater_commit_seconds",
        Histogram(SECONDS),
        Unit::Seconds,
        &["kind", "processor"],
        "From handing a transaction over until it is committed",
    ),
    metric(
        "headwater_batches_aborted_total",
        Counter,
        Unit::Count,
        &["kind", "processor"],
        "Transactions that did not commit; what they held is decided anew",
    ),
    metric(
        "headwater_rebalances_total",
        Counter,
        Unit::Count,
        &["kind", "processor"],
        "How often partitions were assigned to a lane",
    ),
    metric(
        "headwater_partitions_stopped_total",
        Counter,
        Unit::Count,
        &["kind", "processor"],
        "Partitions that stopped because going on would corrupt them",
    ),
    metric(
        "headwater_snapshots_dropped_total",
        Counter,
        Unit::Count,
        &["aggregate"],
        "Snapshots of no use to this release; events are folded instead",
    ),
    metric(
        "headwater_restored_records_total",
        Counter,
        Unit::Count,
        &["aggregate", "from"],
        "Records read from the log to restore partitions, from the local `store` on, from the state in `memory` on, or from the `log` alone",
    ),
    metric(
        "headwater_store_rebuilds_total",
        Counter,
        Unit::Count,
        &["reason"],
        "Local stores, or a partition's part of one, made anew because they are `damaged` or do not fit (`unfit`) the log or this release",
    ),
    metric(
        "headwater_store_failures_total",
        Counter,
        Unit::Count,
        &[],
        "Local stores that could not be read or written any more; the worker holds its state in memory until it is started again",
    ),
    metric(
        "headwater_producer_recycles_total",
        Counter,
        Unit::Count,
        &[],
        "Transactional producers thrown away and made anew, because what became of a call is not known",
    ),
    metric(
        "headwater_saga_events_total",
        Counter,
        Unit::Count,
        &["saga"],
        "Events looked at for a saga and committed, whether they belong to an instance or not",
    ),
    metric("headwater_saga_inputs_total", Counter, Unit::Count, &["saga"], "Inbox records taken in and committed"),
    metric("headwater_saga_commands_total", Counter, Unit::Count, &["saga"], "Commands that a saga has issued"),
    metric("headwater_saga_open_instances", Gauge, Unit::Count, &["saga"], "Instances that have not ended"),
    metric(
        "headwater_saga_overdue_instances",
        Gauge,
        Unit::Count,
        &["saga"],
        "Instances whose deadline or retry is over and not done yet",
    ),
    metric(
        "headwater_saga_stuck_instances",
        Gauge,
        Unit::Count,
        &["saga"],
        "Instances without a deadline that have taken nothing in for `saga.stuck_seconds`",
    ),
    metric("headwater_view_events_total", Counter, Unit::Count, &["view"], "Events folded into a view and committed"),
    metric(
        "headwater_partitions",
        Gauge,
        Unit::Count,
        &["kind", "processor", "state"],
        "Partitions owned here: running, restoring, waiting for a schema, stopped",
    ),
    metric(
        "headwater_restore_done_offsets",
        Gauge,
        Unit::Count,
        &["kind", "processor"],
        "Where the restores under way are, summed up",
    ),
    metric(
        "headwater_restore_target_offsets",
        Gauge,
        Unit::Count,
        &["kind", "processor"],
        "Where the restores under way are done, summed up",
    ),
    metric(
        "headwater_command_lag_records",
        Gauge,
        Unit::Count,
        &["aggregate"],
        "Offsets of commands that the partitions owned here still have to read",
    ),
    metric(
        "headwater_http_requests_total",
        Counter,
        Unit::Count,
        &["route", "status"],
        "Requests answered, by the pattern of their path",
    ),
    metric(
        "headwater_http_request_seconds",
        Histogram(SECONDS),
        Unit::Seconds,
        &["route"],
        "How long requests take; of event streams, until they begin",
    ),
    metric("headwater_http_requests_under_way", Gauge, Unit::Count, &[], "Requests that are being answered"),
    metric("headwater_event_streams", Gauge, Unit::Count, &[], "Event streams that are open"),
    metric(
        "headwater_client_commands_under_way",
        Gauge,
        Unit::Count,
        &[],
        "Commands that were sent from here and are waited for",
    ),
    metric(
        "headwater_query_answers_total",
        Counter,
        Unit::Count,
        &["from"],
        "Queries over HTTP: answered from the `view`, or from what is `kept` because the view has not moved since",
    ),
    metric(
        "headwater_view_batch_events",
        Histogram(SIZES),
        Unit::Count,
        &["view"],
        "Events in one transaction of a view",
    ),
    metric(
        "headwater_view_apply_seconds",
        Histogram(SECONDS),
        Unit::Seconds,
        &["view"],
        "How long one transaction of a view takes",
    ),
    metric(
        "headwater_view_delay_ms",
        Gauge,
        Unit::Milliseconds,
        &["view"],
        "From the youngest event of the last transaction until it was in the view",
    ),
    metric(
        "headwater_view_lag_records",
        Gauge,
        Unit::Count,
        &["view"],
        "Offsets that this worker still has to read for a view",
    ),
    metric(
        "headwater_view_parked_aggregates",
        Gauge,
        Unit::Count,
        &["view"],
        "Aggregates that a view no longer follows because their events failed",
    ),
    metric(
        "headwater_parked_aggregates",
        Gauge,
        Unit::Count,
        &["aggregate"],
        "Aggregates owned here that are parked because a command of theirs cannot be judged",
    ),
    metric(
        "headwater_parked_commands",
        Gauge,
        Unit::Count,
        &["aggregate"],
        "Commands of parked aggregates, which wait for `parked retry` or `skip`",
    ),
    metric(
        "headwater_view_retries_total",
        Counter,
        Unit::Count,
        &["view"],
        "How often the database did not take a transaction",
    ),
    metric(
        "headwater_view_rebalances_total",
        Counter,
        Unit::Count,
        &["view"],
        "How often partitions of events were assigned to a view's worker",
    ),
    metric(
        "headwater_view_stopped_partitions_total",
        Counter,
        Unit::Count,
        &["view"],
        "Partitions that a view no longer follows because skipping would make it wrong",
    ),
    metric("headwater_spans_exported_total", Counter, Unit::Count, &[], "Spans that the collector took"),
    metric("headwater_spans_lost_total", Counter, Unit::Count, &[], "Spans that the collector did not take"),
];

/// The metrics of this process, to be shown.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

/// Those of this process, once they were started.
static OF_PROCESS: OnceLock<Metrics> = OnceLock::new();

/// Histograms keep each value until they are looked at; this bounds how many.
const UPKEEP: Duration = Duration::from_secs(5);

impl Metrics {
    /// Starts counting. Whoever counts must begin after this: what was begun before counts for nobody.
    ///
    /// # Errors
    /// If this process counts already, or a thread cannot be started.
    pub fn start() -> Result<Self, BuildError> {
        let mut exporter = PrometheusBuilder::new();
        for metric in METRICS {
            if let Histogram(buckets) = metric.kind {
                exporter = exporter.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
            }
        }
        let handle = exporter.install_recorder()?;
        for metric in METRICS {
            let (unit, help) = (metric.unit, SharedString::const_str(metric.help));
            match metric.kind {
                Counter => metrics::describe_counter!(metric.name, unit, help),
                Gauge => metrics::describe_gauge!(metric.name, unit, help),
                Histogram(_) => metrics::describe_histogram!(metric.name, unit, help),
            }
        }
        let upkeep = handle.clone();
        let run = move || {
            loop {
                std::thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        };
        let started = std::thread::Builder::new().name("metrics".to_owned()).spawn(run);
        started.map_err(|error| BuildError::FailedToCreateRuntime(error.to_string()))?;
        Ok(OF_PROCESS.get_or_init(|| Self(handle)).clone())
    }

    /// Those of this process, if it counts.
    #[must_use]
    pub fn of_process() -> Option<Self> {
        OF_PROCESS.get().cloned()
    }

    /// In Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }
}

/// The table, for people.
#[must_use]
pub fn table() -> String {
    let mut text = "# Metrics\n\nMade from the code; `/metrics` shows them in Prometheus' text format.\n\n\
                    | name | kind | unit | labels | |\n|---|---|---|---|---|\n"
        .to_owned();
    for Metric { name, kind, unit, labels, help } in METRICS {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        // A string takes whatever is written to it.
        let _ = writeln!(text, "| `{name}` | {} | {} | {labels} | {help} |", kind.as_str(), unit.as_str());
    }
    text
}

#[cfg(test)]
mod tests;
