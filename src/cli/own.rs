//! Commands of an application's own, beside those that every application has.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use clap::ArgMatches;
use tokio::sync::OnceCell;

use super::error::{CliError, CliResult};
use super::output::Output;
use super::session::{Session, Working, blocking};
use crate::engine::{Calls, Engine};
use crate::settings::Settings;

/// A command of an application's own, added by [`App::command`](crate::App::command).
///
/// It derives `clap::Args`: its fields are the command's arguments, its documentation is the help, and
/// the flags of every command (`--log`, `--json` …) are there already.
///
/// ```
/// use headwater::cli::{CliResult, Command, Console};
///
/// /// Says hello
/// #[derive(clap::Args)]
/// struct Hello {
///     /// To whom
///     name: String,
/// }
///
/// impl Command for Hello {
///     const NAME: &'static str = "hello";
///     const EXAMPLES: &'static str = "  {bin} hello Anna";
///
///     async fn run(self, console: Console) -> CliResult {
///         let mut output = console.output();
///         output.line(format_args!("Hello {}", self.name))?;
///         Ok(output.flush()?)
///     }
/// }
/// ```
pub trait Command: clap::Args + 'static {
    /// Its name, which none of the engine's commands has.
    const NAME: &'static str;
    /// Examples for `--help`, one a line; `{bin}` is the application.
    const EXAMPLES: &'static str = "";

    /// Does it. Data goes to the [output](Console::output), everything else to standard error; the
    /// error says how the process ends.
    fn run(self, console: Console) -> impl Future<Output = CliResult>;
}

/// What an application's own command works with. Cloning it is cheap.
#[derive(Clone)]
pub struct Console {
    session: Session,
    working: Arc<OnceCell<Working>>,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("app", &self.session.app.name).finish_non_exhaustive()
    }
}

impl Console {
    fn new(session: &Session) -> Self {
        Self { session: session.clone(), working: Arc::default() }
    }

    /// Standard output, in the shape that `--json` asks for.
    #[must_use]
    pub fn output(&self) -> Output {
        self.session.output()
    }

    /// The settings of this invocation.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.session.settings
    }

    /// The application, connected to a log on which somebody works. Where that is an embedded log that
    /// no other process holds, all roles run here until the command ends.
    pub async fn engine(&self) -> CliResult<Arc<Engine>> {
        Ok(self.working().await?.engine.clone())
    }

    async fn working(&self) -> CliResult<&Working> {
        self.working.get_or_try_init(|| self.session.working()).await
    }

    /// The application to be called, with at most `in_flight` commands under way at once. What was done
    /// before is in its views.
    pub async fn calls(&self, in_flight: usize) -> CliResult<Calls> {
        let working = self.working().await?;
        working.caught_up().await?;
        Ok(Calls::open(&working.engine, in_flight).await?)
    }

    /// Runs what blocks on a thread where it may.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> CliResult<T> {
        blocking(work).await
    }

    /// Ends the roles that were started for this command alone.
    async fn close(self) -> CliResult {
        // A task of the command may still hold a console: then the end of the process ends its roles.
        match Arc::into_inner(self.working).and_then(OnceCell::into_inner) {
            Some(working) => Ok(working.close().await?),
            None => Ok(()),
        }
    }
}

/// A command that was understood and waits to be run.
type Prepared = Box<dyn FnOnce(Console) -> Pin<Box<dyn Future<Output = CliResult>>>>;

/// A command without its type.
pub(crate) struct OwnCommand {
    name: &'static str,
    describe: fn() -> clap::Command,
    prepare: fn(&ArgMatches) -> Result<Prepared, clap::Error>,
}

impl OwnCommand {
    /// The command `C`.
    pub(crate) fn of<C: Command>() -> Self {
        Self { name: C::NAME, describe: describe::<C>, prepare: prepare::<C> }
    }
}

fn describe<C: Command>() -> clap::Command {
    C::augment_args(clap::Command::new(C::NAME)).after_help(C::EXAMPLES)
}

fn prepare<C: Command>(matches: &ArgMatches) -> Result<Prepared, clap::Error> {
    let command = C::from_arg_matches(matches)?;
    Ok(Box::new(move |console| Box::pin(command.run(console))))
}

/// The commands of an application's own.
#[derive(Default)]
pub(crate) struct OwnCommands(Vec<OwnCommand>);

impl OwnCommands {
    pub(crate) fn add(&mut self, command: OwnCommand) {
        self.0.push(command);
    }

    /// Adds them to the engine's.
    ///
    /// # Errors
    /// If a name is taken.
    pub(super) fn describe(&self, mut command: clap::Command) -> CliResult<clap::Command> {
        for own in &self.0 {
            if command.find_subcommand(own.name).is_some() {
                return Err(CliError::failed(format!("there is a command {:?} already", own.name))
                    .help("give the command of the application another NAME"));
            }
            command = command.subcommand((own.describe)());
        }
        Ok(command)
    }

    /// Its arguments, if the command that was given is one of these.
    pub(super) fn prepare(&self, matches: &ArgMatches) -> Option<Result<Invoked, clap::Error>> {
        let (name, arguments) = matches.subcommand()?;
        let own = self.0.iter().find(|own| own.name == name)?;
        Some((own.prepare)(arguments).map(Invoked))
    }
}

/// A command of the application's own, ready to run.
pub(super) struct Invoked(Prepared);

impl Invoked {
    pub(super) async fn run(self, session: &Session) -> CliResult {
        let console = Console::new(session);
        let ended = (self.0)(console.clone()).await;
        let closed = console.close().await;
        ended.and(closed)
    }
}
