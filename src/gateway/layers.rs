//! What lies around every route, the application's own included: the limits, the tokens, what is told of a
//! request, and what browsers ask for. A panic ends one request, and nobody else's.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use super::problem::Problem;
use super::{Gate, headers, limits, observe};
use crate::settings::Origins;

/// For how long a browser need not ask again what it may do.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// The headers of answers that a page may read.
const TOLD: [HeaderName; 10] = [
    header::ETAG,
    header::LOCATION,
    header::CONTENT_LOCATION,
    header::RETRY_AFTER,
    headers::IDEMPOTENCY_KEY,
    headers::POSITION,
    headers::PARKED,
    headers::PARTIAL,
    headers::PREFERENCE_APPLIED,
    headers::REQUEST_ID,
];

/// The routes with everything around them; what is added last meets a request first. Who may not use them may
/// still read in `open` what they are.
pub fn around(routes: Router, open: Router, gate: &Arc<Gate>) -> Router {
    let settings = &gate.settings;
    let routes = routes
        .layer(middleware::from_fn_with_state(gate.clone(), limits::authorized))
        .merge(open)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(gate.clone(), limits::bounded))
        .layer(middleware::from_fn(observe::observed));
    // Streams of events and what is compressed already stay as they are.
    let routes = if settings.compression { routes.layer(CompressionLayer::new()) } else { routes };
    match &settings.cors {
        // A browser asks what it may do without a token, and an answer without one is for the page to read too.
        Some(origins) => routes.layer(cors(origins)),
        None => routes,
    }
}

fn cors(origins: &Origins) -> CorsLayer {
    let origins = match origins {
        Origins::Any => AllowOrigin::any(),
        Origins::Those(those) => AllowOrigin::list(those.iter().filter_map(|it| HeaderValue::try_from(it).ok())),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(TOLD)
        .max_age(PREFLIGHT_AGE)
}

/// The panic itself is for the log alone.
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    Problem::internal(&format_args!("it panicked: {text}")).into_response()
}
