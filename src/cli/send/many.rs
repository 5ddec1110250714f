//! `send --from`: many commands, pipelined; one outcome a line, in the order of the input.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use serde::Serialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::line::{self, Defaults};
use super::{Args, WAIT_OF_MANY, open_client};
use crate::cli::error::{CliError, CliResult, Exit};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::session::{Session, Working};
use crate::clock;
use crate::command::{Answer, Client, ClientError, Outcome, Pending};
use crate::engine::{BadInput, PrepareError};

/// The longest line that is read, in bytes: no command is longer than a record.
const LONGEST_LINE: u64 = 1024 * 1024;
/// Lines read ahead of what is sent.
const LINES_AHEAD: usize = 1000;

/// A line of the input: text, or why it is none.
type Line = Result<String, BadInput>;

/// What was done with a line, to be shown in the order of the input.
struct Sent {
    line: u64,
    aggregate: String,
    id: String,
    what: Result<Pending, Unsent>,
}

enum Unsent {
    Bad(BadInput),
    Not(Uuid, ClientError),
}

pub(super) async fn run(args: Args, from: &str, session: &Session) -> CliResult {
    let lines = read(from)?;
    let working = session.working().await?;
    let shown = pipe(args, lines, &working, session.output()).await;
    working.close().await?;
    shown
}

async fn pipe(args: Args, lines: mpsc::Receiver<Line>, working: &Working, output: Output) -> CliResult {
    let in_flight = usize::try_from(args.in_flight).unwrap_or(usize::MAX);
    let wait = args.timeout.map_or(WAIT_OF_MANY, |period| period.0);
    let client = Arc::new(open_client(working, in_flight).await?);
    let defaults = Defaults { aggregate: args.aggregate, issued_at: args.issued_at, internal: args.internal };
    let (sent, pending) = mpsc::channel(in_flight);
    let showing = tokio::spawn(show(pending, output));
    submit(lines, &defaults, working, &client, wait, &sent).await?;
    drop(sent);
    showing.await?
}

/// Reads lines on a thread of its own: a pipe blocks.
fn read(from: &str) -> CliResult<mpsc::Receiver<Line>> {
    let input: Box<dyn Read + Send> = if from == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(from).map_err(|error| CliError::usage(format!("{from}: {error}")))?)
    };
    let (lines, received) = mpsc::channel(LINES_AHEAD);
    let work = move || {
        let mut input = BufReader::new(input);
        while let Some(line) = next_line(&mut input) {
            let ends = line.is_err();
            if lines.blocking_send(line).is_err() || ends {
                return;
            }
        }
    };
    std::thread::Builder::new().name("input".to_owned()).spawn(work).map_err(CliError::failed)?;
    Ok(received)
}

/// Nothing after a line that cannot be read is read: where it ends is unknown.
fn next_line(input: &mut impl BufRead) -> Option<Line> {
    let mut line = Vec::new();
    match input.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut line) {
        Ok(0) => None,
        Ok(_) if line.len() as u64 > LONGEST_LINE => {
            Some(Err(BadInput::at("", format!("is longer than {LONGEST_LINE} bytes; what follows it was not read"))))
        }
        Ok(_) => Some(Ok(String::from_utf8_lossy(&line).trim_end().to_owned())),
        Err(error) => Some(Err(BadInput::at("", format!("cannot be read: {error}")))),
    }
}

async fn submit(
    mut lines: mpsc::Receiver<Line>,
    defaults: &Defaults,
    working: &Working,
    client: &Client,
    wait: Duration,
    sent: &mpsc::Sender<Sent>,
) -> CliResult {
    // A command of an aggregate must not overtake one that was lost before it.
    let order = client.order();
    let mut number = 0;
    while let Some(line) = lines.recv().await {
        number += 1;
        let input = match line {
            Ok(text) if text.is_empty() => continue,
            Ok(text) => line::parse(&text, number, defaults),
            Err(bad) => Err(bad),
        };
        let (aggregate, id, what) = match input {
            Err(bad) => (String::new(), String::new(), Err(Unsent::Bad(bad))),
            Ok(input) => {
                let (aggregate, id) = (input.aggregate.clone(), input.id.clone());
                let what = match working.engine.prepare(input, Some(client.reply_to())) {
                    Err(PrepareError::Input(bad)) => Err(Unsent::Bad(bad)),
                    Err(PrepareError::Schema(error)) => return Err(error.into()),
                    Ok(command) => {
                        let command_id = command.command_id;
                        client.submit_in(order, command, wait).await.map_err(|error| Unsent::Not(command_id, error))
                    }
                };
                (aggregate, id, what)
            }
        };
        if sent.send(Sent { line: number, aggregate, id, what }).await.is_err() {
            // Nobody reads the outcomes any more; why is said by who read them.
            break;
        }
    }
    Ok(())
}

/// How many lines ended how.
#[derive(Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    failed: u64,
    unanswered: u64,
}

async fn show(mut sent: mpsc::Receiver<Sent>, mut output: Output) -> CliResult {
    let begun = clock::instant();
    let mut progress = (!std::io::stdout().is_terminal()).then(|| Progress::new("sent", None));
    let mut tally = Tally::default();
    loop {
        let next = if let Ok(next) = sent.try_recv() {
            Some(next)
        } else {
            output.flush()?;
            sent.recv().await
        };
        let Some(next) = next else { break };
        show_one(next, &mut output, &mut tally).await?;
        if let Some(progress) = &mut progress {
            progress.add(1);
        }
    }
    output.flush()?;
    drop(progress);
    let Tally { accepted, refused, failed, unanswered } = tally;
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!(
        "{} sent in {seconds:.1} s: {accepted} accepted, {refused} refused, {failed} failed, {unanswered} unanswered",
        accepted + refused + failed + unanswered
    );
    if failed + unanswered > 0 { Err(CliError::quiet(Exit::Failed)) } else { Ok(()) }
}

/// What stands in place of an outcome where there is none.
#[derive(Serialize)]
struct NoOutcome<'a> {
    outcome: &'static str,
    line: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    aggregate: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_id: Option<Uuid>,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
}

async fn show_one(sent: Sent, output: &mut Output, tally: &mut Tally) -> CliResult {
    let Sent { line, aggregate, id, what } = sent;
    let (command_id, ended) = match what {
        Ok(pending) => (pending.command_id(), wait_for(pending, output).await?),
        Err(Unsent::Not(command_id, error)) => (command_id, Err(error)),
        Err(Unsent::Bad(bad)) => {
            tally.failed += 1;
            let message = format!("line {line}: {bad}");
            let pointer = Some(bad.pointer.as_str());
            let (outcome, code, command_id) = ("failed", "bad_input", None);
            output.json(&NoOutcome {
                outcome,
                line,
                aggregate: &aggregate,
                id: &id,
                command_id,
                code,
                message,
                pointer,
            })?;
            return Ok(());
        }
    };
    match ended {
        Ok(outcome) => {
            match &outcome {
                Outcome::Accepted(_) => tally.accepted += 1,
                Outcome::Refused(_) => tally.refused += 1,
                Outcome::Failed(_) => tally.failed += 1,
            }
            output.json(&Answer { aggregate: &aggregate, id: &id, command_id, outcome: &outcome })?;
        }
        Err(error) => {
            let message = format!("line {line}: {error}");
            let (outcome, code) = match error {
                ClientError::NotSent { reason, .. } if !reason.is_temporary() => ("failed", "not_sent"),
                _ => ("unknown", "unanswered"),
            };
            *(if outcome == "failed" { &mut tally.failed } else { &mut tally.unanswered }) += 1;
            let (command_id, pointer) = (Some(command_id), None);
            output.json(&NoOutcome {
                outcome,
                line,
                aggregate: &aggregate,
                id: &id,
                command_id,
                code,
                message,
                pointer,
            })?;
        }
    }
    Ok(())
}

/// Hands on what is written so far before it waits.
async fn wait_for(pending: Pending, output: &mut Output) -> CliResult<Result<Outcome, ClientError>> {
    let mut outcome = Box::pin(pending.outcome());
    if let Some(ended) = (&mut outcome).now_or_never() {
        return Ok(ended);
    }
    output.flush()?;
    Ok(outcome.await)
}
