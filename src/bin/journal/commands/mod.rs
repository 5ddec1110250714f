//! The journal's own commands.

mod read;
mod save;

pub use read::{At, Count, Last, Many};
pub use save::{Delete, Save, SaveMany};

use std::time::Duration;

use headwater::cli::{CliError, CliResult, Console, Output};
use headwater::journal::JournalError;
use serde::Serialize;

use crate::journals::Journals;

/// As many as anybody at a terminal has under way.
const IN_FLIGHT: usize = 16;
/// How long anybody at a terminal waits for an answer: a worker that starts at the same time has to restore first.
const WAIT: Duration = Duration::from_secs(30);

/// What is named on every command's line.
#[derive(clap::Args)]
struct Place {
    /// The entity, for example reading
    entity: String,
    /// The key, for example north
    key: String,
}

async fn journals(console: &Console) -> CliResult<Journals> {
    Ok(Journals::new(&console.calls(IN_FLIGHT).await?))
}

/// One object on standard output.
fn show<T: Serialize>(mut output: Output, value: &T) -> CliResult {
    output.json(value)?;
    Ok(output.flush()?)
}

fn ended(error: JournalError) -> CliError {
    match error {
        JournalError::Call(error) => error.into(),
        JournalError::NotDone(_) => CliError::failed(error),
        JournalError::Key(_) | JournalError::Record { .. } | JournalError::Records(_) => CliError::usage(error),
    }
}
