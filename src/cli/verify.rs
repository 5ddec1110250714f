//! `verify`: audits the whole log.

use std::cell::RefCell;

use tokio::runtime::Handle;

use super::error::{CliError, CliResult, Exit};
use super::output::Output;
use super::progress::Progress;
use super::session::{Session, blocking};
use crate::engine::Engine;
use crate::verify::{AggregateCounts, Check, Report, SagaCounts, VerifyError, Violation};

pub(super) const EXAMPLES: &str = "  {bin} verify
  {bin} verify --json | jq .violations";

#[derive(clap::Args, Debug)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, session: &Session) -> CliResult {
    let engine = session.engine().await?;
    let report = blocking(move || audit(&engine)).await??;
    let mut output = session.output();
    show(&report, &mut output)?;
    output.flush()?;
    if report.ok { Ok(()) } else { Err(CliError::quiet(Exit::Failed)) }
}

/// Audits everything, and shows how far it is. Blocks, within a runtime.
pub(super) fn audit(engine: &Engine) -> CliResult<Report> {
    let progress = RefCell::new(Progress::new("records", None));
    Ok(engine.verify(&Handle::current(), &|more| progress.borrow_mut().add(more))?)
}

/// All of it.
pub(super) fn show(report: &Report, output: &mut Output) -> CliResult {
    if output.json {
        return Ok(output.json(report)?);
    }
    for of in &report.aggregates {
        output.line(counted(of))?;
    }
    for of in &report.sagas {
        let SagaCounts { saga, instances, open, inputs, pending, commands, beyond_retention } = of;
        let pending = if *pending == 0 { String::new() } else { format!(", {pending} pending") };
        let beyond =
            if *beyond_retention == 0 { String::new() } else { format!(", {beyond_retention} beyond retention") };
        output.line(format!(
            "saga {saga}: {instances} instances, {open} of them open, {inputs} inputs, {commands} commands{pending}{beyond}"
        ))?;
    }
    for of in &report.views {
        let parked =
            if of.parked == 0 { String::new() } else { format!("; {} aggregates are parked in it", of.parked) };
        let partial = if of.partial { "; it is partial, so what it lacks is not known" } else { "" };
        output.line(format!("view {}: {} rows, from {} events{parked}{partial}", of.view, of.rows, of.events))?;
    }
    for of in report.invariants.iter().filter(|of| of.partial) {
        output.line(format!("{}: not looked at, since the first events are gone", of.invariant))?;
    }
    show_checks(&report.checks, &report.violations, output)
}

/// What was looked at, without what there was none of.
fn counted(of: &AggregateCounts) -> String {
    let counts = [
        (of.events, "events"),
        (of.instances, "aggregates"),
        (of.commands, "commands"),
        (of.accepted, "accepted"),
        (of.refused, "refused"),
        (of.failed, "failed"),
        (of.repeats, "repeats"),
        (of.copies, "answers about copies"),
        (of.dead_letters, "dead letters"),
        (of.pending, "pending"),
        (of.parked, "parked"),
        (of.beyond_retention, "beyond retention"),
        (of.snapshots, "snapshots"),
        (of.snapshots_unused, "snapshots of no use"),
        (of.checkpoints, "checkpoints"),
    ];
    let told = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let told: Vec<_> = told.collect();
    format!("{}: {}", of.aggregate, if told.is_empty() { "nothing yet".to_owned() } else { told.join(", ") })
}

/// Each rule with how often it was looked at, then what does not hold.
pub(super) fn show_checks(checks: &[Check], violations: &[Violation], output: &mut Output) -> CliResult {
    for Check { promise, looked_at, violations, .. } in checks {
        match violations {
            0 => output.line(format!("ok   {promise} ({looked_at} looked at)"))?,
            times => output.line(format!("BAD  {promise}: broken {times} times ({looked_at} looked at)"))?,
        }
    }
    violations.iter().try_for_each(|violation| output.line(violation))?;
    Ok(())
}

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> Self {
        if error.is_temporary() { Self::temporary(error) } else { Self::failed(error) }
    }
}
