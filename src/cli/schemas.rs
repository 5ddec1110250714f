//! `schemas`: what this release writes, and what the registry says to it.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::value::RawValue;

use super::error::{CliError, CliResult};
use super::session::{Session, blocking};
use crate::engine::schemas::{self, SubjectFinding, SubjectState};
use crate::schema::Released;

pub(super) const EXAMPLES: &str = "  {bin} schemas check
  {bin} schemas push --registry http://localhost:8081
  {bin} schemas check --released schemas/bank/released
  {bin} schemas show bank.account.events-value";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Fails if a schema may not follow those that are registered, or released
    Check(Place),
    /// Registers what is new, or adds it to what was released
    Push(Place),
    /// Prints the schemas
    Show {
        /// Only this subject
        subject: Option<String>,
    },
}

#[derive(clap::Args, Debug)]
struct Place {
    /// Folder of what was released before, to be used instead of the registry
    #[arg(long, value_name = "FOLDER")]
    released: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    subject: String,
    state: String,
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    match args.action {
        Action::Check(place) => check(session, place).await,
        Action::Push(place) => push(session, place).await,
        Action::Show { subject } => show(session, subject.as_deref()).await,
    }
}

async fn check(session: &Session, place: Place) -> CliResult {
    let engine = session.engine().await?;
    let states = blocking(move || match place.released {
        Some(folder) => schemas::compare_with_released(&Released::in_folder(&folder), engine.subjects()),
        None => Ok(schemas::compare(engine.registry.as_ref(), engine.subjects())?),
    });
    let states = states.await??;
    print(session, &states)?;
    let broken = states.iter().filter(|state| matches!(state.finding, SubjectFinding::Incompatible(_))).count();
    if broken == 0 { Ok(()) } else { Err(CliError::failed(format!("{broken} of the subjects are not compatible"))) }
}

async fn push(session: &Session, place: Place) -> CliResult {
    let engine = session.engine().await?;
    let states = blocking(move || match place.released {
        Some(folder) => schemas::release(&Released::in_folder(&folder), engine.subjects()),
        None => Ok(schemas::push(engine.registry.as_ref(), engine.subjects())?),
    });
    let states = states.await??;
    print(session, &states)
}

fn print(session: &Session, states: &[SubjectState]) -> CliResult {
    let rows: Vec<_> = states
        .iter()
        .map(|state| Row { subject: state.subject.name.clone(), state: state.finding.to_string() })
        .collect();
    let mut output = session.output();
    output.rows(&["subject", "state"], &rows)?;
    Ok(output.flush()?)
}

#[derive(Serialize)]
struct Shown<'a> {
    subject: &'a str,
    schema: &'a RawValue,
}

async fn show(session: &Session, only: Option<&str>) -> CliResult {
    let engine = session.engine().await?;
    let subjects = engine.subjects();
    if let Some(name) = only
        && !subjects.iter().any(|subject| subject.name == name)
    {
        let hint = crate::engine::suggest(name, subjects.iter().map(|subject| subject.name.as_str()));
        return Err(CliError::usage(format!("there is no subject {name:?}{hint}")));
    }
    let mut output = session.output();
    for subject in subjects.iter().filter(|subject| only.is_none_or(|name| subject.name == name)) {
        let schema: &RawValue = serde_json::from_str(&subject.schema).map_err(CliError::failed)?;
        output.json(&Shown { subject: &subject.name, schema })?;
    }
    Ok(output.flush()?)
}
