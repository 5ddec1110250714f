//! What is told of requests: how many and how long, why one failed, and the span of one that belongs to a
//! trace. Every request has an id, its client's own or one that is made, by which it is found in the log.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::headers::{self, REQUEST_ID};
use super::http::{HeaderMap, HeaderValue};
use super::problem::Cause;
use crate::clock;
use crate::trace;

/// W3C Trace Context.
const TRACEPARENT: &str = "traceparent";
/// The route of what leads nowhere.
const NOWHERE: &str = "none";
/// A client's id for its request may be so long; a longer one is replaced.
const LONGEST_ID: usize = 128;

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

/// Counts a request, continues the trace that it names, and logs why it failed.
pub async fn observed(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
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
    let uri = request.uri().clone();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    if let Some(Cause(error)) = response.extensions().get() {
        let request_id = id.to_str().unwrap_or_default();
        tracing::error!(error, request_id, path = uri.path(), status = status.as_u16(), "a request failed");
    }
    response.headers_mut().insert(REQUEST_ID, id);
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
    headers.get(TRACEPARENT).map(HeaderValue::as_bytes)
}

fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_sound = |id: &&HeaderValue| !id.is_empty() && id.len() <= LONGEST_ID && id.to_str().is_ok();
    let given = headers.get(REQUEST_ID).filter(is_sound).cloned();
    given.unwrap_or_else(|| headers::value(clock::new_id()))
}
