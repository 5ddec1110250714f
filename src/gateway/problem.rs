//! Problems: every answer that is not what was asked for, as RFC 9457 has it.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::command::{ClientError, Failed, Failure, Outcome, Refused};
use crate::engine::{BadInput, CallError, Judged, LookUpError, ReadersError};
use crate::log::LogError;
use crate::projection::ViewError;
use crate::query::QueryError;

/// The content type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// When to try again what found no room, or something away.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// When to try again what has to be made anew first.
const RETRY_MUCH_LATER: Duration = Duration::from_secs(10);

/// An answer that is not what was asked for:
/// `{"type": "urn:headwater:problem:bad_input", "title": …, "status": 400, "detail": …, "code": "bad_input",
/// "pointer": "/amount"}`.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    code: Cow<'static, str>,
    /// Before the code in the type: whose code it is.
    whose: Cow<'static, str>,
    title: &'static str,
    detail: String,
    retry_after: Option<Duration>,
    headers: Vec<(HeaderName, HeaderValue)>,
    members: Map<String, Value>,
    /// What went wrong within: for the log, which tells the request beside it.
    cause: Option<String>,
}

/// What went wrong within, with the response whose client is not told.
#[derive(Clone, Debug)]
pub(super) struct Cause(pub(super) String);

impl Problem {
    /// A problem with the status' own words as its title, and a code for programs: lower case letters and `_`.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code: Cow::Borrowed(code),
            whose: Cow::Borrowed("problem"),
            title: status.canonical_reason().unwrap_or("Unknown"),
            detail: detail.into(),
            retry_after: None,
            headers: Vec::new(),
            members: Map::new(),
            cause: None,
        }))
    }

    /// A request that breaks a rule.
    #[must_use]
    pub fn bad_input(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_input", detail)
    }

    /// A rule that is broken at a place in the body, named by a JSON pointer.
    #[must_use]
    pub fn bad_field(pointer: &str, rule: impl Into<String>) -> Self {
        Self::bad_input(rule).with("pointer", pointer)
    }

    /// A rule that a header breaks.
    #[must_use]
    pub fn bad_header(name: &HeaderName, rule: &str) -> Self {
        Self::bad_input(format!("{name}: {rule}")).with("header", name.as_str())
    }

    /// Nothing stands at this place.
    #[must_use]
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// It may be answered later.
    #[must_use]
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER)
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// With the time after which to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// The status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code, for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// Nothing is at this path.
    pub(super) fn nowhere() -> Self {
        Self::not_found("not_found", "there is nothing at this path")
    }

    /// What went wrong within; the request is not at fault and is told nothing of it.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        const DETAIL: &str = "the request failed; the gateway's log says why, under the X-Request-Id of this answer";
        let mut problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", DETAIL);
        problem.0.cause = Some(error.to_string());
        problem
    }

    /// What became of a command, where it was not accepted.
    pub(super) fn of_outcome(judged: &Judged) -> Option<Self> {
        let problem = match &judged.outcome {
            Outcome::Accepted(_) => return None,
            Outcome::Refused(refused) => Self::refused(&judged.aggregate, refused),
            Outcome::Failed(failed) => Self::failed(failed),
        };
        let problem = problem.with("aggregate", judged.aggregate.as_str()).with("id", judged.id.as_str());
        Some(problem.with("command_id", judged.command_id.to_string()))
    }

    fn refused(aggregate: &str, refused: &Refused) -> Self {
        let problem = if refused.code == Refused::VERSION_MISMATCH {
            Self::new(StatusCode::PRECONDITION_FAILED, "version_mismatch", refused.message.as_str())
        } else {
            let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", refused.message.as_str());
            (refusal.0.code, refusal.0.whose) = (refused.code.clone().into(), format!("refusal:{aggregate}").into());
            refusal.0.title = "Refused";
            refusal
        };
        let problem = problem.with("version", refused.version.0);
        let problem = problem.with_header(header::ETAG, super::headers::etag(refused.version));
        match refused.data.as_deref().map(serde_json::from_str::<Value>) {
            Some(Ok(data)) => problem.with("data", data),
            _ => problem,
        }
    }

    fn failed(failed: &Failed) -> Self {
        let status = match failed.code {
            Failure::Conflict => StatusCode::CONFLICT,
            Failure::TooOld => StatusCode::GONE,
            Failure::ClockSkew | Failure::Misplaced => StatusCode::BAD_REQUEST,
            Failure::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::Skipped => StatusCode::UNPROCESSABLE_ENTITY,
            Failure::Undecodable => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, failed.code.as_str(), failed.message.as_str())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts { status, code, whose, title, detail, retry_after, headers, members, cause } = *self.0;
        let mut body = Map::new();
        body.insert("type".to_owned(), format!("urn:headwater:{whose}:{code}").into());
        body.insert("title".to_owned(), title.into());
        body.insert("status".to_owned(), status.as_u16().into());
        body.insert("detail".to_owned(), detail.into());
        body.insert("code".to_owned(), code.into());
        body.extend(members);
        let mut response = Response::new(Body::from(format!("{}\n", Value::Object(body))));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(wait) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
        }
        response.headers_mut().extend(headers);
        if let Some(cause) = cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

impl From<BadInput> for Problem {
    /// The pointer of an input is into a command's input, whose `data` is the body.
    fn from(BadInput { pointer, rule }: BadInput) -> Self {
        match pointer.as_str() {
            "/id" => Self::bad_input(format!("id: {rule}")).with("parameter", "id"),
            "/command_id" => Self::bad_header(&super::headers::IDEMPOTENCY_KEY, &rule),
            "/issued_at" => Self::bad_header(&super::headers::ISSUED_AT, &rule),
            "" | "/data" => Self::bad_input(rule),
            pointer => Self::bad_field(pointer.strip_prefix("/data").unwrap_or(pointer), rule),
        }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Input(error) => error.into(),
            CallError::Command(error) => error.into(),
            CallError::Query(error) => error.into(),
            CallError::LookUp(error) => error.into(),
            CallError::Schema(error) => Self::internal(&error),
        }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let detail = error.to_string();
        match error {
            ClientError::Full { command_id, .. } => {
                Self::unavailable("busy", detail).with("command_id", command_id.to_string())
            }
            ClientError::Away { command_id, .. } | ClientError::HeldBack { command_id } => {
                Self::unavailable("log_away", detail).with("command_id", command_id.to_string())
            }
            ClientError::NotSent { command_id, reason } => Self::not_sent(&reason, detail, &command_id.to_string()),
            ClientError::Unknown { command_id, .. } | ClientError::Unacknowledged { command_id, .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", detail)
                    .with("command_id", command_id.to_string())
            }
            ClientError::Stopped(_) => Self::unavailable("stopped", detail),
            ClientError::Log(error) => error.into(),
        }
    }
}

impl Problem {
    fn not_sent(reason: &LogError, detail: String, command_id: &str) -> Self {
        let problem = match reason {
            LogError::QueueFull => Self::unavailable("busy", detail),
            LogError::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail),
            reason if reason.is_temporary() => Self::unavailable("log_away", detail),
            reason => Self::internal(reason),
        };
        problem.with("command_id", command_id)
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::QueueFull => Self::unavailable("busy", error.to_string()),
            error if error.is_temporary() => {
                tracing::warn!(%error, "a request found the log away");
                Self::unavailable("log_away", "the log is away; try again")
            }
            error => Self::internal(&error),
        }
    }
}

impl From<LookUpError> for Problem {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Readers(ReadersError::Log(error)) => error.into(),
            LookUpError::Events(error) if !error.is_temporary() => Self::internal(&error),
            error => Self::unavailable("busy", error.to_string()),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let detail = error.to_string();
        match error {
            QueryError::Invalid { field, reason } => Self::bad_field(&format!("/{field}"), reason),
            QueryError::Foreign { .. } => Self::new(StatusCode::BAD_REQUEST, "foreign_position", detail),
            QueryError::NotYet { .. } => Self::unavailable("not_yet", detail),
            QueryError::Replaying { .. } => Self::unavailable("replaying", detail).retry_after(RETRY_MUCH_LATER),
            QueryError::TooLong { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, "query_timeout", detail),
            QueryError::View(error) => error.into(),
            QueryError::TooMany { .. } | QueryError::Row(_) | QueryError::Shape(_) => Self::internal(&error),
        }
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        if error.is_temporary() {
            tracing::warn!(%error, "a request found the views away");
            return Self::unavailable("views_away", "the views are away; try again");
        }
        Self::internal(&error)
    }
}
