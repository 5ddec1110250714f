//! Traces: spans go to a collector over OTLP (HTTP, protobuf), in the background.
//!
//! Where to is said by `telemetry.otlp`, else by OpenTelemetry's own variables, which say everything
//! else too: `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::Counter;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, RetryPolicy, SpanExporter, WithExportConfig,
    WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter as Export};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use super::{AnyLayer, TelemetryError};
use crate::settings::TelemetrySettings;

/// How long the end of a process may wait for its last spans.
const FINISH: Duration = Duration::from_secs(3);

/// What spans travel through must not make spans of its own.
const UNTRACED: [&str; 5] = ["hyper", "hyper_util", "h2", "reqwest", "opentelemetry"];

/// Spans on their way to a collector.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts exporting, if it is said where to.
    pub(super) fn start(service: &str, settings: &TelemetrySettings) -> Result<Option<Self>, TelemetryError> {
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let variables = [OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT];
        if settings.otlp.is_none() && !variables.iter().any(is_set) {
            return Ok(None);
        }
        // A batch is tried once: those behind it are worth more than it is.
        let mut exporter = SpanExporter::builder().with_http().with_retry_policy(RetryPolicy::disabled());
        if let Some(base) = &settings.otlp {
            exporter = exporter.with_endpoint(format!("{}/v1/traces", base.expose().trim_end_matches('/')));
        }
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(service.to_owned());
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Reporting::new(exporter.build()?))
            .with_resource(resource.build())
            .build();
        Ok(Some(Self(provider)))
    }

    /// Makes spans of `tracing`'s, from `INFO` on.
    pub(super) fn layer<S>(&self) -> AnyLayer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let untraced = UNTRACED.map(|target| (target, LevelFilter::OFF));
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("headwater"))
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_default(LevelFilter::INFO).with_targets(untraced))
            .boxed()
    }

    /// Exports what is still in the queue, if the collector takes it in time.
    pub(super) fn finish(self) {
        if let Err(error) = self.0.shutdown_with_timeout(FINISH) {
            tracing::debug!(%error, "the last spans were not exported");
        }
    }
}

/// Says once that the collector is away, once that it is back, and counts.
#[derive(Debug)]
struct Reporting {
    inner: SpanExporter,
    away: AtomicBool,
    exported: Counter,
    lost: Counter,
}

impl Reporting {
    fn new(inner: SpanExporter) -> Self {
        let exported = metrics::counter!("headwater_spans_exported_total");
        let lost = metrics::counter!("headwater_spans_lost_total");
        Self { inner, away: AtomicBool::new(false), exported, lost }
    }
}

impl Export for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let exported = self.inner.export(batch).await;
        let was_away = self.away.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Ok(()) => {
                self.exported.increment(spans);
                if was_away {
                    tracing::info!("traces are exported again");
                }
            }
            Err(error) => {
                self.lost.increment(spans);
                if !was_away {
                    tracing::warn!(%error, "traces cannot be exported; they are lost until the collector is back");
                }
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
