//! `run`: a worker.

use std::time::Duration;

use super::error::{CliError, CliResult, Exit};
use super::session::{self, Session};
use crate::engine::{self, Place, Role};
use crate::gateway::{self, Gateway, GatewayError};

pub(super) const EXAMPLES: &str = "  {bin} run
  {bin} run --log kafka --registry http://localhost:8081 --role commands";

/// How often a worker looks whether one of its roles has ended by itself.
const WATCH_EVERY: Duration = Duration::from_millis(200);

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Only this role; may be given more than once
    #[arg(long, value_name = "ROLE", value_enum)]
    role: Vec<RoleName>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum RoleName {
    Commands,
    Sagas,
    Projections,
    Gateway,
}

impl RoleName {
    /// The gateway is none of the engine's roles: it calls the engine as applications do.
    const fn of_engine(self) -> Option<Role> {
        match self {
            Self::Commands => Some(Role::Commands),
            Self::Sagas => Some(Role::Sagas),
            Self::Projections => Some(Role::Projections),
            Self::Gateway => None,
        }
    }
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    let mut signals = session.signals.clone();
    let has_gateway = args.role.is_empty() || args.role.contains(&RoleName::Gateway);
    let engine = tokio::select! {
        engine = session.engine() => engine?,
        () = signals.asked_to_leave() => return Err(CliError::quiet(Exit::Interrupted)),
    };
    match engine.place {
        Place::Cluster => {}
        Place::Served => {
            let error = CliError::failed(format!("another process works on {} already", session.settings.log));
            return Err(error.help("send, query and the other commands go through it"));
        }
        Place::Held if args.role.is_empty() => {}
        Place::Held => {
            let error = CliError::usage("an embedded log is worked on by one process, which has every role");
            return Err(error.help("leave --role out, or use --log kafka"));
        }
    }
    let asked = args.role.iter().copied().filter_map(RoleName::of_engine);
    let roles = if args.role.is_empty() { Role::ALL.to_vec() } else { asked.collect() };
    let watching = engine::health::watch(engine.clone());
    let asked_at = if has_gateway && engine.settings.health.listen.is_none() {
        None
    } else {
        gateway::health::serve(&engine.settings.health, engine.health.clone())
            .await
            .map_err(|error| CliError::failed(error).help("set health.listen to another address"))?
    };
    let running = session::start(&engine, &roles).await?;
    let gateway = if has_gateway { Some(Gateway::start(&engine, session.routes.clone()).await?) } else { None };
    tracing::info!(app = session.app.name, log = %session.settings.log, "working; Ctrl-C to leave");
    let mut watch = tokio::time::interval(WATCH_EVERY);
    loop {
        tokio::select! {
            () = signals.asked_to_leave() => break,
            _ = watch.tick() => {
                running.look(&engine);
                if running.has_ended() { break }
            }
        }
    }
    tracing::info!("leaving");
    engine.health.leave();
    if let Some(gateway) = gateway {
        // What it is still asked may need the other roles of this process.
        gateway.stop().await;
    }
    let stopped = running.stop().await;
    watching.abort();
    drop(asked_at);
    Ok(stopped?)
}

impl From<GatewayError> for CliError {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Engine(error) => error.into(),
            GatewayError::Schema(error) => error.into(),
            GatewayError::Serve(error) => Self::failed(error),
        }
    }
}
