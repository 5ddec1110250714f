//! `inspect`: the state of one aggregate as folded from the log, at any moment.

use serde::Serialize;
use serde_json::Value;

use super::error::{CliError, CliResult, Exit};
use super::session::{Session, blocking};
use crate::clock::Timestamp;
use crate::engine::{EventRow, EventsError, Inspected, Until};
use crate::log::{LogError, StallError};
use crate::position::{Partition, Position, Version};

pub(super) const EXAMPLES: &str = "  {bin} inspect account 000001
  {bin} inspect account 000001 --at 7 --history
  {bin} inspect account 000001 --at 2026-01-31T12:00:00Z
  {bin} inspect account 000001 --at account/3:1042";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The aggregate's type, for example account
    aggregate: String,
    /// The aggregate's id
    id: String,
    /// As it was at this version, at this time, or at this position of its partition
    #[arg(long, value_name = "VERSION|TIME|POSITION", value_parser = moment)]
    at: Option<Moment>,
    /// The events that made it as well
    #[arg(long)]
    history: bool,
    /// Shows fields that are secret
    #[arg(long)]
    reveal: bool,
}

/// A moment in the life of an aggregate.
#[derive(Clone, Debug)]
enum Moment {
    Version(Version),
    Time(Timestamp),
    Position(Position),
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(version) = text.parse::<i64>() {
        let version = (version >= 0).then_some(Moment::Version(Version(version)));
        return version.ok_or_else(|| "a version is not negative".to_owned());
    }
    let time = || text.parse().map(Moment::Time);
    text.parse().map(Moment::Position).or_else(|_| time()).map_err(|_| {
        "write a version, a time such as 2026-01-31T12:00:00Z, or a position such as account/3:1042".to_owned()
    })
}

/// A position says something of an aggregate only if it is of its own partition.
fn until(at: Option<Moment>, aggregate: &str, partition: Partition) -> CliResult<Until> {
    Ok(match at {
        None => Until::Now,
        Some(Moment::Version(version)) => Until::Version(version),
        Some(Moment::Time(time)) => Until::Time(time),
        Some(Moment::Position(at)) if at.aggregate == aggregate && at.partition == partition => {
            Until::Sequence(at.sequence)
        }
        Some(Moment::Position(at)) => {
            let what =
                format!("the position {at} is foreign to this aggregate, whose events are in {aggregate}/{partition}");
            return Err(CliError::usage(what));
        }
    })
}

#[derive(Serialize)]
struct Shown {
    aggregate: String,
    id: String,
    version: Version,
    position: Option<Position>,
    state: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<EventRow>>,
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    let Args { aggregate, id, at, history, reveal } = args;
    let secrets = super::output::secrets(reveal);
    let engine = session.engine().await?;
    let shown = blocking(move || -> CliResult<Shown> {
        let gate = engine.aggregate(&aggregate)?;
        gate.check_id(&id)?;
        let until = until(at, &aggregate, engine.partition_of(&id))?;
        let asked = if let Until::Version(asked) = until { asked } else { Version::NONE };
        let mut events = history.then(Vec::new);
        let keep = |row| {
            if let Some(events) = &mut events {
                events.push(row);
            }
        };
        let Inspected { version, position, state } = engine.inspect(gate.as_ref(), &id, until, secrets, keep)?;
        if asked > version {
            let what = format!("{aggregate} {id:?} stands at version {version}: there is no version {asked}");
            return Err(CliError::failed(what));
        }
        Ok(Shown { aggregate, id, version, position, state, history: events })
    })
    .await??;
    show(session, &shown)
}

#[derive(Serialize)]
struct HistoryRow<'a> {
    version: Version,
    occurred_at: String,
    event: &'a str,
    data: String,
    command_id: String,
}

fn show(session: &Session, shown: &Shown) -> CliResult {
    let mut output = session.output();
    if output.json {
        output.json(shown)?;
        return Ok(output.flush()?);
    }
    let position = shown.position.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
    output.line(format!("{} {} at version {}{position}", shown.aggregate, shown.id, shown.version))?;
    output.line(serde_json::to_string_pretty(&shown.state).map_err(CliError::failed)?)?;
    if shown.version == Version::NONE {
        eprintln!("it has no events: nothing has happened to it yet");
    }
    if let Some(events) = &shown.history {
        let rows: Vec<_> = events
            .iter()
            .map(|row| HistoryRow {
                version: row.version,
                occurred_at: row.occurred_at.to_string(),
                event: row.event,
                data: row.data.to_string(),
                command_id: row.command_id.to_string(),
            })
            .collect();
        output.rows(&["version", "occurred_at", "event", "data", "command_id"], &rows)?;
    }
    Ok(output.flush()?)
}

impl From<EventsError> for CliError {
    fn from(error: EventsError) -> Self {
        let exit = match &error {
            EventsError::Stalled(StallError::Log(error)) if LogError::is_temporary(error) => Exit::Temporary,
            _ => Exit::Failed,
        };
        Self::new(exit, error)
    }
}
