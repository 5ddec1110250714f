//! What a demo has to report.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::Load;
use crate::cli::error::CliResult;
use crate::cli::output::Output;
use crate::cli::verify;
use crate::engine::Ending;
use crate::verify::Report as Audit;

/// All of it, as one object.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) ok: bool,
    app: &'static str,
    seed: u64,
    commands: Commands,
    seconds: f64,
    commands_per_second: f64,
    latency_ms: LatencyMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<Figures>,
    sagas: Sagas,
    verify: Audit,
}

/// What became of what takes several steps.
#[derive(Serialize)]
pub(super) struct Sagas {
    /// How many have not ended.
    pub(super) open: usize,
    pub(super) endings: Vec<Ending>,
}

#[derive(Serialize)]
struct Commands {
    sent: u64,
    accepted: u64,
    /// By code.
    refused: BTreeMap<String, u64>,
    /// By code.
    failed: BTreeMap<String, u64>,
    unanswered: u64,
}

#[derive(Serialize)]
struct LatencyMs {
    p50: f64,
    p99: f64,
}

/// The application's figures at the start and at the end.
#[derive(Serialize)]
pub(super) struct Figures {
    pub(super) query: &'static str,
    pub(super) before: Value,
    pub(super) after: Value,
}

impl Report {
    pub(super) fn new(
        app: &'static str,
        seed: u64,
        load: &Load,
        sagas: Sagas,
        audit: Audit,
        figures: Option<Figures>,
    ) -> Self {
        let sorted = |counts: &hashbrown::HashMap<String, u64>| counts.iter().map(|(k, v)| (k.clone(), *v)).collect();
        let (refused, failed): (BTreeMap<String, u64>, BTreeMap<String, u64>) =
            (sorted(&load.refused), sorted(&load.failed));
        let sent = load.accepted + refused.values().sum::<u64>() + failed.values().sum::<u64>() + load.unanswered;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let commands_per_second = if load.seconds > 0.0 { (sent as f64 / load.seconds).round() } else { 0.0 };
        Self {
            ok: audit.ok && load.unanswered == 0 && failed.is_empty() && sagas.ok(),
            app,
            seed,
            commands: Commands { sent, accepted: load.accepted, refused, failed, unanswered: load.unanswered },
            seconds: load.seconds,
            commands_per_second,
            latency_ms: LatencyMs {
                p50: millis(load.latencies.percentile(50)),
                p99: millis(load.latencies.percentile(99)),
            },
            figures,
            sagas,
            verify: audit,
        }
    }

    pub(super) fn show(&self, output: &mut Output) -> CliResult {
        if output.json {
            return Ok(output.json(self)?);
        }
        let Commands { sent, accepted, refused, failed, unanswered } = &self.commands;
        output.line(format!(
            "{sent} commands in {:.1} s: {} a second; answered within {:.1} ms (half of them) and {:.1} ms (99 of 100)",
            self.seconds, self.commands_per_second, self.latency_ms.p50, self.latency_ms.p99
        ))?;
        output.line(format!("  accepted    {accepted}"))?;
        for (outcome, counts) in [("refused", refused), ("failed", failed)] {
            output.line(format!("  {outcome:<11} {}", counts.values().sum::<u64>()))?;
            for (code, count) in counts {
                output.line(format!("    {code} {count}"))?;
            }
        }
        output.line(format!("  unanswered  {unanswered}"))?;
        if let Some(Figures { query, before, after }) = &self.figures {
            output.line(format!("{query}\n  at the start {before}\n  at the end   {after}"))?;
        }
        self.sagas.show(output)?;
        verify::show(&self.verify, output)
    }
}

impl Sagas {
    fn ok(&self) -> bool {
        self.open == 0 && self.endings.iter().all(|ending| ending.ok)
    }

    fn show(&self, output: &mut Output) -> CliResult {
        for Ending { of, begun, ends, ok } in &self.endings {
            let ends: Vec<_> = ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
            let mark = if *ok { "ok  " } else { "BAD " };
            output.line(format!("{mark} {begun} {of}: {}", ends.join(", ")))?;
        }
        match self.open {
            0 => output.line("ok   every saga has ended")?,
            open => output.line(format!("BAD  {open} sagas have not ended; see them with `sagas ls`"))?,
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
