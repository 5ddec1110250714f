//! The description of the API as an OpenAPI 3.1 document, made from the application's schemas: one path for
//! each command that clients may send and for each query, and those of the gateway itself.

mod commands;
mod parts;
mod queries;
mod service;

use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder};

use crate::engine::Application;
use crate::schema::SchemaError;

/// The description of an application's API, as JSON.
///
/// # Errors
/// If a schema of its messages cannot be understood.
pub fn openapi(app: &Application) -> Result<String, SchemaError> {
    let mut text = document(app)?.to_pretty_json().map_err(|error| unwritable("OpenAPI", &error))?;
    text.push('\n');
    Ok(text)
}

fn unwritable(subject: &str, reason: &serde_json::Error) -> SchemaError {
    SchemaError::Unwritable { subject: subject.to_owned(), reason: reason.to_string() }
}

/// Describes the API of an application.
///
/// # Errors
/// If a schema of its messages cannot be understood.
fn document(app: &Application) -> Result<OpenApi, SchemaError> {
    let mut paths = PathsBuilder::new();
    let mut tags = Vec::new();
    for aggregate in &app.aggregates {
        let text = format!("What may be asked of one {}.", aggregate.name().replace('_', " "));
        tags.push(TagBuilder::new().name(aggregate.name()).description(Some(text)).build());
        paths = commands::add(paths, &**aggregate)?;
    }
    for query in &app.queries {
        paths = queries::add(paths, &**query)?;
    }
    let names: Vec<&str> = app.aggregates.iter().map(|aggregate| aggregate.name()).collect();
    paths = service::add(paths, &names);
    for (name, text) in [
        ("queries", "Answered from the views, which follow the events."),
        ("events", "Events as they come."),
        ("service", "How this process is, and what it offers."),
    ] {
        tags.push(TagBuilder::new().name(name).description(Some(text)).build());
    }
    let components = ComponentsBuilder::new().schemas_from_iter(parts::schemas());
    let components = parts::responses()
        .into_iter()
        .fold(components, |components, (name, response)| components.response(name, response));
    let info = InfoBuilder::new().title(app.name).version(env!("CARGO_PKG_VERSION"));
    let info = info.description(Some(parts::INTRODUCTION)).build();
    let document = OpenApiBuilder::new().info(info).paths(paths.build()).tags(Some(tags));
    let document = document.components(Some(components.security_scheme(parts::TOKEN, parts::token()).build()));
    // Which routes ask for a token, and for which, is a matter of settings.
    let security = [SecurityRequirement::default(), SecurityRequirement::new(parts::TOKEN, [""; 0])];
    Ok(document.security(Some(security)).build())
}
