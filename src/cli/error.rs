//! How a command ends: the exit codes, and errors as people read them.

use std::fmt;
use std::process::ExitCode;

use crate::command::{ClientError, Failure, Outcome, Refused};
use crate::engine::{AskError, BadInput, CallError};
use crate::log::LogError;
use crate::schema::{RegistryError, SchemaError};
use crate::settings::SettingsError;

/// What the process says when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was not done; trying again does not help.
    Failed = 1,
    /// Wrong usage or bad input.
    Usage = 2,
    /// Refused by the domain.
    Refused = 3,
    /// The aggregate does not stand at the expected version.
    VersionMismatch = 4,
    /// The same command id came with another payload before.
    Conflict = 5,
    /// Try again.
    Temporary = 75,
    /// By Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// How a command with this outcome ends; `None` if it was accepted.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Accepted(_) => None,
            Outcome::Refused(refused) if refused.code == Refused::VERSION_MISMATCH => Some(Self::VersionMismatch),
            Outcome::Refused(_) => Some(Self::Refused),
            Outcome::Failed(failed) if failed.code == Failure::Conflict => Some(Self::Conflict),
            Outcome::Failed(_) => Some(Self::Failed),
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct CliError {
    pub(super) exit: Exit,
    message: String,
    help: Option<String>,
    /// All there is to say has been said on standard output.
    quiet: bool,
}

/// What a command comes to.
pub type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    /// Ends with this code, after the message.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), help: None, quiet: false }
    }

    /// Wrong usage or bad input.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// It failed, and trying again does not help.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Try again.
    pub fn temporary(message: impl fmt::Display) -> Self {
        Self::new(Exit::Temporary, message)
    }

    /// Ends with this code and says nothing more.
    pub fn quiet(exit: Exit) -> Self {
        Self { exit, message: String::new(), help: None, quiet: true }
    }

    /// With what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }

    /// Shows the error to people, on standard error.
    pub(super) fn show(self) -> Exit {
        if !self.quiet {
            let exit = self.exit;
            eprintln!("{:?}", miette::Report::new(self));
            return exit;
        }
        self.exit
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl miette::Diagnostic for CliError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}

/// Has errors shown in colour only where that is welcome.
pub(super) fn install_display() {
    let colour = crate::telemetry::colour();
    let hook = move |_: &(dyn miette::Diagnostic + 'static)| {
        let options = miette::MietteHandlerOpts::new().color(colour).unicode(colour);
        let options = options.terminal_links(false).wrap_lines(colour);
        Box::new(options.build()) as Box<dyn miette::ReportHandler>
    };
    // It is installed once, at the start of the process; a second time changes nothing.
    drop(miette::set_hook(Box::new(hook)));
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> Self {
        Self::usage(error)
    }
}

impl From<LogError> for CliError {
    fn from(error: LogError) -> Self {
        // A topic that is missing is mostly one that nobody has created.
        if error.is_away() { Self::temporary(error) } else { Self::failed(error) }
    }
}

impl From<RegistryError> for CliError {
    fn from(error: RegistryError) -> Self {
        if matches!(error, RegistryError::Away(_)) { Self::temporary(error) } else { Self::failed(error) }
    }
}

impl From<SchemaError> for CliError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Registry(error) => error.into(),
            other => Self::failed(other),
        }
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Log(error) => error.into(),
            ClientError::NotSent { ref reason, .. } if !reason.is_temporary() => Self::failed(error),
            other => Self::temporary(other),
        }
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Input(error) => error.into(),
            CallError::Command(error) => error.into(),
            CallError::Query(error) => AskError::from(error).into(),
            CallError::LookUp(error) if error.is_temporary() => Self::temporary(error),
            CallError::LookUp(error) => Self::failed(error),
            CallError::Schema(error) => error.into(),
        }
    }
}

/// Who reads our output has gone away: nobody is left to tell.
impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::quiet(Exit::Failed) } else { Self::failed(error) }
    }
}

impl From<tokio::task::JoinError> for CliError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::failed(format!("a task of this command ended early: {error}"))
    }
}

impl From<BadInput> for CliError {
    fn from(error: BadInput) -> Self {
        Self::usage(error)
    }
}
