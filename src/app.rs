//! An application: its aggregates, projections and queries, put together to one binary with every
//! role, the command line and all that belongs to it.

use std::process::ExitCode;
use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::cli::{self, Command, OwnCommand, OwnCommands};
use crate::engine::{self, Application, Demo};
use crate::projection::Projection;
use crate::query::Query;

/// An application.
///
/// ```ignore
/// App::new("bank").aggregate::<Account>().projection(Accounts).query::<AccountSummary>().main()
/// ```
#[must_use = "an application does nothing until `main` is called"]
pub struct App {
    application: Application,
    commands: OwnCommands,
}

impl App {
    /// An application of this name, the first part of every topic's: lower case letters, digits and `_`, as
    /// in an Avro namespace.
    pub fn new(name: &'static str) -> Self {
        Self { application: Application::new(name), commands: OwnCommands::default() }
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

    /// With this query.
    pub fn query<Q: Query>(mut self) -> Self {
        self.application.queries.push(engine::query::<Q>());
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

    /// Does what the command line says.
    pub fn main(self) -> ExitCode {
        cli::main(self.application, self.commands)
    }
}
