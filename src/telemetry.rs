//! Logs: text for people, JSON lines for programs, always on standard error.
//!
//! A JSON line has `timestamp`, `level`, `target`, `message` and beside them every field of the event
//! and of the spans around it. `RUST_LOG` chooses what is shown. Colour only on a terminal, and never
//! with `NO_COLOR`.

use std::fmt;
use std::io::IsTerminal;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;

/// Libraries that tell people nothing they could act on. `apache_avro` reports unions of one branch as
/// errors, and a topic of one message has just that.
const QUIET: &str = "apache_avro=off,fjall=warn,lsm_tree=warn,hyper=warn,h2=warn,sqlx=warn,reqwest=warn";

/// Starts logging for the whole process; `level` applies where `RUST_LOG` says nothing. A second call
/// changes nothing.
pub fn init(level: tracing::Level) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{level},{QUIET}")));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if std::io::stderr().is_terminal() {
        builder.with_ansi(colour()).with_target(false).compact().try_init()
    } else {
        builder.fmt_fields(JsonFields::new()).event_format(JsonLines(Clock::system())).try_init()
    };
    if installed.is_err() {
        tracing::debug!("logging was started before");
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
            "timestamp": "1970-01-01T00:00:00Z", "level": "WARN", "target": "headwater::telemetry::tests",
            "message": "parked", "aggregate": "account", "id": "000001", "partition": 3,
        });
        assert_eq!(line, expected);
    }
}
