//! `rebuild`: makes a view anew beside the live one, and lets it take its place.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::error::{CliError, CliResult, Exit};
use super::progress::Progress;
use super::session::Session;
use crate::clock;
use crate::engine::{RebuildWish, Rebuilt};
use crate::projection::{Generation, RebuildError, Views};
use crate::verify::TableComparison;

pub(super) const EXAMPLES: &str = "  {bin} rebuild accounts
  {bin} rebuild accounts --compare
  {bin} rebuild accounts --list
  {bin} rebuild accounts --drop-old";

#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Args {
    /// The projection
    projection: String,
    /// Compares both row by row after the same events; if any row differs the live one stays
    #[arg(long)]
    compare: bool,
    /// Goes on with what an earlier rebuild by the same release left unfinished
    #[arg(long)]
    resume: bool,
    /// How many partitions are folded side by side; one for each core if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Only shows which generations there are
    #[arg(long, conflicts_with_all = ["compare", "resume", "jobs"])]
    list: bool,
    /// Only drops those that were replaced, and what is left of rebuilds that did not end
    #[arg(long, conflicts_with_all = ["compare", "resume", "jobs", "list"])]
    drop_old: bool,
}

/// A generation of a view.
#[derive(Serialize)]
struct Row {
    generation: Generation,
    state: &'static str,
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    let projection = session.app.find_projection(&args.projection)?.clone();
    // Not with all roles, as other commands do where nobody works: a worker refuses tables that have changed.
    let engine = session.engine().await?;
    let views = engine.views().await?;
    if args.list {
        return list(projection.name(), views, session).await;
    }
    if args.drop_old {
        return drop_old(projection.name(), views, session).await;
    }
    let progress = Arc::new(Mutex::new(None::<Progress>));
    let (begun, of) = (clock::instant(), progress.clone());
    let tell = move |folded| {
        if let Some(progress) = &mut *of.lock().unwrap_or_else(PoisonError::into_inner) {
            progress.add(folded);
        }
    };
    let of = progress.clone();
    let total = move |total| {
        *of.lock().unwrap_or_else(PoisonError::into_inner) = Some(Progress::new("offsets", Some(total)));
    };
    let wish = RebuildWish {
        resume: args.resume,
        compare: args.compare,
        jobs: args.jobs.map(usize::from),
        total: Box::new(total),
        folded: Arc::new(tell),
    };
    let rebuilt = projection.rebuild(views, engine.worker_parts(None), wish).await;
    *progress.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let rebuilt = rebuilt?;
    show(&rebuilt, begun.elapsed().as_secs_f64(), session)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn show(rebuilt: &Rebuilt, seconds: f64, session: &Session) -> CliResult {
    let mut output = session.output();
    if output.json {
        output.json(rebuilt)?;
    } else {
        let Rebuilt { view, before, generation, events, parked, tables, is_live } = rebuilt;
        if let Some(tables) = tables {
            output.rows(&["table", "equal", "different", "only_live", "only_new", "live_hash", "new_hash"], tables)?;
            for table in tables.iter().filter(|table| !table.is_equal()) {
                output.line(format!("{}: not the same, for example: {}", table.table, table.examples.join("; ")))?;
            }
        }
        let rate = *events as f64 / seconds.max(0.001);
        let live = if *is_live {
            format!("is live; generation {before} is kept until `rebuild {view} --drop-old`")
        } else {
            format!("differs and was not made live; `rebuild {view} --resume` makes it live")
        };
        output.line(format!(
            "view {view}: generation {generation}, {events} events in {seconds:.1} s ({rate:.0} a second), {live}"
        ))?;
        if *parked > 0 {
            output.line(format!("{parked} aggregates are parked in it; see `parked ls --view {view}`"))?;
        }
    }
    output.flush()?;
    let differs = |tables: &Vec<TableComparison>| !tables.iter().all(TableComparison::is_equal);
    if rebuilt.tables.as_ref().is_some_and(differs) { Err(CliError::quiet(Exit::Failed)) } else { Ok(()) }
}

async fn rows(view: &str, views: &Views) -> CliResult<Vec<Row>> {
    let generations = views.store().generations();
    let (live, there) = (generations.live(view).await?, generations.list(view).await?);
    let state = |generation: Generation| match generation.cmp(&live) {
        std::cmp::Ordering::Less => "replaced",
        std::cmp::Ordering::Equal => "live",
        std::cmp::Ordering::Greater => "unfinished",
    };
    Ok(there.into_iter().map(|generation| Row { generation, state: state(generation) }).collect())
}

async fn list(view: &str, views: &Views, session: &Session) -> CliResult {
    let mut output = session.output();
    output.rows(&["generation", "state"], &rows(view, views).await?)?;
    Ok(output.flush()?)
}

async fn drop_old(view: &'static str, views: &Views, session: &Session) -> CliResult {
    let generations = views.store().generations();
    // Nobody may be building what is dropped.
    let claim = generations.claim(view).await?;
    let mut dropped = rows(view, views).await?;
    dropped.retain(|row| row.state != "live");
    for row in &mut dropped {
        generations.remove(view, row.generation).await?;
        row.state = "dropped";
    }
    drop(claim);
    let mut output = session.output();
    output.rows(&["generation", "state"], &dropped)?;
    Ok(output.flush()?)
}

impl From<RebuildError> for CliError {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::View(error) => error.into(),
            RebuildError::Log(error) => error.into(),
            RebuildError::Schema(error) => error.into(),
            error if error.is_bad_input() => Self::usage(error),
            error if error.is_temporary() => Self::temporary(error),
            error => Self::failed(error),
        }
    }
}
