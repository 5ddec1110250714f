//! One invocation: the application, its settings, and the ways to connect it.

use std::sync::Arc;

use super::error::{CliError, CliResult};
use super::output::Output;
use super::own::OwnCommands;
use super::signals::Signals;
use crate::engine::{Application, Engine, EngineError, Place, Role, RoleError, Roles};
use crate::settings::Settings;

/// One invocation.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) app: Arc<Application>,
    pub(super) own: Arc<OwnCommands>,
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

    /// The application, connected to a log on which somebody works: where this process holds the
    /// embedded log itself nobody else can, so all roles run here for as long as the value lives.
    pub(super) async fn working(&self) -> CliResult<Working> {
        let engine = self.engine().await?;
        let roles = if engine.place == Place::Held { Some(start(&engine, &Role::ALL).await?) } else { None };
        Ok(Working { engine, roles })
    }
}

/// Starts these roles.
pub(super) async fn start(engine: &Arc<Engine>, roles: &[Role]) -> CliResult<Roles> {
    Ok(Roles::start(engine, roles).await?)
}

/// An application on which somebody works.
pub(super) struct Working {
    pub(super) engine: Arc<Engine>,
    roles: Option<Roles>,
}

impl Working {
    /// Whether the roles run in this process, for this command alone.
    pub(super) const fn is_alone(&self) -> bool {
        self.roles.is_some()
    }

    /// Ends the work that was begun for this command alone.
    pub(super) async fn close(self) -> CliResult {
        match self.roles {
            Some(roles) => Ok(roles.stop().await?),
            None => Ok(()),
        }
    }
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
            EngineError::Topics(_) => Self::failed(error),
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
