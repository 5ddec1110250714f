//! `/openapi.json`, and `/docs`: a page that shows it and tries it out. The page is part of the binary and
//! asks nobody else for anything.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use utoipa_swagger_ui::{Config, SwaggerFile, Url};

use super::commands::json_response;
use super::openapi::openapi;
use super::problem::Problem;
use crate::engine::Application;
use crate::schema::SchemaError;

/// Where the document stands.
const DOCUMENT: &str = "/openapi.json";

/// The routes, to be merged with others.
pub fn routes(app: &Application) -> Result<Router, SchemaError> {
    let document = openapi(app)?;
    let config = Arc::new(Config::new([Url::new(app.name, DOCUMENT)]).use_base_layout());
    let show = move |name: String| {
        let config = config.clone();
        async move { file(&name, config) }
    };
    let index = show.clone();
    Ok(Router::new()
        .route(DOCUMENT, get(move || async move { json_response(StatusCode::OK, document) }))
        // Its parts stand beside it, so it needs the slash at its end.
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(move || index(String::new())))
        .route("/docs/{file}", get(move |Path(name): Path<String>| show(name))))
}

fn file(name: &str, config: Arc<Config<'static>>) -> Response {
    let Ok(Some(SwaggerFile { bytes, content_type, gzpipped, .. })) = utoipa_swagger_ui::serve(name, config) else {
        return Problem::not_found("not_found", "the documentation has no such part").into_response();
    };
    let mut response = Response::new(Body::from(Bytes::from(bytes.into_owned())));
    let heads = response.headers_mut();
    if let Ok(kind) = HeaderValue::try_from(content_type) {
        heads.insert(header::CONTENT_TYPE, kind);
    }
    if gzpipped {
        heads.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
