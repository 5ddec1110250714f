//! What the paths of the document have in common: problems, outcomes, headers.

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, ContentBuilder, Header, HeaderBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
};

use crate::gateway::PROBLEM_JSON;

/// What stands at the top.
pub(super) const INTRODUCTION: &str = "Commands change aggregates and are answered with their outcome; queries are \
    answered from views, which follow the events. Whoever hands a command's `Headwater-Position` to a query reads \
    what was written. An error is a problem (RFC 9457) with a `code` for programs. A command may be sent again with \
    the same `Idempotency-Key`: it is judged once. Every answer has an `X-Request-Id`, the request's own if it has one.";

/// The name under which the token is known in the document.
pub(super) const TOKEN: &str = "token";

/// The token that a gateway may ask for.
pub(super) fn token() -> SecurityScheme {
    SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build())
}

/// A schema from its JSON.
pub(super) fn schema(json: Value) -> RefOr<Schema> {
    // utoipa reads what JSON Schema writes; what it does not know, it leaves out.
    serde_json::from_value(json).unwrap_or_else(|_| RefOr::T(Schema::default()))
}

pub(super) fn text() -> RefOr<Schema> {
    schema(json!({"type": "string"}))
}

pub(super) fn content(json: Value) -> Content {
    ContentBuilder::new().schema(Some(schema(json))).build()
}

/// A reference to a schema of the document's own.
pub(super) fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

pub(super) fn header(description: &str, json: Value) -> Header {
    HeaderBuilder::new().schema(Some(schema(json))).description(Some(description)).build()
}

/// A parameter that may be left out.
pub(super) fn optional(name: &str, place: ParameterIn, description: &str, json: Value) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(Required::False);
    parameter.description(Some(description)).schema(Some(schema(json))).build()
}

/// The schemas that responses refer to.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let pending = json!({
        "type": "object",
        "required": ["outcome", "command_id"],
        "properties": {
            "outcome": {"type": "string", "enum": ["pending"]},
            "command_id": {"type": "string", "format": "uuid"}
        }
    });
    [("Problem", a_problem()), ("Accepted", an_acceptance()), ("Outcome", an_outcome()), ("Pending", pending)]
        .map(|(name, json)| (name.to_owned(), schema(json)))
        .into()
}

fn a_problem() -> Value {
    json!({
        "type": "object",
        "description": "A problem, as RFC 9457 has it.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "Says of what kind it is, for ever."},
            "title": {"type": "string"},
            "status": {"type": "integer", "format": "int32"},
            "detail": {"type": "string", "description": "What happened, and what to do."},
            "code": {"type": "string", "description": "The last part of the type, for programs."},
            "pointer": {"type": "string", "description": "The place in the body that breaks a rule, as a JSON pointer."},
            "header": {"type": "string", "description": "The header that breaks a rule."},
            "parameter": {"type": "string", "description": "The parameter that breaks a rule."},
            "aggregate": {"type": "string"},
            "id": {"type": "string"},
            "command_id": {"type": "string", "format": "uuid"},
            "version": {"type": "integer", "format": "int64", "description": "Where the aggregate stands."},
            "data": {"description": "What a refusal says besides."}
        }
    })
}

fn an_acceptance() -> Value {
    json!({
        "type": "object",
        "required": ["outcome", "aggregate", "id", "command_id", "version", "position"],
        "properties": {
            "outcome": {"type": "string", "enum": ["accepted"]},
            "aggregate": {"type": "string"},
            "id": {"type": "string"},
            "command_id": {"type": "string", "format": "uuid"},
            "version": {"type": "integer", "format": "int64", "description": "Where the aggregate stands now."},
            "position": {
                "type": "string", "description": "Where its partition stands now, for queries to wait for.",
                "examples": ["account/3:1042"]
            },
            "data": {"description": "What the aggregate answered."}
        }
    })
}

fn an_outcome() -> Value {
    json!({
        "type": "object",
        "description": "What became of a command: accepted, refused by the domain, or failed.",
        "required": ["outcome", "aggregate", "id", "command_id"],
        "properties": {
            "outcome": {"type": "string", "enum": ["accepted", "refused", "failed"]},
            "aggregate": {"type": "string"},
            "id": {"type": "string"},
            "command_id": {"type": "string", "format": "uuid"},
            "version": {"type": "integer", "format": "int64"},
            "position": {"type": "string"},
            "code": {"type": "string"},
            "message": {"type": "string"},
            "data": {}
        }
    })
}

/// A problem that is told nowhere else.
pub(super) fn problem(description: &str) -> Response {
    ResponseBuilder::new().description(description).content(PROBLEM_JSON, content(named("Problem"))).build()
}

/// A problem with one of these codes.
pub(super) fn problem_of(description: &str, codes: &[&str]) -> Response {
    let codes = json!({"allOf": [named("Problem"), {"type": "object", "properties": {"code": {"type": "string", "enum": codes}}}]});
    ResponseBuilder::new().description(description).content(PROBLEM_JSON, content(codes)).build()
}

/// Problems of many paths, by the names under which they are referred to.
pub(super) fn responses() -> Vec<(&'static str, Response)> {
    let retry = || header("After how many seconds to try again.", json!({"type": "integer", "minimum": 1}));
    let unavailable = "Kafka or the views are away, or as much is under way as may be: nothing was done";
    let mut responses = vec![
        ("BadInput", problem("What was given breaks a rule")),
        ("Unauthorized", problem("A token is asked for")),
        ("Forbidden", problem("This token may not do that")),
        ("NotFound", problem("There is no such thing")),
        ("Timeout", problem("The request was not sent in time")),
        ("Conflict", problem_of("The same id came with another payload before", &["conflict"])),
        ("Gone", problem_of("It was issued before what is remembered", &["too_old"])),
        ("VersionMismatch", problem_of("The aggregate stands at another version", &["version_mismatch"])),
        ("TooLarge", problem_of("What was sent, or what follows from it, is too large", &["too_large"])),
        ("UnsupportedMediaType", problem("The body is no JSON")),
        ("HeadersTooLarge", ResponseBuilder::new().description("The headers are too large, or too many").build()),
        (
            "Unknown",
            problem_of(
                "Not known in time: safe to send again with the same id",
                &["outcome_unknown", "request_timeout"],
            ),
        ),
        ("QueryTimeout", problem_of("The views did not answer in time", &["query_timeout", "request_timeout"])),
        ("Internal", problem("The request failed; the log of the gateway says why")),
    ];
    for (name, description) in
        [("TooManyRequests", "Too many requests of one client at once"), ("Unavailable", unavailable)]
    {
        let with_header = ResponseBuilder::from(problem(description)).header("Retry-After", retry());
        responses.push((name, with_header.build()));
    }
    responses
}

/// Responses that any path may have, by status.
pub(super) const EVERYWHERE: [(&str, &str); 6] = [
    ("401", "Unauthorized"),
    ("403", "Forbidden"),
    ("429", "TooManyRequests"),
    ("431", "HeadersTooLarge"),
    ("500", "Internal"),
    ("503", "Unavailable"),
];

/// A reference to one of the [`responses`].
pub(super) fn shared(name: &str) -> RefOr<Response> {
    RefOr::Ref(Ref::from_response_name(name))
}
