//! Logs: text for people, JSON lines for programs, always on standard error.
//!
//! A JSON line has `timestamp`, `level`, `target`, `message` and beside them every field of the event
//! and of the spans around it. Colour only on a terminal, and never with `NO_COLOR`.

use std::fmt;
use std::io::IsTerminal;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt as output};

use super::TelemetryError;
use crate::clock::Clock;
use crate::trace;

/// Libraries that tell people nothing they could act on. `apache_avro` reports unions of one branch as
/// errors, and a topic of one message has just that.
const QUIET: &str = "apache_avro=off,fjall=warn,lsm_tree=warn,hyper=warn,h2=warn,sqlx=warn,reqwest=warn";

/// What is shown: what `RUST_LOG` says, else what the setting says, else everything from `level` on.
pub(super) fn filter(level: tracing::Level, setting: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let variable = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|it| !it.is_empty());
    let (origin, directives) = match (&variable, setting) {
        (Some(variable), _) => (EnvFilter::DEFAULT_ENV, variable.as_str()),
        (None, Some(setting)) => ("telemetry.log", setting),
        (None, None) => return Ok(EnvFilter::new(format!("{level},{QUIET}"))),
    };
    let parsed = EnvFilter::try_new(format!("{QUIET},{directives}"));
    parsed.map_err(|error| TelemetryError::Filter { origin, reason: error.to_string() })
}

/// Writes what passes the filter. The spans of traced commands are made for traces: without those nothing
/// is to be paid for them.
pub(super) fn layer<S>(filter: EnvFilter, traces: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let is_wanted = move |metadata: &Metadata<'_>| traces || metadata.target() != trace::TARGET;
    let filter = filter.and(filter_fn(is_wanted).with_max_level_hint(LevelFilter::TRACE));
    let output = output::layer().with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        output.with_ansi(colour()).with_target(false).compact().with_filter(filter).boxed()
    } else {
        output.fmt_fields(JsonFields::new()).event_format(JsonLines(Clock::system())).with_filter(filter).boxed()
    }
}

/// Whether colour is welcome on standard error.
#[must_use]
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// One event as one line of JSON.
struct JsonLines(Clock);

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), self.0.now().to_string().into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Ok(Value::Object(fields))) = fields.map(|fields| serde_json::from_str(&fields.fields)) {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        come_from_log(&mut line);
        // What only the exporter of traces is to know.
        line.retain(|name, _| !name.starts_with("otel."));
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// An event that came through the `log` crate names its target in a field.
fn come_from_log(line: &mut Map<String, Value>) {
    if let Some(target) = line.remove("log.target") {
        line.insert("target".to_owned(), target);
        line.retain(|name, _| !name.starts_with("log."));
    }
}

/// Writes each field of an event as JSON.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::clock::Timestamp;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_holds_the_fields_of_the_event_and_of_its_spans() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines(Clock::manual(Timestamp(0))))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("command", aggregate = "account", id = "000001");
            let _entered = span.enter();
            tracing::warn!(partition = 3, "parked");
        });
        let text = String::from_utf8(lines.0.lock().expect("not poisoned").clone()).expect("text");
        let line: Value = serde_json::from_str(&text).expect("one line of JSON");
        let expected = serde_json::json!({
            "timestamp": "1970-01-01T00:00:00Z", "level": "WARN", "target": "headwater::telemetry::logs::tests",
            "message": "parked", "aggregate": "account", "id": "000001", "partition": 3,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_wrong_filter_names_where_it_stands() {
        let error = filter(tracing::Level::INFO, Some("headwater=loud")).expect_err("no level").to_string();
        assert!(error.starts_with("telemetry.log: "), "{error}");
        assert!(filter(tracing::Level::INFO, Some("headwater=debug,warn")).is_ok());
    }
}
