//! Aggregates whose commands cannot be judged: the one writer of the aggregate does what is asked about them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::error::{CliError, CliResult, Exit};
use super::super::session::{Session, Working, blocking};
use crate::command::{Client, Control, Outcome, RetryParked, SkipParked};
use crate::engine::{ParkedRow, PrepareError, WaitingRow};
use crate::schema::json::Secrets;

/// How long one step may take.
const WAIT: Duration = Duration::from_mins(1);
const COLUMNS: [&str; 8] =
    ["aggregate", "id", "partition", "commands", "command_id", "offset", "appended_at", "reason"];

pub(super) async fn list(session: &Session) -> CliResult {
    let engine = session.engine().await?;
    let rows = blocking(move || engine.parked()).await??;
    let mut output = session.output();
    if output.json || !rows.is_empty() {
        output.rows(&COLUMNS, &rows)?;
    }
    Ok(output.flush()?)
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: ParkedRow,
    waiting: Vec<WaitingRow>,
}

pub(super) async fn show(aggregate: String, id: String, session: &Session) -> CliResult {
    let engine = session.engine().await?;
    let found = blocking(move || -> CliResult<_> {
        let gate = engine.aggregate(&aggregate)?;
        gate.check_id(&id)?;
        let found = engine.parked_aggregate(gate.as_ref(), &id, Secrets::Hidden)?;
        found.ok_or_else(|| not_parked(&aggregate, &id))
    });
    let (row, waiting) = found.await??;
    let mut output = session.output();
    if output.json {
        output.json(&Shown { row, waiting })?;
    } else {
        let ParkedRow { aggregate, id, commands, offset, reason, .. } = &row;
        let reason = if reason.is_empty() { "it was not tried again yet" } else { reason };
        output.line(format!("{aggregate} {id} is parked at offset {offset}, {commands} commands wait: {reason}"))?;
        for command in &waiting {
            output.json(command)?;
        }
    }
    Ok(output.flush()?)
}

fn not_parked(aggregate: &str, id: &str) -> CliError {
    CliError::usage(format!("no command of {aggregate} {id:?} is parked"))
}

/// What was done with the commands that waited.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Released {
    judged: usize,
    skipped: usize,
    parked: usize,
    reason: Option<String>,
}

pub(super) async fn release(aggregate: String, id: String, skips: bool, session: &Session) -> CliResult {
    let working = session.working().await?;
    let released = carry_out(&working, &aggregate, &id, skips).await;
    working.close().await?;
    let released = released?;
    let mut output = session.output();
    if output.json {
        output.json(&released)?;
    } else {
        let Released { judged, skipped, parked, reason } = &released;
        let skipped = if *skipped > 0 { ", the first given up" } else { "" };
        let state = match reason {
            None => "it is parked no longer".to_owned(),
            Some(reason) => format!("{parked} go on waiting: {reason}"),
        };
        output.line(format!("{aggregate} {id}: {judged} commands judged{skipped}; {state}"))?;
    }
    output.flush()?;
    if released.parked == 0 { Ok(()) } else { Err(CliError::quiet(Exit::Failed)) }
}

/// Step by step, as many commands with each as a transaction takes.
async fn carry_out(working: &Working, aggregate: &str, id: &str, skips: bool) -> CliResult<Released> {
    let engine = working.engine.clone();
    let client = blocking(move || engine.client(1)).await??;
    let mut control = if skips { skip(working, aggregate, id).await? } else { Control::RetryParked(RetryParked {}) };
    let mut sum = Released::default();
    loop {
        let step = send(working, &client, (aggregate, id), &control).await?;
        sum.judged += step.judged;
        sum.skipped += step.skipped;
        (sum.parked, sum.reason) = (step.parked, step.reason);
        if sum.parked == 0 || sum.reason.is_some() {
            return Ok(sum);
        }
        control = Control::RetryParked(RetryParked {});
    }
}

/// Gives the first command up, which is named: somebody else may be at it too.
async fn skip(working: &Working, aggregate: &str, id: &str) -> CliResult<Control> {
    let (engine, aggregate, id) = (working.engine.clone(), aggregate.to_owned(), id.to_owned());
    let found = blocking(move || -> CliResult<_> {
        let gate = engine.aggregate(&aggregate)?;
        gate.check_id(&id)?;
        let found = engine.parked_aggregate(gate.as_ref(), &id, Secrets::Hidden)?;
        found.ok_or_else(|| not_parked(&aggregate, &id))
    });
    let command_id = found.await??.0.command_id;
    Ok(Control::SkipParked(SkipParked { command_id }))
}

async fn send(
    working: &Working,
    client: &Client,
    (aggregate, id): (&str, &str),
    control: &Control,
) -> CliResult<Released> {
    let gate = working.engine.aggregate(aggregate)?;
    let command = working.engine.prepare_control(gate.as_ref(), id, control, client.reply_to());
    let command = command.map_err(|error| match error {
        PrepareError::Input(error) => CliError::from(error),
        PrepareError::Schema(error) => error.into(),
    })?;
    match client.send(command, WAIT).await? {
        Outcome::Accepted(accepted) => {
            serde_json::from_str(accepted.data.as_deref().unwrap_or_default()).map_err(CliError::failed)
        }
        Outcome::Refused(refused) => Err(CliError::usage(refused.message)),
        Outcome::Failed(failed) => Err(CliError::failed(failed.message)),
    }
}
