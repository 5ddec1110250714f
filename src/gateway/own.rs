//! The routes of an application: within the same bounds as the engine's, and with problems for errors.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body;
use super::problem::Problem;
use crate::engine::pointer_of;
use crate::settings::HttpSettings;

/// More of a text than anybody writes for people.
const LONGEST_DETAIL: usize = 2000;

/// Puts an application's routes within bounds.
pub fn bounded(routes: Router, settings: &HttpSettings) -> Router {
    routes
        // A body was read before, and is no larger than the settings allow.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(settings.clone(), answered))
}

/// Reads the body before the route does, so that whatever the route makes of it, it is bounded in size and
/// time. An error of the library's own, or of a route that is told in plain text, becomes a problem.
async fn answered(State(limits): State<HttpSettings>, request: Request, next: Next) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let bytes = body::read(&head.headers, body, &limits).await?;
    let response = next.run(Request::from_parts(head, Body::from(bytes))).await;
    Ok(if is_bare_error(&response) { problem_of(response).await.into_response() } else { response })
}

fn is_bare_error(response: &Response) -> bool {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    is_error && is_plain(response.headers())
}

fn is_plain(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes().starts_with(b"text/plain"));
    kind.unwrap_or(true)
}

async fn problem_of(response: Response) -> Problem {
    let (head, body) = response.into_parts();
    let text =
        http_body_util::Limited::new(body, LONGEST_DETAIL).collect().await.map(http_body_util::Collected::to_bytes);
    let text = text.map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    if head.status == StatusCode::INTERNAL_SERVER_ERROR {
        return Problem::internal(&text);
    }
    let reason = head.status.canonical_reason().unwrap_or("the request failed");
    let problem = Problem::new(head.status, code_of(head.status), if text.is_empty() { reason } else { &text });
    let is_kept = |name: &header::HeaderName| *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH;
    let kept = head.headers.iter().filter(|(name, _)| is_kept(name));
    kept.fold(problem, |problem, (name, value)| problem.with_header(name.clone(), value.clone()))
}

fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::SERVICE_UNAVAILABLE => "busy",
        _ if status.is_server_error() => "failed",
        _ => "bad_input",
    }
}

/// JSON, of a request or as an answer. What is wrong with that of a request is named by a JSON pointer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        body::is_json(request.headers())?;
        let bytes = bytes::Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| Problem::new(error.status(), code_of(error.status()), error.body_text()))?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let pointer = pointer_of(error.path());
            Problem::bad_field(&pointer, error.into_inner().to_string())
        })?;
        json.end().map_err(|error| Problem::bad_input(format!("malformed JSON: {error}")))?;
        Ok(Self(read))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}
