//! The paths of commands: one for each that clients may send, and one for their outcomes.

use serde_json::json;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{PathItem, PathsBuilder, Required, Response, ResponseBuilder};

use super::parts::{EVERYWHERE, content, header, named, optional, problem_of, schema, shared};
use crate::engine::AggregateType;
use crate::schema::json::json_schema;
use crate::schema::{MessageSchema, SchemaError};

/// What an id is that says nothing else of itself.
const ANY_ID: &str = r"^[^\u0000-\u001F\u007F-\u009F]+$";

pub(super) fn add(paths: PathsBuilder, aggregate: &dyn AggregateType) -> Result<PathsBuilder, SchemaError> {
    let name = aggregate.name();
    let open = aggregate.commands().iter().filter(|command| !command.internal);
    let paths = open.clone().try_fold(paths, |paths, command| {
        let operation = operation(aggregate, command)?;
        let item = PathItem::new(HttpMethod::Post, operation);
        Ok::<_, SchemaError>(paths.path(format!("/{name}/{{id}}/{}", command.name), item))
    })?;
    if open.count() == 0 {
        return Ok(paths);
    }
    let item = PathItem::new(HttpMethod::Get, outcome(aggregate));
    Ok(paths.path(format!("/{name}/{{id}}/commands/{{command_id}}"), item))
}

fn id(aggregate: &dyn AggregateType) -> Parameter {
    let pattern = aggregate.id_pattern().unwrap_or(ANY_ID);
    let id = json!({"type": "string", "pattern": pattern, "minLength": 1, "maxLength": 200});
    let parameter = ParameterBuilder::new().name("id").parameter_in(ParameterIn::Path).required(Required::True);
    let text = format!("Which {}", aggregate.name().replace('_', " "));
    parameter.description(Some(text)).schema(Some(schema(id))).build()
}

fn operation(aggregate: &dyn AggregateType, command: &MessageSchema) -> Result<Operation, SchemaError> {
    let body = json_schema(command)?;
    let doc = body.get("description").and_then(|doc| doc.as_str()).unwrap_or_default().to_owned();
    let has_fields = body.get("required").is_some();
    let body = RequestBodyBuilder::new().content("application/json", content(body)).required(Some(if has_fields {
        Required::True
    } else {
        Required::False
    }));
    let codes = [aggregate.refusals(), &["skipped"]].concat();
    let mut operation = OperationBuilder::new()
        .tag(aggregate.name())
        .operation_id(Some(format!("{}_{}", aggregate.name(), command.name)))
        .summary(Some(command.name))
        .description(Some(doc))
        .parameter(id(aggregate))
        .request_body(Some(body.build()))
        .response("200", accepted())
        .response("202", pending())
        .response("422", problem_of("Refused by the domain", &codes));
    for parameter in headers() {
        operation = operation.parameter(parameter);
    }
    let own = [
        ("400", "BadInput"),
        ("404", "NotFound"),
        ("408", "Timeout"),
        ("409", "Conflict"),
        ("410", "Gone"),
        ("412", "VersionMismatch"),
        ("413", "TooLarge"),
        ("415", "UnsupportedMediaType"),
        ("504", "Unknown"),
    ];
    for (status, name) in own.into_iter().chain(EVERYWHERE) {
        operation = operation.response(status, shared(name));
    }
    Ok(operation.build())
}

fn headers() -> [Parameter; 4] {
    let place = || ParameterIn::Header;
    [
        optional(
            "Idempotency-Key",
            place(),
            "The command's id; a repeat has the first outcome. One is made if there is none, and always returned. \
             A UUID of version 7 says itself when it was made.",
            json!({"type": "string", "format": "uuid"}),
        ),
        optional(
            "Headwater-Issued-At",
            place(),
            "When it was issued, where its id does not say so.",
            json!({"type": "string", "format": "date-time"}),
        ),
        optional(
            "If-Match",
            place(),
            "Judge it only if the aggregate stands at this version.",
            json!({"type": "string", "pattern": "^\"[0-9]{1,18}\"$", "examples": ["\"7\""]}),
        ),
        optional(
            "Prefer",
            place(),
            "`respond-async` answers once it is written, `wait=5` waits for so many seconds (RFC 7240).",
            json!({"type": "string", "examples": ["respond-async", "wait=5"]}),
        ),
    ]
}

fn accepted() -> Response {
    ResponseBuilder::new()
        .description("Accepted")
        .content("application/json", content(named("Accepted")))
        .header("ETag", header("The aggregate's version.", json!({"type": "string"})))
        .header("Headwater-Position", header("For queries to wait for.", json!({"type": "string"})))
        .header("Idempotency-Key", header("The command's id.", json!({"type": "string", "format": "uuid"})))
        .header("Content-Location", header("Where its outcome stands.", json!({"type": "string"})))
        .build()
}

fn pending() -> Response {
    ResponseBuilder::new()
        .description("Written, and not judged yet")
        .content("application/json", content(named("Pending")))
        .header("Location", header("Where its outcome will stand.", json!({"type": "string"})))
        .header("Idempotency-Key", header("The command's id.", json!({"type": "string", "format": "uuid"})))
        .build()
}

fn outcome(aggregate: &dyn AggregateType) -> Operation {
    let found =
        ResponseBuilder::new().description("What became of it").content("application/json", content(named("Outcome")));
    let not_yet =
        ResponseBuilder::new().description("Not judged yet").content("application/json", content(named("Pending")));
    let command_id =
        ParameterBuilder::new().name("command_id").parameter_in(ParameterIn::Path).required(Required::True);
    let command_id = command_id.schema(Some(schema(json!({"type": "string", "format": "uuid"})))).build();
    let issued_at = optional(
        "issued_at",
        ParameterIn::Query,
        "When it was issued, where its id does not say so; the `Location` of a 202 has it.",
        json!({"type": "string", "format": "date-time"}),
    );
    let mut operation = OperationBuilder::new()
        .tag(aggregate.name())
        .operation_id(Some(format!("{}_outcome", aggregate.name())))
        .summary(Some("What became of a command"))
        .parameter(id(aggregate))
        .parameter(command_id)
        .parameter(issued_at)
        .response("200", found.build())
        .response("202", not_yet.build());
    for (status, name) in [("400", "BadInput"), ("404", "NotFound")].into_iter().chain(EVERYWHERE) {
        operation = operation.response(status, shared(name));
    }
    operation.build()
}
