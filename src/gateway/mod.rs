//! The HTTP face: commands, queries and events by name, for browsers, programs and curl.
//!
//! What it promises: a request never waits longer than it may, and never in a queue: what finds no room is
//! told so, with `Retry-After`. Whatever is not what was asked for is a [`Problem`]. A command that was sent
//! under a key may be sent again under it, to any gateway, and has its first outcome.
//!
//! An application adds routes of its own with [`App::routes`](crate::App::routes); what they need of the
//! library below is named here.

mod answers;
mod body;
mod commands;
mod docs;
mod events;
pub mod headers;
pub mod health;
mod layers;
mod limits;
mod observe;
mod openapi;
mod own;
mod problem;
mod queries;
mod rounds;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::StatusCode;

pub use axum::Router;
pub use axum::body::Body;
pub use axum::extract::{Path, Query as UrlQuery, State};
pub use axum::http;
pub use axum::response::{IntoResponse, Response};
pub use axum::routing::{delete, get, patch, post, put};
pub use openapi::openapi;
pub use own::Json;
pub use problem::{PROBLEM_JSON, Problem};
pub use server::{Leaving, ServeError, Server};

use crate::engine::{AggregateGate, Calls, Engine, EngineError, Feeds, Judged};
use crate::schema::SchemaError;
use crate::settings::HttpSettings;
use answers::Answers;
use limits::Limits;

/// An application's own routes, over the same calls as the engine's.
pub type OwnRoutes = Arc<dyn Fn(Calls) -> Router + Send + Sync>;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// What it stands on.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The description of its API cannot be made.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Its address.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// What every request needs.
pub(crate) struct Gate {
    calls: Calls,
    settings: HttpSettings,
    limits: Limits,
    feeds: Feeds,
    answers: Answers,
    leaving: Leaving,
}

impl Gate {
    /// How long a request waits that asks for so much.
    fn wait(&self, asked: Option<Duration>) -> Duration {
        asked.map_or(self.settings.wait.0, |asked| asked.min(self.settings.longest_wait.0))
    }

    fn aggregate(&self, name: &str) -> Result<&Arc<dyn AggregateGate>, Problem> {
        let found = self.calls.engine().aggregate(name);
        found.map_err(|error| Problem::not_found("unknown_aggregate", error.rule))
    }
}

/// The gateway of this process, at work.
pub struct Gateway {
    server: Server,
    calls: Calls,
}

impl Gateway {
    /// Starts it, with the application's own routes.
    pub async fn start(engine: &Arc<Engine>, own: Option<OwnRoutes>) -> Result<Self, GatewayError> {
        let settings = &engine.settings.http;
        let calls = Calls::open_for_long(engine, settings.in_flight).await?;
        let leaving = Leaving::default();
        let router = router(&calls, settings, leaving.clone(), own)?;
        let server = Server::start(settings, router, leaving).await?;
        tracing::info!(address = %server.address(), "serving HTTP");
        Ok(Self { server, calls })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The calls that it makes.
    #[must_use]
    pub const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Finishes what is under way, and leaves.
    pub async fn stop(self) {
        self.server.stop().await;
        self.calls.close().await;
    }
}

/// Every route of the application: those of every one, and its own.
fn router(
    calls: &Calls,
    settings: &HttpSettings,
    leaving: Leaving,
    own: Option<OwnRoutes>,
) -> Result<Router, SchemaError> {
    let feeds = Feeds::new(calls);
    let limits = Limits::new(settings);
    let answers = Answers::new(calls.clone());
    let gate = Arc::new(Gate { calls: calls.clone(), settings: settings.clone(), limits, feeds, answers, leaving });
    let routes = Router::new()
        .route("/{aggregate}/{id}/{command}", post(commands::send))
        .route("/{aggregate}/{id}/commands/{command_id}", get(commands::look_up))
        .route("/queries/{query}", get(queries::ask))
        .route("/events", get(events::stream))
        .with_state(gate.clone());
    let routes = match own {
        Some(own) => routes.merge(own::bounded(own(calls.clone()), settings)),
        None => routes,
    };
    let docs = docs::routes(&calls.engine().app)?.method_not_allowed_fallback(|| async { not_allowed() });
    let routes = layers::around(with_problems(routes), docs, &gate);
    // Neither bounded nor asked for a token: those who look after the process must have an answer.
    Ok(routes.merge(health::routes(calls.engine().health.clone())))
}

/// The routes with problems for whatever is none of them.
fn with_problems(routes: Router) -> Router {
    routes.method_not_allowed_fallback(|| async { not_allowed() }).fallback(|| async { Problem::nowhere() })
}

/// The answer to a method that a path does not take; which it does take is said in a header.
fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
}

/// What became of a command, as a response: with an application's own routes as with the engine's.
///
/// # Errors
/// The problem that an outcome is that was not accepted.
pub fn respond(judged: &Judged) -> Result<Response, Problem> {
    match Problem::of_outcome(judged) {
        Some(problem) => Err(problem.with_header(headers::IDEMPOTENCY_KEY, headers::value(judged.command_id))),
        None => Ok(commands::outcome(judged)),
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_input(format!("the path cannot be read: {}", rejection.body_text()))
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_input(format!("the query part of the URL cannot be read: {}", rejection.body_text()))
    }
}
