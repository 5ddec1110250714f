//! Bodies of requests: bounded in size and time before anything is kept of them, then read as JSON.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::engine::pointer_of;
use crate::settings::HttpSettings;

/// The body as one JSON value; without a body an empty object.
pub async fn json(request: Request, limits: &HttpSettings) -> Result<Value, Problem> {
    let (head, body) = request.into_parts();
    if length(&head.headers)?.is_none_or(|length| length > 0) && !body.is_end_stream() {
        is_json(&head.headers)?;
    }
    let bytes = read(&head.headers, body, limits).await?;
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    parse(&bytes)
}

/// The whole body, whatever it is.
pub async fn read(headers: &HeaderMap, body: Body, limits: &HttpSettings) -> Result<Bytes, Problem> {
    let most = limits.body_bytes;
    let too_large =
        || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is larger than {most} bytes"));
    if length(headers)?.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(limits.transfer_timeout.0, Limited::new(body, most).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::bad_input(format!("the body cannot be read: {error}"))),
        Err(_) => {
            let detail = format!("the body was not sent within {}", limits.transfer_timeout);
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail)
                .with_header(header::CONNECTION, header::HeaderValue::from_static("close")))
        }
    }
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(length) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = length.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| Problem::bad_header(&header::CONTENT_LENGTH, "must be a number"))
}

/// Whether it is said to be JSON.
pub fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = format!("{given:?} is no JSON: send application/json");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// Reads it fast; only where it is wrong, once more, to find the place.
fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let detail = format!("malformed JSON: {error}");
    let mut again = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, Value>(&mut again) {
        Err(error) => Err(Problem::bad_field(&pointer_of(error.path()), detail)),
        // Only what follows the value is wrong.
        Ok(_) => Err(Problem::bad_input(detail)),
    }
}
