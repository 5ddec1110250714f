//! The trace that a record belongs to: W3C's `traceparent`, the only header there is.
//!
//! A trace runs client → command → commit → projection: each makes a span whose parent is named by the
//! header of the record that it was given, and whose own name goes into the headers of what it writes.
//! A record without a header, or of a trace that is not recorded, costs nothing: no span is made, and
//! its header is passed on as it came.
//!
//! Spans are `tracing`'s, of the [`TARGET`] below; they are made only where traces are exported.

use std::fmt::Write;

use bytes::Bytes;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of every span of the engine's own.
pub const TARGET: &str = "headwater::trace";

/// Whether a header names a trace that is recorded.
#[must_use]
pub fn is_recorded(header: Option<&Bytes>) -> bool {
    header.and_then(|header| parse(header)).is_some_and(|parent| parent.is_sampled())
}

/// Makes a new span the child of the one that a header names. Without a header, or with one that cannot be
/// read, it stays what it is.
pub fn follow(span: &Span, header: Option<&[u8]>) {
    let Some(parent) = header.and_then(parse) else { return };
    // Of no effect where spans are not exported, which is as it should be.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

/// The header that names a span; `None` if the span is not exported.
#[must_use]
pub fn header(span: &Span) -> Option<Bytes> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| write(&context))
}

/// Marks a span as failed, with the reason.
pub fn fail(span: &Span, reason: impl std::fmt::Display) {
    if !span.is_disabled() {
        span.set_status(Status::error(reason.to_string()));
    }
}

/// Adds a field that is known only now.
pub fn note(span: &Span, name: &'static str, value: impl Into<opentelemetry::Value>) {
    if !span.is_disabled() {
        span.set_attribute(name, value);
    }
}

/// `00-<trace id>-<span id>-<flags>`, in hexadecimal. Later versions may add to it at the end.
fn parse(header: &[u8]) -> Option<SpanContext> {
    let mut parts = std::str::from_utf8(header).ok()?.split('-');
    let mut part = |length: usize| {
        let is_hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        parts.next().filter(|part| part.len() == length).filter(is_hex)
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

fn write(context: &SpanContext) -> Bytes {
    let mut header = String::with_capacity(55);
    let (trace, span) = (context.trace_id(), context.span_id());
    // A string takes whatever is written to it.
    let _ = write!(header, "00-{trace}-{span}-{:02x}", context.trace_flags());
    header.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_reads_back_what_it_writes() {
        let context = parse(HEADER.as_bytes()).expect("a header");
        assert_eq!(write(&context), HEADER);
        assert!(context.is_remote() && context.is_sampled());
    }

    #[test]
    fn a_trace_that_is_not_recorded_asks_for_no_spans() {
        assert!(is_recorded(Some(&HEADER.into())));
        assert!(!is_recorded(Some(&HEADER.replace("-01", "-00").into())));
        assert!(!is_recorded(None));
    }

    #[test]
    fn a_header_of_a_later_version_may_say_more() {
        let later = HEADER.replacen("00", "cc", 1);
        assert!(parse(format!("{later}-more").as_bytes()).is_some());
        assert!(parse(later.as_bytes()).is_some());
    }

    #[test]
    fn what_is_no_header_is_passed_over() {
        let wrong = [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ];
        for header in wrong {
            assert_eq!(parse(header.as_bytes()), None, "{header}");
        }
        assert_eq!(parse(&[0xff, 0x00]), None);
    }
}
