//! `lag`: how far each group is behind.

use std::sync::Arc;
use std::time::Duration;

use super::error::{CliError, CliResult};
use super::output::Output;
use super::session::Session;
use crate::engine::{Engine, LagError};

pub(super) const EXAMPLES: &str = "  {bin} lag
  {bin} lag --watch";

const WATCH_EVERY: Duration = Duration::from_secs(2);
const COLUMNS: [&str; 6] = ["group", "partition", "current", "end", "lag", "owner"];

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Again every two seconds
    #[arg(long)]
    watch: bool,
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    if !args.watch {
        let engine = session.engine().await?;
        return show(&engine, &mut session.output()).await;
    }
    // Whoever watches for long is not to keep others from working.
    let working = session.working().await?;
    let mut output = session.output();
    loop {
        show(&working.engine, &mut output).await?;
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

async fn show(engine: &Arc<Engine>, output: &mut Output) -> CliResult {
    output.rows(&COLUMNS, &engine.lags().await?)?;
    Ok(output.flush()?)
}

impl From<LagError> for CliError {
    fn from(error: LagError) -> Self {
        match error {
            LagError::Log(error) => error.into(),
            LagError::View(error) => error.into(),
            LagError::Task(error) => error.into(),
        }
    }
}
