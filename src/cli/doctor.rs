//! `doctor`: whether everything is there that workers need; each line ok, or what to do.

use super::error::{CliError, CliResult, Exit};
use super::session::Session;
use crate::engine::doctor::{self, Finding, Health};

pub(super) const EXAMPLES: &str = "  {bin} doctor
  {bin} doctor --log kafka --registry http://localhost:8081 --json";

#[derive(clap::Args, Debug)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, session: &Session) -> CliResult {
    let mut findings = Vec::new();
    doctor::examine(&session.app, &session.settings, |finding| findings.push(finding)).await?;
    let mut output = session.output();
    for finding in &findings {
        if output.json {
            output.json(finding)?;
        } else {
            output.line(shown(finding))?;
        }
    }
    output.flush()?;
    let is_bad = findings.iter().any(|finding| finding.health == Health::Bad);
    if is_bad { Err(CliError::quiet(Exit::Failed)) } else { Ok(()) }
}

fn shown(Finding { check, health, found, remedy }: &Finding) -> String {
    let health = match health {
        Health::Ok => "ok  ",
        Health::Warning => "WARN",
        Health::Bad => "BAD ",
    };
    let remedy = remedy.as_ref().map(|remedy| format!("\n       → {remedy}")).unwrap_or_default();
    format!("{health} {check}: {found}{remedy}")
}
