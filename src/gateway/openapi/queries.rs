//! The paths of queries, with the fields of each as parameters.

use serde_json::{Map, Value, json};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::{PathItem, PathsBuilder, Required, ResponseBuilder};

use super::parts::{EVERYWHERE, content, header, optional, schema, shared, text};
use crate::engine::QueryType;
use crate::query::{self, ParameterKind as Kind};
use crate::schema::SchemaError;

/// A place of a partition, as text.
const POSITION: &str = "^[a-z][a-z0-9_]*/[0-9]{1,4}:[0-9]{1,18}$";
/// Some of them, or none.
const POSITIONS: &str = r"^([a-z][a-z0-9_]*/[0-9]{1,4}:[0-9]{1,18}(, *[a-z][a-z0-9_]*/[0-9]{1,4}:[0-9]{1,18})*)?$";

pub(super) fn add(paths: PathsBuilder, query: &dyn QueryType) -> Result<PathsBuilder, SchemaError> {
    let shape = serde_json::from_str(query.answer())
        .map_err(|error| super::unwritable(&format!("the answer of {}", query.name()), &error))?;
    let answer = ResponseBuilder::new()
        .description("The answer")
        .content("application/json", content(shape))
        .header("ETag", header("Names this answer.", json!({"type": "string"})))
        .header("Headwater-Position", header("Where its views stood.", json!({"type": "string"})))
        .header(
            "Headwater-Parked",
            header("How many aggregates its views no longer follow.", json!({"type": "integer"})),
        )
        .header(
            "Headwater-Partial",
            header("A view was reset to a later event than its first.", json!({"type": "boolean"})),
        );
    let mut operation = OperationBuilder::new()
        .tag("queries")
        .operation_id(Some(format!("query_{}", query.name())))
        .summary(Some(query.name()))
        .response("200", answer.build())
        .response(
            "304",
            ResponseBuilder::new().description("The answer is the one that `If-None-Match` names").build(),
        );
    for parameter in query.parameters() {
        operation = operation.parameter(field(&parameter));
    }
    for parameter in common(query) {
        operation = operation.parameter(parameter);
    }
    let own = [("400", "BadInput"), ("404", "NotFound"), ("504", "QueryTimeout")];
    for (status, name) in own.into_iter().chain(EVERYWHERE) {
        operation = operation.response(status, shared(name));
    }
    Ok(paths.path(format!("/queries/{}", query.name()), PathItem::new(HttpMethod::Get, operation.build())))
}

fn field(parameter: &query::Parameter) -> Parameter {
    let query::Parameter { name, kind, required, hint } = parameter;
    let mut attributes = attributes(kind);
    let hints = [
        ("pattern", hint.pattern.map(Value::from)),
        ("minimum", hint.minimum.map(Value::from)),
        ("maximum", hint.maximum.map(Value::from)),
    ];
    attributes.extend(hints.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let required = if *required { Required::True } else { Required::False };
    let built = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Query).required(required);
    let built = built.description(hint.doc).schema(Some(schema(Value::Object(attributes))));
    let built =
        if matches!(kind, Kind::List(_)) { built.style(Some(ParameterStyle::Form)).explode(Some(true)) } else { built };
    built.build()
}

fn attributes(kind: &Kind) -> Map<String, Value> {
    let json = match kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Integer => json!({"type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX}),
        Kind::Number => json!({"type": "number"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Choice(choices) => json!({"type": "string", "enum": choices}),
        Kind::List(inner) => json!({"type": "array", "items": attributes(inner)}),
        Kind::Any => json!({}),
    };
    match json {
        Value::Object(attributes) => attributes,
        _ => Map::new(),
    }
}

fn common(query: &dyn QueryType) -> [Parameter; 4] {
    let sources = query.sources().unwrap_or_default().join(", ");
    let wait = format!("Waits until the view has reached it: a position of {sources}. May be given more than once.");
    let positions = json!({"type": "array", "items": {"type": "string", "pattern": POSITION}});
    let at = ParameterBuilder::new().name("at").parameter_in(ParameterIn::Query).required(Required::False);
    let at = at.description(Some(wait.clone())).schema(Some(schema(positions)));
    let tag = "Answers 304 if the answer is still the one of this `ETag`.";
    [
        at.style(Some(ParameterStyle::Form)).explode(Some(true)).build(),
        optional("Headwater-Position", ParameterIn::Header, &wait, json!({"type": "string", "pattern": POSITIONS})),
        optional("Prefer", ParameterIn::Header, "`wait=5` waits for so many seconds.", json!({"type": "string"})),
        ParameterBuilder::new()
            .name("If-None-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(tag))
            .schema(Some(text()))
            .build(),
    ]
}
