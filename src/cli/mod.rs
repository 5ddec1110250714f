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
mod own;
mod parked;
mod progress;
mod query;
mod rebuild;
mod replay;
mod run;
mod sagas;
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
use crate::gateway::OwnRoutes;
use crate::telemetry::{Metrics, Telemetry};
use own::Invoked;
use session::Session;
use signals::Signals;

pub use error::{CliError, CliResult, Exit};
pub use output::Output;
pub use own::{Command, Console};
pub(crate) use own::{OwnCommand, OwnCommands};

#[derive(Parser, Debug)]
#[command(version, about, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    common: args::Common,
    #[command(subcommand)]
    command: EngineCommand,
}

/// What every application can do.
#[derive(Subcommand, Debug)]
enum EngineCommand {
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
    /// Aggregates whose events fail: which there are, and what becomes of them
    Parked(parked::Args),
    /// Makes a view anew beside the live one, which answers until the new one takes its place
    Rebuild(rebuild::Args),
    /// Resets a view: shows what it would do, asks, then acts
    Replay(replay::Args),
    /// The open instances of sagas; one of them; waking one
    Sagas(sagas::Args),
    /// The schemas that this release writes, and what the registry says to them
    Schemas(schemas::Args),
}

/// An example for each command; `{bin}` is the application.
const EXAMPLES: [(&str, &str); 16] = [
    ("demo", demo::EXAMPLES),
    ("replay", replay::EXAMPLES),
    ("rebuild", rebuild::EXAMPLES),
    ("parked", parked::EXAMPLES),
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
    ("sagas", sagas::EXAMPLES),
    ("schemas", schemas::EXAMPLES),
];

/// Does what the command line says.
pub(crate) fn main(app: Application, own: OwnCommands, routes: Option<OwnRoutes>) -> ExitCode {
    error::install_display();
    match parse(app.name, &own) {
        Ok((common, task)) => start(Program { app: Arc::new(app), own: Arc::new(own), routes }, common, task),
        Err(error) => Err(error),
    }
    .map_or_else(|error| error.show().into(), |()| ExitCode::SUCCESS)
}

/// An application with the commands and routes of its own.
#[derive(Clone)]
struct Program {
    app: Arc<Application>,
    own: Arc<OwnCommands>,
    routes: Option<OwnRoutes>,
}

/// What the command line asks for.
enum Task {
    Engine(EngineCommand),
    Own(Invoked),
}

/// Ends the process where the usage is wrong, or only help was asked for.
fn parse(name: &'static str, own: &OwnCommands) -> CliResult<(args::Common, Task)> {
    let matches = command(name, own)?.get_matches();
    let parsed = match own.prepare(&matches) {
        Some(invoked) => args::Common::from_arg_matches(&matches).and_then(|common| Ok((common, Task::Own(invoked?)))),
        None => Cli::from_arg_matches(&matches).map(|cli| (cli.common, Task::Engine(cli.command))),
    };
    Ok(parsed.unwrap_or_else(|error| error.exit()))
}

fn command(name: &'static str, own: &OwnCommands) -> CliResult<clap::Command> {
    let command = Cli::command().name(name).bin_name(name);
    let command = EXAMPLES.into_iter().fold(command, |command, (subcommand, examples)| {
        command.mut_subcommand(subcommand, |it| it.after_help(examples))
    });
    let with_name = |it: clap::Command| {
        let examples = it.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = format!("Examples:\n{}", examples.replace("{bin}", name));
        it.after_help(examples)
    };
    Ok(own.describe(command)?.mut_subcommands(with_name))
}

/// A worker tells what it does; other commands speak up only when something is wrong.
const fn level(common: &args::Common, task: &Task) -> tracing::Level {
    match task {
        _ if common.verbose => tracing::Level::DEBUG,
        Task::Engine(EngineCommand::Run(_)) => tracing::Level::INFO,
        _ => tracing::Level::WARN,
    }
}

fn start(program: Program, common: args::Common, task: Task) -> CliResult {
    let settings = common.settings()?;
    let log = settings.telemetry.log.as_deref().filter(|_| !common.verbose);
    let telemetry = Telemetry::start(program.app.name, level(&common, &task), log, &settings.telemetry);
    let telemetry = telemetry.map_err(CliError::usage)?;
    if matches!(task, Task::Engine(EngineCommand::Run(_))) {
        // Before anybody counts.
        Metrics::start().map_err(CliError::failed)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::failed)?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(CliError::failed)?;
        let Program { app, own, routes } = program;
        let session = Session { app, own, routes, settings, json: common.json, signals: signals.clone() };
        // A worker drains before it leaves.
        let leaves_by_itself = matches!(task, Task::Engine(EngineCommand::Run(_)));
        tokio::select! {
            ended = dispatch(task, &session) => ended,
            () = signals.asked_to_leave(), if !leaves_by_itself => Err(CliError::quiet(Exit::Interrupted)),
        }
    });
    // What still waits for a log that is away must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    telemetry.finish();
    ended
}

async fn dispatch(task: Task, session: &Session) -> CliResult {
    let command = match task {
        Task::Engine(command) => command,
        Task::Own(invoked) => return invoked.run(session).await,
    };
    match command {
        EngineCommand::Run(args) => run::run(args, session).await,
        EngineCommand::Send(args) => send::run(args, session).await,
        EngineCommand::Inspect(args) => inspect::run(args, session).await,
        EngineCommand::Tail(args) => tail::run(args, session).await,
        EngineCommand::Lag(args) => lag::run(args, session).await,
        EngineCommand::Doctor(args) => doctor::run(args, session).await,
        EngineCommand::Completions(args) => completions::run(&args, session),
        EngineCommand::Verify(args) => verify::run(args, session).await,
        EngineCommand::Query(args) => query::run(args, session).await,
        EngineCommand::Demo(args) => demo::run(args, session).await,
        EngineCommand::Parked(args) => parked::run(args, session).await,
        EngineCommand::Rebuild(args) => rebuild::run(args, session).await,
        EngineCommand::Replay(args) => replay::run(args, session).await,
        EngineCommand::Topics(args) => topics::run(args, session).await,
        EngineCommand::Sagas(args) => sagas::run(args, session).await,
        EngineCommand::Schemas(args) => schemas::run(args, session).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says hello
    #[derive(clap::Args)]
    struct Hello {
        /// To whom
        name: String,
    }

    impl super::Command for Hello {
        const NAME: &'static str = "hello";
        const EXAMPLES: &'static str = "  {bin} hello Anna";

        async fn run(self, _: Console) -> CliResult {
            Err(CliError::failed(self.name))
        }
    }

    /// Takes a name that is taken
    #[derive(clap::Args)]
    struct Send {}

    impl super::Command for Send {
        const NAME: &'static str = "send";

        async fn run(self, _: Console) -> CliResult {
            Ok(())
        }
    }

    fn with(own: OwnCommand) -> OwnCommands {
        let mut commands = OwnCommands::default();
        commands.add(own);
        commands
    }

    #[test]
    fn every_command_is_described_with_its_examples() {
        let mut described = command("app", &with(OwnCommand::of::<Hello>())).expect("no name is taken");
        described.build();
        for it in described.get_subcommands().filter(|it| it.get_name() != "help") {
            assert!(it.get_about().is_some(), "{it}");
            let help = it.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n  app "), "{it}: {help}");
        }
        let hello = described.find_subcommand("hello").expect("it was added");
        assert_eq!(hello.get_about().map(ToString::to_string).as_deref(), Some("Says hello"));
        assert_eq!(hello.get_after_help().map(ToString::to_string).as_deref(), Some("Examples:\n  app hello Anna"));
    }

    #[test]
    fn an_own_command_takes_its_arguments_and_the_flags_of_every_command() {
        let own = with(OwnCommand::of::<Hello>());
        let described = command("app", &own).expect("no name is taken");
        let matches = described.try_get_matches_from(["app", "hello", "Anna", "--json"]).expect("well-formed");
        assert!(args::Common::from_arg_matches(&matches).expect("they are there").json);
        assert!(own.prepare(&matches).expect("its own").is_ok());
    }

    #[test]
    fn an_own_command_cannot_take_a_name_of_the_engines() {
        let error = command("app", &with(OwnCommand::of::<Send>())).expect_err("taken").to_string();
        assert_eq!(error, "there is a command \"send\" already");
    }
}
