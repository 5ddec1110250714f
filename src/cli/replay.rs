//! `replay`: resets a view by offset. Shows what it would do, asks, then acts.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::error::{CliError, CliResult, Exit};
use super::progress::Progress;
use super::session::{Session, Working, blocking};
use crate::engine::ProjectionType;
use crate::position::Offset;
use crate::projection::replay::{OffsetTarget, Plan, PlannedMove, Target};
use crate::projection::{ReplayError, ViewError};

pub(super) const EXAMPLES: &str = "  {bin} replay accounts --to earliest
  {bin} replay accounts --to account/3:1042 --dry-run
  {bin} replay accounts --to 2h --yes
  {bin} replay accounts --shift-by -100
  {bin} replay accounts --to-offset account/3:120
  {bin} replay accounts --from-file offsets.csv";

/// How often a view that is folded anew is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The projection
    projection: String,
    #[command(flatten)]
    place: Place,
    /// Only shows what would be done
    #[arg(long)]
    dry_run: bool,
    /// Does not ask
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

/// Where to; one of these.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
struct Place {
    /// Before the first event, after the last, where it is, to a position, a time, or so long ago
    #[arg(long, value_name = "earliest|latest|current|POSITION|TIME|DURATION")]
    to: Option<Target>,
    /// So many offsets on in every partition, or back if negative
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// To this offset of a partition; may be given more than once
    #[arg(long, value_name = "AGGREGATE/PARTITION:OFFSET")]
    to_offset: Vec<OffsetTarget>,
    /// To the offsets of a file, in lines of TOPIC,PARTITION,OFFSET as Kafka's own tools write them
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

impl Place {
    fn target(&self) -> CliResult<Target> {
        if let Some(to) = &self.to {
            return Ok(to.clone());
        }
        if let Some(by) = self.shift_by {
            return Ok(Target::Shift(by));
        }
        let Some(file) = &self.from_file else { return Ok(Target::Offsets(self.to_offset.clone())) };
        let wrong = |error: &dyn std::fmt::Display| CliError::usage(format!("{}: {error}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
        let read = |(number, line): (usize, &str)| {
            OffsetTarget::from_csv(line)
                .map_err(|_| wrong(&format!("line {}: {line:?} is not TOPIC,PARTITION,OFFSET", number + 1)))
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(read).collect::<CliResult<_>>().map(Target::Offsets)
    }
}

#[derive(Serialize)]
struct Row {
    partition: String,
    current: Offset,
    target: Offset,
    delta: i64,
}

impl From<&PlannedMove> for Row {
    fn from(planned: &PlannedMove) -> Self {
        let (partition, delta) = (planned.partition.to_string(), planned.delta());
        Self { partition, current: planned.current, target: planned.target, delta }
    }
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    let projection = session.app.find_projection(&args.projection)?.clone();
    let working = session.working().await?;
    let done = replay(&args, projection.as_ref(), &working, session).await;
    working.close().await?;
    done
}

async fn replay(args: &Args, projection: &dyn ProjectionType, working: &Working, session: &Session) -> CliResult {
    let engine = &working.engine;
    let views = engine.views().await?;
    let plan = projection.plan_replay(views, &engine.worker_parts(None), &args.place.target()?).await?;
    let mut output = session.output();
    let rows: Vec<_> = plan.moves.iter().map(Row::from).collect();
    output.rows(&["partition", "current", "target", "delta"], &rows)?;
    output.flush()?;
    if args.dry_run || (!plan.empties && plan.moves.iter().all(|it| it.delta() == 0)) {
        return Ok(());
    }
    if !args.yes && !confirmed(&plan).await? {
        return Err(CliError::new(Exit::Interrupted, "nothing was changed"));
    }
    projection.apply_replay(views, &plan).await?;
    if working.is_alone() { catch_up(projection, working).await } else { Ok(()) }
}

/// Asks on the terminal; where there is none nobody can answer.
async fn confirmed(plan: &Plan) -> CliResult<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage("nobody is there to confirm it").help("add --yes, or --dry-run to look only"));
    }
    let what =
        if plan.empties { "emptied and folded anew" } else { "set to these offsets, and is partial from then on" };
    let question = format!("The view {} is {what}. Go on? [y/N] ", plan.view);
    let answer = blocking(move || {
        eprint!("{question}");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map(|_| answer)
    });
    Ok(matches!(answer.await??.trim(), "y" | "Y" | "yes"))
}

/// With the worker that runs for this command alone the work would end half-way.
async fn catch_up(projection: &dyn ProjectionType, working: &Working) -> CliResult {
    let shape = projection.shape().map_err(ViewError::from)?;
    let views = working.engine.views().await?;
    let mut progress = Progress::new("events", None);
    let mut folded = 0;
    loop {
        let at = views.store().progress(&shape).await?;
        let sum = at.positions.iter().map(|it| it.sequence.0.unsigned_abs()).sum::<u64>();
        progress.add(sum.saturating_sub(folded));
        folded = sum;
        if !at.is_replaying() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl From<ReplayError> for CliError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::View(error) => error.into(),
            ReplayError::Log(error) => error.into(),
            ReplayError::Schema(error) => error.into(),
            ReplayError::Target(_) | ReplayError::NotRepeatable { .. } => Self::usage(error),
            ReplayError::Stale { .. } => Self::temporary(error),
            ReplayError::Stall(_) | ReplayError::Unreadable(_) => Self::failed(error),
        }
    }
}
