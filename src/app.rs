//! An application: its aggregates, sagas, projections and queries, put together to one binary with every
//! role, the command line and all that belongs to it.

use std::process::ExitCode;
use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::cli::{self, Command, OwnCommand, OwnCommands};
use crate::engine::{self, Application, Calls, Demo, RoleError, Working};
use crate::gateway::{self, Gateway, GatewayError, OwnRoutes, Router};
use crate::projection::Projection;
use crate::query::Query;
use crate::saga::Saga;
use crate::schema::SchemaError;
use crate::settings::Settings;
use crate::verify::Invariant;

/// The most commands that an application used as a library has under way at once.
const IN_FLIGHT: usize = 1000;

/// An application.
///
/// ```ignore
/// App::new("bank").aggregate::<Account>().saga::<Transfer>().projection(Accounts).query::<AccountSummary>().main()
/// ```
#[must_use = "an application does nothing until `main` is called"]
pub struct App {
    application: Application,
    commands: OwnCommands,
    routes: Option<OwnRoutes>,
}

impl App {
    /// An application of this name, the first part of every topic's: lower case letters, digits and `_`, as
    /// in an Avro namespace.
    pub fn new(name: &'static str) -> Self {
        Self { application: Application::new(name), commands: OwnCommands::default(), routes: None }
    }

    /// With this aggregate.
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        self.application.aggregates.push(engine::aggregate::<A>());
        self
    }

    /// With this projection.
    pub fn projection(mut self, projection: impl Projection) -> Self {
        self.application.projections.push(engine::projection(projection));
        self
    }

    /// With this saga.
    pub fn saga<S: Saga>(mut self) -> Self {
        self.application.sagas.push(engine::saga::<S>());
        self
    }

    /// With this query.
    pub fn query<Q: Query>(mut self) -> Self {
        self.application.queries.push(engine::query::<Q>());
        self
    }

    /// With this promise about its events, which `verify` holds the whole log to.
    pub fn invariant<I: Invariant>(mut self) -> Self {
        self.application.invariants.push(engine::invariant::<I>());
        self
    }

    /// With this load for `demo`.
    pub fn demo(mut self, demo: impl Demo) -> Self {
        self.application.demo = Some(Arc::new(demo));
        self
    }

    /// With this command on its command line, beside those of every application.
    pub fn command<C: Command>(mut self) -> Self {
        self.commands.add(OwnCommand::of::<C>());
        self
    }

    /// With these routes on its HTTP face, beside those of every application; they call the same engine. No
    /// route may be one of the engine's.
    ///
    /// ```
    /// use headwater::App;
    /// use headwater::engine::Calls;
    /// use headwater::gateway::{Problem, Router, State, get};
    ///
    /// async fn hello(State(calls): State<Calls>) -> Result<String, Problem> {
    ///     Ok(format!("This is {}", calls.engine().app.name))
    /// }
    ///
    /// let app = App::new("shop").routes(|calls| Router::new().route("/hello", get(hello)).with_state(calls));
    /// # drop(app);
    /// ```
    pub fn routes(mut self, routes: impl Fn(Calls) -> Router + Send + Sync + 'static) -> Self {
        self.routes = Some(Arc::new(routes));
        self
    }

    /// Connects it for use as a library. Where this process comes to hold the embedded log, nobody else can
    /// work on it; so all roles run here until the value is closed, and the views have all that was done
    /// before.
    ///
    /// # Errors
    /// If log, registry or database cannot be reached, or are not ready.
    pub async fn connect(self, settings: Settings) -> Result<Connected, RoleError> {
        let working = Working::begin(Arc::new(self.application), settings).await?;
        working.caught_up().await?;
        let calls = Calls::open(&working.engine, IN_FLIGHT).await?;
        Ok(Connected { calls, working, routes: self.routes })
    }

    /// The description of its API as an OpenAPI document, in JSON. Meant for a test that holds it to a
    /// snapshot: a change of the API is then seen by those who review it.
    ///
    /// # Errors
    /// If a schema of its messages cannot be understood.
    pub fn openapi(&self) -> Result<String, SchemaError> {
        gateway::openapi(&self.application)
    }

    /// Does what the command line says.
    pub fn main(self) -> ExitCode {
        cli::main(self.application, self.commands, self.routes)
    }
}

/// An application that is used as a library.
pub struct Connected {
    calls: Calls,
    working: Working,
    routes: Option<OwnRoutes>,
}

impl Connected {
    /// What may be asked of it. Cheap to clone.
    #[must_use]
    pub const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Serves it over HTTP as well, as the settings' `http` says.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn serve(&self) -> Result<Gateway, GatewayError> {
        Gateway::start(&self.working.engine, self.routes.clone()).await
    }

    /// Ends what runs in this process for its sake.
    ///
    /// # Errors
    /// The first error of a worker.
    pub async fn close(self) -> Result<(), RoleError> {
        let Self { calls, working, .. } = self;
        calls.close().await;
        working.close().await
    }
}
