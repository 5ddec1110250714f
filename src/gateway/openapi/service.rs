//! The paths of the gateway itself: events, health, metrics, this document.

use serde_json::{Value, json};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::{PathItem, PathsBuilder, Required, Response, ResponseBuilder};

use super::parts::{EVERYWHERE, content, optional, schema, shared};

pub(super) fn add(paths: PathsBuilder, aggregates: &[&str]) -> PathsBuilder {
    let paths = paths.path("/events", PathItem::new(HttpMethod::Get, events(aggregates)));
    let health = json!({"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}});
    let healthy = |said: &str| response(said, "application/json", health.clone());
    let probes = [
        ("/livez", "Whether this process works, or should be started anew", "A role has ended or stands still"),
        ("/readyz", "Whether this process is ready for work, and what it waits for", "Not ready yet, or leaving"),
        ("/healthz", "Both, in detail", "Not well"),
    ];
    let paths = probes.into_iter().fold(paths, |paths, (path, summary, otherwise)| {
        let operation = OperationBuilder::new()
            .tag("service")
            .summary(Some(summary))
            .operation_id(Some(path.trim_start_matches('/')))
            .response("200", healthy("It is well"))
            .response("503", healthy(otherwise));
        paths.path(path, PathItem::new(HttpMethod::Get, operation.build()))
    });
    let texts = [
        ("/metrics", "Metrics for Prometheus", "text/plain"),
        ("/openapi.json", "This document", "application/json"),
        ("/docs/", "This document, to be read and tried", "text/html"),
    ];
    texts.into_iter().fold(paths, |paths, (path, summary, kind)| {
        let shape = if kind == "application/json" { json!({"type": "object"}) } else { json!({"type": "string"}) };
        let name = path.trim_matches('/').replace('.', "_");
        let operation = OperationBuilder::new()
            .tag("service")
            .summary(Some(summary))
            .operation_id(Some(name))
            .response("200", response(summary, kind, shape));
        paths.path(path, PathItem::new(HttpMethod::Get, operation.build()))
    })
}

fn response(description: &str, kind: &str, shape: Value) -> Response {
    ResponseBuilder::new().description(description).content(kind, content(shape)).build()
}

fn events(aggregates: &[&str]) -> utoipa::openapi::path::Operation {
    let aggregate = ParameterBuilder::new().name("aggregate").parameter_in(ParameterIn::Query);
    let aggregate = aggregate.required(Required::True).description(Some("Which type of aggregates."));
    let aggregate = aggregate.schema(Some(schema(json!({"type": "string", "enum": aggregates}))));
    let mut operation = OperationBuilder::new()
        .tag("events")
        .operation_id(Some("events"))
        .summary(Some("Events as they come"))
        .description(Some(
            "Server-Sent Events of one aggregate or of one partition: either `id` or `partition` is given. \
             `Last-Event-ID` resumes after an event, without gap or repeat.",
        ))
        .parameter(aggregate.build())
        .parameter(optional("id", ParameterIn::Query, "Those of this aggregate.", json!({"type": "string"})))
        .parameter(optional(
            "partition",
            ParameterIn::Query,
            "Those of this partition.",
            json!({"type": "integer", "format": "int32", "minimum": 0}),
        ))
        .parameter(optional(
            "from",
            ParameterIn::Query,
            "Where to begin without a `Last-Event-ID`: at what comes from now on, or at the first event.",
            json!({"type": "string", "enum": ["latest", "earliest"], "default": "latest"}),
        ))
        .parameter(optional("Last-Event-ID", ParameterIn::Header, "Those after this one.", json!({"type": "string"})))
        .response("200", response("Events, until the client leaves", "text/event-stream", json!({"type": "string"})));
    for (status, name) in [("400", "BadInput"), ("404", "NotFound")].into_iter().chain(EVERYWHERE) {
        operation = operation.response(status, shared(name));
    }
    operation.build()
}
