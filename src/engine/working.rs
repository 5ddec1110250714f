//! An application on whose log somebody works.

use std::sync::Arc;
use std::time::Duration;

use super::{Application, AskError, Engine, EventsError, Place, Role, RoleError, Roles};
use crate::clock;
use crate::projection::ViewError;
use crate::query::QueryError;
use crate::settings::Settings;

/// How long views may take to fold what an earlier process left to them.
const CATCH_UP: Duration = Duration::from_mins(2);

/// How long a close waits for threads that still hold the log; calls that the caller keeps hold it too.
const LET_GO: Duration = Duration::from_secs(2);
const LET_GO_PAUSE: Duration = Duration::from_millis(5);

/// Why the views do not catch up.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// The end of the log is not known.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// A view does not get there.
    #[error(transparent)]
    Query(#[from] AskError),
    /// A task of the runtime was cancelled or panicked.
    #[error("a task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl From<QueryError> for CatchUpError {
    fn from(error: QueryError) -> Self {
        Self::Query(error.into())
    }
}

impl From<ViewError> for CatchUpError {
    fn from(error: ViewError) -> Self {
        QueryError::from(error).into()
    }
}

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

    /// Waits until every view has what is in the log now, if the roles run here alone: an earlier process
    /// may have ended before its views had all that it did. Elsewhere somebody works all the time, and this
    /// comes back at once.
    pub async fn caught_up(&self) -> Result<(), CatchUpError> {
        if !self.is_alone() {
            return Ok(());
        }
        for projection in &self.engine.app.projections {
            let shapes = [Arc::new(projection.shape().map_err(ViewError::from)?)];
            let (of, followed) = (self.engine.clone(), shapes.clone());
            let ends = tokio::task::spawn_blocking(move || of.ends_of(&followed)).await??;
            drop(self.engine.views().await?.reach(&shapes, &ends, CATCH_UP).await?);
        }
        Ok(())
    }

    /// Ends the work that was begun here, and waits until nothing here holds the log any more: who opens an
    /// embedded one next is to hold it, and not to be the guest of one that is about to go.
    pub async fn close(self) -> Result<(), RoleError> {
        let Self { engine, roles } = self;
        let ended = match roles {
            Some(roles) => roles.stop().await,
            None => Ok(()),
        };
        let log = Arc::downgrade(&engine.log);
        drop(engine);
        let deadline = clock::instant() + LET_GO;
        while log.strong_count() > 0 && clock::instant() < deadline {
            clock::sleep(LET_GO_PAUSE).await;
        }
        ended
    }
}
