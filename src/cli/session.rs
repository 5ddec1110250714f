//! One invocation: the application, its settings, and the ways to connect it.

use std::sync::Arc;

use super::error::{CliError, CliResult};
use super::output::Output;
use super::own::OwnCommands;
use super::signals::Signals;
pub(super) use crate::engine::Working;
use crate::engine::{Application, CatchUpError, Engine, EngineError, Role, RoleError, Roles};
use crate::gateway::OwnRoutes;
use crate::settings::Settings;

/// One invocation.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) app: Arc<Application>,
    pub(super) own: Arc<OwnCommands>,
    pub(super) routes: Option<OwnRoutes>,
    pub(super) settings: Settings,
    pub(super) json: bool,
    pub(super) signals: Signals,
}

impl Session {
    pub(super) fn output(&self) -> Output {
        Output::new(self.json)
    }

    /// The application, connected.
    pub(super) async fn engine(&self) -> CliResult<Arc<Engine>> {
        let (app, settings) = (self.app.clone(), self.settings.clone());
        Ok(Arc::new(blocking(move || Engine::connect(app, settings)).await??))
    }

    /// The application, connected to a log on which somebody works.
    pub(super) async fn working(&self) -> CliResult<Working> {
        Ok(Working::begin(self.app.clone(), self.settings.clone()).await?)
    }
}

/// Starts these roles.
pub(super) async fn start(engine: &Arc<Engine>, roles: &[Role]) -> CliResult<Roles> {
    Ok(Roles::start(engine, roles).await?)
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> CliResult<T> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Log(error) => error.into(),
            EngineError::Registry(error) => error.into(),
            EngineError::Schema(error) => error.into(),
            EngineError::NoRegistry => Self::usage(error),
            EngineError::Topics(_) | EngineError::Application(_) => Self::failed(error),
        }
    }
}

impl From<RoleError> for CliError {
    fn from(error: RoleError) -> Self {
        match error {
            RoleError::Engine(error) => error.into(),
            other => Self::failed(other),
        }
    }
}

impl From<CatchUpError> for CliError {
    fn from(error: CatchUpError) -> Self {
        match error {
            CatchUpError::Events(error) => error.into(),
            CatchUpError::Query(error) => error.into(),
            CatchUpError::Task(error) => error.into(),
        }
    }
}
