//! What is told of requests: how many and how long, and the span of one that belongs to a trace.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::http::HeaderMap;
use crate::clock;
use crate::trace;

/// W3C Trace Context.
const TRACEPARENT: &str = "traceparent";
/// The route of what leads nowhere.
const NOWHERE: &str = "none";

/// Counts a request that is under way, however it ends.
struct UnderWay(metrics::Gauge);

impl UnderWay {
    fn begin() -> Self {
        let gauge = metrics::gauge!("headwater_http_requests_under_way");
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Counts a request, and continues the trace that it names.
pub async fn observed(request: Request, next: Next) -> Response {
    let _under_way = UnderWay::begin();
    let begun = clock::instant();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(NOWHERE, MatchedPath::as_str).to_owned();
    let method = request.method();
    let span = tracing::info_span!(
        target: trace::TARGET, "request", otel.kind = "server", otel.name = format!("{method} {route}"),
        http.request.method = %method, http.route = route, url.path = request.uri().path(),
    );
    trace::follow(&span, traceparent(request.headers()));
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    trace::note(&span, "http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        trace::fail(&span, status);
    }
    metrics::histogram!("headwater_http_request_seconds", "route" => route.clone()).record(begun.elapsed());
    metrics::counter!("headwater_http_requests_total", "route" => route, "status" => status.as_str().to_owned())
        .increment(1);
    response
}

fn traceparent(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(TRACEPARENT).map(super::http::HeaderValue::as_bytes)
}
