//! `completions`: what a shell needs to complete this command line.

use clap_complete::Shell;

use super::error::CliResult;
use super::session::Session;

pub(super) const EXAMPLES: &str = "  {bin} completions bash > /etc/bash_completion.d/{bin}
  {bin} completions zsh > ~/.zfunc/_{bin}";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, session: &Session) -> CliResult {
    let mut script = Vec::new();
    let mut command = super::command(session.app.name, &session.own)?;
    clap_complete::generate(args.shell, &mut command, session.app.name, &mut script);
    let mut output = session.output();
    output.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(output.flush()?)
}
