//! An application on whose log somebody works.

use std::sync::Arc;

use super::{Application, Engine, Place, Role, RoleError, Roles};
use crate::settings::Settings;

/// An application, connected to a log on which somebody works: where this process holds the embedded log
/// itself nobody else can, so all roles run here for as long as the value lives.
pub struct Working {
    /// The application, connected.
    pub engine: Arc<Engine>,
    roles: Option<Roles>,
}

impl Working {
    /// Connects, and starts the roles where nobody else can work.
    pub async fn begin(app: Arc<Application>, settings: Settings) -> Result<Self, RoleError> {
        let engine = tokio::task::spawn_blocking(move || Engine::connect(app, settings)).await??;
        let engine = Arc::new(engine);
        let alone = engine.place == Place::Held;
        let roles = if alone { Some(Roles::start(&engine, &Role::ALL).await?) } else { None };
        Ok(Self { engine, roles })
    }

    /// Whether the roles run in this process, for its own use.
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        self.roles.is_some()
    }

    /// Ends the work that was begun here.
    pub async fn close(self) -> Result<(), RoleError> {
        match self.roles {
            Some(roles) => roles.stop().await,
            None => Ok(()),
        }
    }
}
