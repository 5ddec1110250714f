//! `sagas`: the open instances, one of them, and waking one.

use std::time::Duration;

use serde::Serialize;

use super::error::{CliError, CliResult, Exit};
use super::output::{Output, secrets};
use super::session::{Session, blocking};
use crate::engine::{InstanceRow, SagasError};
use crate::log::StallError;
use crate::settings::Period;

pub(super) const EXAMPLES: &str = "  {bin} sagas ls
  {bin} sagas show transfer 000001/t1
  {bin} sagas wake transfer 000001/t1";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Every open instance, the oldest first
    Ls {
        /// Only of this saga
        saga: Option<String>,
    },
    /// One instance, with its state and the steps that it waits for
    Show {
        /// The saga
        saga: String,
        /// The instance
        id: String,
        /// Shows fields that are secret
        #[arg(long)]
        reveal: bool,
    },
    /// Issues the steps of an instance that wait for their time anew at once
    Wake {
        /// The saga
        saga: String,
        /// The instance
        id: String,
    },
}

const COLUMNS: [&str; 6] = ["saga", "id", "age", "steps", "waits_for", "next"];

#[derive(Serialize)]
struct Row {
    saga: &'static str,
    id: String,
    age: String,
    steps: i64,
    waits_for: String,
    next: Option<String>,
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    match args.action {
        Action::Ls { saga } => list(saga, session).await,
        Action::Show { saga, id, reveal } => show(saga, id, reveal, session).await,
        Action::Wake { saga, id } => wake(saga, id, session).await,
    }
}

async fn list(saga: Option<String>, session: &Session) -> CliResult {
    let engine = session.engine().await?;
    let now = engine.clock.now();
    let open = blocking(move || -> CliResult<_> {
        saga.as_deref().map(|saga| engine.saga(saga).map(drop)).transpose()?;
        Ok(engine.open_instances(saga.as_deref(), secrets(false))?)
    });
    let open = open.await??;
    let mut output = session.output();
    if output.json {
        open.iter().try_for_each(|row| output.json(row))?;
    } else {
        let row = |it: &InstanceRow| Row {
            saga: it.saga,
            id: it.id.clone(),
            age: rounded(now.since(it.started_at)),
            steps: it.steps,
            waits_for: waits_for(it),
            next: it.next_at.map(|at| at.to_string()),
        };
        output.rows(&COLUMNS, &open.iter().map(row).collect::<Vec<_>>())?;
    }
    Ok(output.flush()?)
}

/// In a unit in which it is a number of at most some digits.
fn rounded(age: Duration) -> String {
    const UNITS: [u64; 3] = [86_400, 3600, 60];
    let seconds = age.as_secs();
    let unit = UNITS.into_iter().find(|unit| seconds >= 10 * unit).unwrap_or(1);
    Period(Duration::from_secs(seconds - seconds % unit)).to_string()
}

fn waits_for(row: &InstanceRow) -> String {
    let step = |step: &crate::engine::StepRow| {
        let name = step.step.as_str().map_or_else(|| step.step.to_string(), str::to_owned);
        let attempt = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
        format!("{name}: {} {}{attempt}", step.aggregate, step.aggregate_id)
    };
    let steps: Vec<_> = row.under_way.iter().map(step).collect();
    match (steps.is_empty(), row.deadline) {
        (false, _) => steps.join(", "),
        (true, Some(_)) => "its deadline".to_owned(),
        (true, None) => "an event".to_owned(),
    }
}

async fn show(saga: String, id: String, reveal: bool, session: &Session) -> CliResult {
    let engine = session.engine().await?;
    let found = blocking(move || -> CliResult<_> {
        let gate = engine.saga(&saga)?;
        let found = engine.instance(gate.as_ref(), &id, secrets(reveal))?;
        found.ok_or_else(|| missing(&saga, &id))
    });
    print(&found.await??, session.output())
}

fn missing(saga: &str, id: &str) -> CliError {
    CliError::failed(format!("{saga} has no instance {id:?}, or it ended long ago"))
}

fn print(row: &InstanceRow, mut output: Output) -> CliResult {
    if output.json {
        output.json(row)?;
    } else {
        output.line(serde_json::to_string_pretty(row).map_err(CliError::failed)?)?;
    }
    Ok(output.flush()?)
}

async fn wake(saga: String, id: String, session: &Session) -> CliResult {
    let working = session.working().await?;
    let engine = working.engine.clone();
    let woken = blocking(move || -> CliResult<_> {
        let gate = engine.saga(&saga)?;
        let open = engine.instance(gate.as_ref(), &id, secrets(false))?.filter(|row| row.ended_at.is_none());
        if open.is_none() {
            return Err(CliError::failed(format!("{saga} has no open instance {id:?}")));
        }
        engine.wake(gate.as_ref(), &id)?;
        engine.instance(gate.as_ref(), &id, secrets(false))?.ok_or_else(|| missing(&saga, &id))
    });
    let woken = woken.await?;
    working.close().await?;
    print(&woken?, session.output())
}

impl From<SagasError> for CliError {
    fn from(error: SagasError) -> Self {
        match error {
            SagasError::Input(error) => error.into(),
            SagasError::Stalled(StallError::Log(error)) => error.into(),
            SagasError::Schema(error) => error.into(),
            SagasError::Unheard(_) => Self::new(Exit::Temporary, error),
            SagasError::Stalled(_) | SagasError::Instance(_) => Self::failed(error),
        }
    }
}
