//! What a process tells of itself, and to whom.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Period, Secret};

/// What a process tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// What is logged, as in `RUST_LOG`, which comes before it: `info`, `headwater=debug,warn`.
    pub log: Option<String>,
    /// The collector to which traces go over OTLP, for example `http://collector:4318`; unless set,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` says it. Without either there are no traces.
    pub otlp: Option<Secret>,
    /// Commands that take longer from being appended to being committed are logged; `0s` logs none.
    pub slow_command: Period,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { log: None, otlp: None, slow_command: Period(Duration::from_secs(1)) }
    }
}
