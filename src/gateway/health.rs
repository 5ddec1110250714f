//! `/livez`, `/readyz`, `/healthz` and `/metrics`: for the machines that look after this process. They are
//! answered without a token, and whatever else is under way.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::commands::json_response;
use super::problem::Problem;
use super::server::{Leaving, ServeError, Server};
use crate::engine::Health;
use crate::engine::health::Report;
use crate::settings::{HealthSettings, HttpSettings};
use crate::telemetry::Metrics;

/// Where a worker without a gateway is asked unless it is said: the port of Prometheus exporters.
const USUAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// Few ask for health.
const CONNECTIONS: usize = 64;

/// The routes, to be merged with others.
pub fn routes(health: Health) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/healthz", get(both))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(|| async { super::not_allowed() })
        .with_state(health)
}

/// Serves them for a worker without a gateway: where the settings say, else at the usual address, if it is
/// free.
pub async fn serve(settings: &HealthSettings, health: Health) -> Result<Option<Server>, ServeError> {
    let listen = Some(settings.listen.unwrap_or(USUAL));
    let http = HttpSettings { listen, connections: CONNECTIONS, ..HttpSettings::default() };
    match Server::start(&http, routes(health), Leaving::default()).await {
        Ok(server) => {
            tracing::info!(address = %server.address(), "serving /livez, /readyz, /healthz and /metrics");
            Ok(Some(server))
        }
        Err(error) if settings.listen.is_none() => {
            tracing::info!(address = %USUAL, %error, "health is not served; set health.listen to another address");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn answer(well: bool, body: Value) -> Response {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = json_response(status, body.to_string());
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

async fn live(State(health): State<Health>) -> Response {
    let report = health.report();
    let ended: Vec<_> = report.roles.iter().filter(|role| !role.live).map(|role| &role.name).collect();
    let status = if report.live { "alive" } else { "ended or stuck" };
    answer(report.live, json!({"status": status, "ended_or_stuck": ended}))
}

async fn ready(State(health): State<Health>) -> Response {
    let report = health.report();
    answer(report.ready, json!({"status": standing(&report), "waits_for": waits(&report)}))
}

async fn both(State(health): State<Health>) -> Response {
    let report = health.report();
    let mut body = Map::from_iter([("status".to_owned(), standing(&report).into())]);
    if let Ok(Value::Object(details)) = serde_json::to_value(&report) {
        body.extend(details);
    }
    answer(report.live && report.ready, Value::Object(body))
}

const fn standing(report: &Report) -> &'static str {
    match report {
        Report { leaving: true, .. } => "leaving",
        Report { live: false, .. } => "ended or stuck",
        Report { ready: true, .. } => "ready",
        _ => "waiting",
    }
}

/// Who waits for what.
fn waits(report: &Report) -> Vec<Value> {
    let wait = |(role, wait): (Option<&crate::engine::health::RoleHealth>, _)| {
        let mut said = role.map_or_else(Map::new, |role| {
            let names = [
                ("role", role.role.into()),
                ("name", role.name.as_str().into()),
                ("group", role.group.as_str().into()),
            ];
            names.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value)).collect()
        });
        if let Ok(Value::Object(wait)) = serde_json::to_value(&wait) {
            said.extend(wait);
        }
        Value::Object(said)
    };
    report.waits().map(wait).collect()
}

async fn metrics() -> Response {
    let Some(metrics) = Metrics::of_process() else {
        return Problem::not_found("not_counted", "this process counts nothing").into_response();
    };
    let mut response = metrics.render().into_response();
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
