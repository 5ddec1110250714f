//! `send`: one command, or many.

mod line;
mod many;

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::error::{CliError, CliResult, Exit};
use super::session::{Session, Working, blocking};
use crate::clock::Timestamp;
use crate::command::{Answer, Client, Outcome};
use crate::engine::{BadInput, CommandInput, PrepareError};
use crate::position::Version;
use crate::settings::Period;

pub(super) const EXAMPLES: &str = "  {bin} send account 000001 DepositFunds '{\"amount\":\"10.00\"}'
  {bin} send account 000001 WithdrawFunds '{\"amount\":\"10.00\"}' --expect 7
  zcat commands.jsonl.gz | {bin} send account --internal --issued-at 2026-01-31T12:00:00Z --from -";

/// How long one command waits for its outcome.
const WAIT: Duration = Duration::from_secs(5);
/// Of many commands each waits longer: those sent before it come first.
const WAIT_OF_MANY: Duration = Duration::from_mins(2);

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The aggregate's type, for example account
    aggregate: String,
    /// The aggregate's id
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    id: Option<String>,
    #[arg(required_unless_present = "from", help = "The command, for example DepositFunds")]
    command: Option<String>,
    /// Its fields as JSON
    data: Option<String>,
    /// Many commands, one JSON object a line, from a file or from standard input (-)
    ///
    /// A line is {"id": …, "command": …, "data": {…}}; it may have `aggregate`, `command_id`, `issued_at` and
    /// `expect` as well.
    #[arg(long, value_name = "FILE")]
    from: Option<String>,
    /// Names the command: a repeat is answered with the first outcome
    #[arg(long, value_name = "UUID", conflicts_with = "from")]
    command_id: Option<Uuid>,
    /// Judge it only if the aggregate stands at this version
    #[arg(long, value_name = "VERSION", conflicts_with = "from")]
    expect: Option<i64>,
    /// When it was issued, for ids that do not say so themselves
    ///
    /// Lines of a file without a `command_id` get ids made of this time, their number and their text: the same
    /// file sent again with the same time is recognised.
    #[arg(long, value_name = "TIME")]
    issued_at: Option<Timestamp>,
    /// Lets commands through that only the engine sends
    #[arg(long)]
    internal: bool,
    /// How long to wait for an outcome: 500ms, 5s, 2m [default: 5s; of a file 2m]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Period>,
    /// The most commands under way at once
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    in_flight: u32,
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    if let Some(from) = args.from.clone() {
        return many::run(args, &from, session).await;
    }
    let wait = args.timeout.map_or(WAIT, |period| period.0);
    let input = input(args)?;
    let working = session.working().await?;
    let sent = send(&working, input, wait).await;
    let (aggregate, id, command_id, outcome) = match sent {
        Ok(sent) => sent,
        Err(error) => {
            working.close().await?;
            return Err(error);
        }
    };
    let mut output = session.output();
    output.json(&Answer { aggregate: &aggregate, id: &id, command_id, outcome: &outcome })?;
    output.flush()?;
    working.close().await?;
    Exit::of(&outcome).map_or(Ok(()), |exit| Err(CliError::quiet(exit)))
}

fn input(args: Args) -> CliResult<CommandInput> {
    let data = match &args.data {
        None => Value::Object(serde_json::Map::new()),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| CliError::usage(format!("the command's fields are malformed JSON: {error}")))?,
    };
    let expect = match args.expect {
        Some(version) if version < 0 => return Err(CliError::usage("--expect must be a version: 0, 1, 2 …")),
        expect => expect.map(Version),
    };
    Ok(CommandInput {
        aggregate: args.aggregate,
        id: args.id.unwrap_or_default(),
        command: args.command.unwrap_or_default(),
        data,
        command_id: args.command_id,
        issued_at: args.issued_at,
        expect,
        internal: args.internal,
    })
}

async fn send(working: &Working, input: CommandInput, wait: Duration) -> CliResult<(String, String, Uuid, Outcome)> {
    let (aggregate, id) = (input.aggregate.clone(), input.id.clone());
    let client = open_client(working, 1).await?;
    let command = working.engine.prepare(input, Some(client.reply_to())).map_err(of_fields)?;
    let command_id = command.command_id;
    let outcome = client.send(command, wait).await?;
    Ok((aggregate, id, command_id, outcome))
}

/// On the command line the JSON given is the command's fields themselves.
fn of_fields(error: PrepareError) -> CliError {
    match error {
        PrepareError::Input(BadInput { pointer, rule }) => {
            BadInput::at(pointer.strip_prefix("/data").unwrap_or(&pointer), rule).into()
        }
        PrepareError::Schema(error) => error.into(),
    }
}

async fn open_client(working: &Working, in_flight: usize) -> CliResult<Client> {
    let engine = working.engine.clone();
    Ok(blocking(move || engine.client(in_flight)).await??)
}
