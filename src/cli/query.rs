//! `query`: asks a view.

use std::io::IsTerminal;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::{CliError, CliResult};
use super::session::{Session, Working, blocking};
use crate::engine::{AskError, QueryType};
use crate::position::Position;
use crate::projection::ViewError;
use crate::query::Answer;
use crate::settings::Period;

pub(super) const EXAMPLES: &str = "  {bin} query AccountSummary '{\"account_id\":\"000001\"}'
  {bin} query AccountSummary '{\"account_id\":\"000001\"}' --at account/3:1042
  {bin} query BankStats --json";

const WAIT: Duration = Duration::from_secs(5);
/// Of roles that were started for this query alone: they may have much to fold.
const WAIT_ALONE: Duration = Duration::from_mins(2);

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The query, for example `BankStats`
    #[arg(help = "The query, for example BankStats")]
    name: String,
    /// Its fields as JSON
    fields: Option<String>,
    /// Waits until the view has this position; may be given more than once
    #[arg(long, value_name = "POSITION")]
    at: Vec<Position>,
    /// How long to wait for it: 500ms, 5s, 2m
    #[arg(long, value_name = "TIME")]
    timeout: Option<Period>,
}

/// All that is to be known of an answer, for programs.
#[derive(Serialize)]
struct Shown {
    answer: Option<Value>,
    positions: Vec<Position>,
    /// How many aggregates are parked: what the view says of them stands still.
    parked: u64,
    /// Whether the view was reset to something else than its first event.
    partial: bool,
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    let query = session.app.find_query(&args.name)?.clone();
    let fields = match &args.fields {
        None => Value::Object(Map::new()),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| CliError::usage(format!("the query's fields are malformed JSON: {error}")))?,
    };
    let working = session.working().await?;
    let answer = ask(&working, query.as_ref(), fields, args.at, args.timeout).await;
    working.close().await?;
    show(session, answer?)
}

async fn ask(
    working: &Working,
    query: &dyn QueryType,
    fields: Value,
    mut at: Vec<Position>,
    timeout: Option<Period>,
) -> CliResult<Answer<Value>> {
    let engine = working.engine.clone();
    let views = engine.views().await?;
    let mut wait = WAIT;
    if working.is_alone() {
        // What an earlier command did is not yet in the views if that command ended before they had it.
        let (of, shapes) = (engine.clone(), query.shapes().map_err(ViewError::from)?);
        at.extend(blocking(move || of.ends_of(&shapes)).await??);
        wait = WAIT_ALONE;
    }
    Ok(query.ask(views, fields, &at, timeout.map_or(wait, |period| period.0)).await?)
}

fn show(session: &Session, answer: Answer<Value>) -> CliResult {
    let Answer { answer, positions, flags, .. } = answer;
    if flags.parked > 0 {
        tracing::warn!(parked = flags.parked, "the view has parked aggregates, of which it tells old news");
    }
    if flags.partial {
        tracing::warn!("the view was reset to something else than its first event: something may be missing in it");
    }
    let is_there = answer.is_some();
    let mut output = session.output();
    if output.json {
        output.json(&Shown { answer, positions, parked: flags.parked, partial: flags.partial })?;
    } else if let Some(answer) = answer {
        if std::io::stdout().is_terminal() {
            output.line(serde_json::to_string_pretty(&answer).map_err(CliError::failed)?)?;
        } else {
            output.json(&answer)?;
        }
    }
    output.flush()?;
    if is_there { Ok(()) } else { Err(CliError::failed("there is no such thing")) }
}

impl From<AskError> for CliError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Input(error) => error.into(),
            AskError::Query(error) if error.is_bad_input() => Self::usage(error),
            AskError::Query(error) if error.is_temporary() => Self::temporary(error),
            AskError::Query(error) => Self::failed(error),
        }
    }
}

impl From<ViewError> for CliError {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Address(_) => Self::usage(error),
            _ if error.is_temporary() => Self::temporary(error),
            _ => Self::failed(error),
        }
    }
}
