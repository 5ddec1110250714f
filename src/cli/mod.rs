//! The command line that every application has.
//!
//! Data goes to standard output, everything else to standard error; each file below is one command.
//! The only place that knows how the process ends: every error becomes one of the exit codes here.

mod args;
mod completions;
mod demo;
mod doctor;
mod error;
mod inspect;
mod lag;
mod output;
mod progress;
mod query;
mod replay;
mod run;
mod schemas;
mod send;
mod session;
mod signals;
mod tail;
mod topics;
mod verify;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::engine::Application;
use crate::telemetry;
use error::{CliError, CliResult, Exit};
use session::Session;
use signals::Signals;

#[derive(Parser, Debug)]
#[command(version, about, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    common: args::Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Everything in one process, with a load, and whether all holds; needs nothing installed
    Demo(demo::Args),
    /// Works until it is told to leave: all roles, or those asked for
    Run(run::Args),
    /// Sends one command, or many, and waits for what becomes of them
    Send(send::Args),
    /// Asks a view
    Query(query::Args),
    /// The state of one aggregate as folded from the log, at any moment
    Inspect(inspect::Args),
    /// Events as JSON lines, as they come
    Tail(tail::Args),
    /// How far each group is behind
    Lag(lag::Args),
    /// Audits the whole log: whether what must always hold does hold
    Verify(verify::Args),
    /// Whether everything is there that workers need: each line ok, or what to do
    Doctor(doctor::Args),
    /// What a shell needs to complete this command line
    Completions(completions::Args),
    /// What is missing of the topics, or differs; creates them
    Topics(topics::Args),
    /// Resets a view: shows what it would do, asks, then acts
    Replay(replay::Args),
    /// The schemas that this release writes, and what the registry says to them
    Schemas(schemas::Args),
}

/// An example for each command; `{bin}` is the application.
const EXAMPLES: [(&str, &str); 13] = [
    ("demo", demo::EXAMPLES),
    ("replay", replay::EXAMPLES),
    ("query", query::EXAMPLES),
    ("verify", verify::EXAMPLES),
    ("lag", lag::EXAMPLES),
    ("doctor", doctor::EXAMPLES),
    ("completions", completions::EXAMPLES),
    ("run", run::EXAMPLES),
    ("send", send::EXAMPLES),
    ("inspect", inspect::EXAMPLES),
    ("tail", tail::EXAMPLES),
    ("topics", topics::EXAMPLES),
    ("schemas", schemas::EXAMPLES),
];

/// Does what the command line says.
pub fn main(app: Application) -> ExitCode {
    error::install_display();
    let cli = parse(&app);
    telemetry::init(level(&cli));
    match start(Arc::new(app), cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.show().into(),
    }
}

/// Ends the process where the usage is wrong, or only help was asked for.
fn parse(app: &Application) -> Cli {
    let matches = command(app.name).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn command(name: &'static str) -> clap::Command {
    let mut command = Cli::command().name(name).bin_name(name);
    for (subcommand, examples) in EXAMPLES {
        let examples = format!("Examples:\n{}", examples.replace("{bin}", name));
        command = command.mut_subcommand(subcommand, |it| it.after_help(examples));
    }
    command
}

/// A worker tells what it does; other commands speak up only when something is wrong.
const fn level(cli: &Cli) -> tracing::Level {
    match cli {
        Cli { common: args::Common { verbose: true, .. }, .. } => tracing::Level::DEBUG,
        Cli { command: Command::Run(_), .. } => tracing::Level::INFO,
        _ => tracing::Level::WARN,
    }
}

fn start(app: Arc<Application>, cli: Cli) -> CliResult {
    let settings = cli.common.settings()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::failed)?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(CliError::failed)?;
        let session = Session { app, settings, json: cli.common.json, signals: signals.clone() };
        // A worker drains before it leaves.
        let leaves_by_itself = matches!(cli.command, Command::Run(_));
        tokio::select! {
            ended = dispatch(cli.command, &session) => ended,
            () = signals.asked_to_leave(), if !leaves_by_itself => Err(CliError::quiet(Exit::Interrupted)),
        }
    });
    // What still waits for a log that is away must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended
}

async fn dispatch(command: Command, session: &Session) -> CliResult {
    match command {
        Command::Run(args) => run::run(args, session).await,
        Command::Send(args) => send::run(args, session).await,
        Command::Inspect(args) => inspect::run(args, session).await,
        Command::Tail(args) => tail::run(args, session).await,
        Command::Lag(args) => lag::run(args, session).await,
        Command::Doctor(args) => doctor::run(args, session).await,
        Command::Completions(args) => completions::run(&args, session),
        Command::Verify(args) => verify::run(args, session).await,
        Command::Query(args) => query::run(args, session).await,
        Command::Demo(args) => demo::run(args, session).await,
        Command::Replay(args) => replay::run(args, session).await,
        Command::Topics(args) => topics::run(args, session).await,
        Command::Schemas(args) => schemas::run(args, session).await,
    }
}
