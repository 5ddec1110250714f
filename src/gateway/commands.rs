//! `POST /{aggregate}/{id}/{Command}`, and what became of it.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query as UrlQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use uuid::Uuid;

use super::headers::{self, Preferences};
use super::problem::Problem;
use super::{Gate, body};
use crate::clock::{self, Timestamp};
use crate::command::{ClientError, Outcome};
use crate::engine::{CallError, CommandInput, Judged, LookUp, suggest};

/// Sends a command and waits for its outcome, or only until it is written if that is preferred.
pub async fn send(
    State(gate): State<Arc<Gate>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path((aggregate, id, command)) = path?;
    gate.check_command(&aggregate, &command)?;
    let heads = request.headers();
    let command_id = headers::idempotency_key(heads)?.unwrap_or_else(clock::new_id);
    let issued_at = gate.issued_at(command_id, headers::issued_at(heads)?);
    let expect = headers::expected_version(heads)?;
    let preferences = headers::preferences(heads);
    let data = body::json(request, &gate.settings).await?;
    let command_id = Some(command_id);
    let input = CommandInput { aggregate, id, command, data, command_id, issued_at, expect, internal: false };
    match preferences {
        Preferences { respond_async: true, wait: None } => gate.post(input).await,
        Preferences { respond_async, wait } => gate.send(input, gate.wait(wait), respond_async).await,
    }
}

/// Looks the outcome of a command up.
pub async fn look_up(
    State(gate): State<Arc<Gate>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    fields: Result<UrlQuery<HashMap<String, String>>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path((aggregate, id, command_id)) = path?;
    let UrlQuery(fields) = fields?;
    gate.aggregate(&aggregate)?;
    let command_id = command_id.parse::<Uuid>();
    let command_id = command_id.map_err(|_| Problem::bad_input("the command's id must be a UUID"))?;
    let issued_at = issued_at(command_id, &fields)?;
    match gate.calls.outcome(&aggregate, &id, command_id, issued_at).await? {
        LookUp::Judged(found) => Ok(outcome(&Judged { aggregate, id, command_id, outcome: found })),
        LookUp::Pending => {
            let mut response = pending(command_id);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            Ok(response)
        }
        LookUp::Unknown => {
            let detail = "no such command was sent to it, or longer ago than outcomes are kept";
            Err(Problem::not_found("unknown_outcome", detail).with("command_id", command_id.to_string()))
        }
    }
}

/// A key that was made by the rules says it; of any other it stands in the path that its sender was given.
fn issued_at(command_id: Uuid, fields: &HashMap<String, String>) -> Result<Timestamp, Problem> {
    const RULE: &str = "must be when the command was issued, such as 2026-01-31T12:00:00Z: its id does not say so";
    match (clock::time_of_id(command_id), fields.get("issued_at")) {
        (Some(time), _) => Ok(time),
        (None, Some(text)) => text.parse().map_err(|_| Problem::bad_field("/issued_at", RULE)),
        (None, None) => Err(Problem::bad_field("/issued_at", RULE)),
    }
}

impl Gate {
    /// Whether there is such a command for clients; those of the engine are none.
    fn check_command(&self, aggregate: &str, command: &str) -> Result<(), Problem> {
        let found = self.aggregate(aggregate)?;
        let offered = || found.commands().iter().filter(|schema| !schema.internal).map(|schema| schema.name);
        if offered().any(|name| name == command) {
            return Ok(());
        }
        let detail = format!("{aggregate} has no command {command:?}{}", suggest(command, offered()));
        Err(Problem::not_found("unknown_command", detail))
    }

    /// A key that does not say when it was made was, for all that is known, made now.
    pub(super) fn issued_at(&self, command_id: Uuid, given: Option<Timestamp>) -> Option<Timestamp> {
        given.or_else(|| clock::time_of_id(command_id).is_none().then(|| self.calls.engine().clock.now()))
    }

    async fn post(&self, input: CommandInput) -> Result<Response, Problem> {
        let place = Place::of(&input);
        self.calls.post(input, self.settings.wait.0).await?;
        Ok(place.pending())
    }

    async fn send(&self, input: CommandInput, wait: Duration, or_async: bool) -> Result<Response, Problem> {
        let place = Place::of(&input);
        match self.calls.send(input, wait).await {
            Ok(judged) => accepted(&judged, &place),
            // It was written, and its outcome will be there.
            Err(CallError::Command(ClientError::Unknown { .. })) if or_async => Ok(place.pending()),
            // Nothing was sent: there will be no outcome to look for.
            Err(CallError::Input(error)) => Err(error.into()),
            Err(error) => Err(place.add_to(error.into())),
        }
    }
}

/// Where the outcome of a command is to be found.
struct Place {
    command_id: Uuid,
    path: String,
}

impl Place {
    fn of(input: &CommandInput) -> Self {
        let CommandInput { aggregate, id, issued_at, .. } = input;
        let command_id = input.command_id.unwrap_or_default();
        let mut path = format!("/{aggregate}/{}/commands/{command_id}", encoded(id));
        if let Some(issued_at) = issued_at {
            let _ = write!(path, "?issued_at={issued_at}");
        }
        Self { command_id, path }
    }

    fn pending(&self) -> Response {
        let mut response = pending(self.command_id);
        let heads = response.headers_mut();
        heads.insert(header::LOCATION, headers::value(&self.path));
        heads.insert(headers::PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
        response
    }

    /// The client can look there later, also for an outcome that is unknown now.
    fn add_to(&self, problem: Problem) -> Problem {
        let problem = problem.with_header(headers::IDEMPOTENCY_KEY, headers::value(self.command_id));
        problem.with("instance", self.path.as_str())
    }
}

/// The answer for a command that is not judged yet.
pub(super) fn pending(command_id: Uuid) -> Response {
    let body = json!({ "outcome": "pending", "command_id": command_id });
    let mut response = json_response(StatusCode::ACCEPTED, body.to_string());
    response.headers_mut().insert(headers::IDEMPOTENCY_KEY, headers::value(command_id));
    response
}

fn accepted(judged: &Judged, place: &Place) -> Result<Response, Problem> {
    if let Some(problem) = Problem::of_outcome(judged) {
        return Err(place.add_to(problem));
    }
    let mut response = outcome(judged);
    response.headers_mut().insert(header::CONTENT_LOCATION, headers::value(&place.path));
    Ok(response)
}

/// An outcome, whatever it is, as the thing that was asked for.
pub(super) fn outcome(judged: &Judged) -> Response {
    let body = serde_json::to_string(&judged.answer());
    let Ok(body) = body else {
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the outcome cannot be shown")
            .into_response();
    };
    let mut response = json_response(StatusCode::OK, body);
    let heads = response.headers_mut();
    heads.insert(headers::IDEMPOTENCY_KEY, headers::value(judged.command_id));
    add_standing(heads, judged);
    response
}

fn add_standing(heads: &mut HeaderMap, judged: &Judged) {
    match &judged.outcome {
        Outcome::Accepted(accepted) => drop(heads.insert(header::ETAG, headers::etag(accepted.version))),
        Outcome::Refused(refused) => drop(heads.insert(header::ETAG, headers::etag(refused.version))),
        Outcome::Failed(_) => {}
    }
    if let Some(position) = judged.position() {
        heads.insert(headers::POSITION, headers::value(position));
    }
}

/// JSON text as a response.
pub(super) fn json_response(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A text as one segment of a path.
fn encoded(segment: &str) -> String {
    let mut path = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_of_a_path_whatever_is_in_it() {
        assert_eq!(encoded("till-1"), "till-1");
        assert_eq!(encoded("a/b?c#d e%é"), "a%2Fb%3Fc%23d%20e%25%C3%A9");
    }
}
