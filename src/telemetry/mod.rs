//! What a process tells of itself: logs, [metrics] and traces.
//!
//! Nothing here holds up the work: metrics are atomic numbers, spans wait in a bounded queue and are
//! dropped when it is full, and a collector that is away is said once.

mod logs;
pub mod metrics;
mod traces;

use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use logs::colour;
pub use metrics::Metrics;

use crate::settings::TelemetrySettings;
use traces::Traces;

/// Why a process cannot tell of itself as it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// What is to be logged cannot be understood.
    #[error("{origin}: {reason}; write a level, or target=level, with commas between")]
    Filter {
        /// Where it was said.
        origin: &'static str,
        /// Why.
        reason: String,
    },
    /// Where traces are to go cannot be understood.
    #[error("traces cannot be exported: {0}; check telemetry.otlp and the variables OTEL_EXPORTER_OTLP_*")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// What runs for the whole process.
#[must_use = "traces are exported to their end only by `finish`"]
pub struct Telemetry {
    traces: Option<Traces>,
}

impl Telemetry {
    /// Starts logging, and exporting traces if it is said where to. `service` is what traces call this
    /// process; `log` says what is logged, and without it it is everything from `level` on. A second call in
    /// one process changes nothing of what is logged.
    pub fn start(
        service: &str,
        level: tracing::Level,
        log: Option<&str>,
        settings: &TelemetrySettings,
    ) -> Result<Self, TelemetryError> {
        let filter = logs::filter(level, log)?;
        let traces = Traces::start(service, settings)?;
        let spans = traces.as_ref().map(Traces::layer);
        let subscriber = tracing_subscriber::registry().with(logs::layer(filter, traces.is_some())).with(spans);
        if subscriber.try_init().is_err() {
            tracing::debug!("logging was started before");
        }
        Ok(Self { traces })
    }

    /// Exports what is still to be exported, within a few seconds. Blocks.
    pub fn finish(self) {
        if let Some(traces) = self.traces {
            traces.finish();
        }
    }
}

/// A layer of any kind.
type AnyLayer<S> = Box<dyn Layer<S> + Send + Sync>;
