//! `run`: a worker.

use std::time::Duration;

use super::error::{CliError, CliResult, Exit};
use super::session::{self, Session};
use crate::engine::{Place, Role};

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

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum RoleName {
    Commands,
    Projections,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Commands => Self::Commands,
            RoleName::Projections => Self::Projections,
        }
    }
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    let mut signals = session.signals.clone();
    let roles: Vec<Role> = args.role.into_iter().map(Role::from).collect();
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
        Place::Held if roles.is_empty() => {}
        Place::Held => {
            let error = CliError::usage("an embedded log is worked on by one process, which has every role");
            return Err(error.help("leave --role out, or use --log kafka"));
        }
    }
    let roles = if roles.is_empty() { Role::ALL.to_vec() } else { roles };
    let running = session::start(&engine, &roles).await?;
    tracing::info!(app = session.app.name, log = %session.settings.log, "working; Ctrl-C to leave");
    let mut watch = tokio::time::interval(WATCH_EVERY);
    loop {
        tokio::select! {
            () = signals.asked_to_leave() => break,
            _ = watch.tick() => if running.has_ended() { break },
        }
    }
    tracing::info!("leaving");
    Ok(running.stop().await?)
}
