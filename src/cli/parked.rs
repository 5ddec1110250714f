//! `parked`: aggregates whose events fail, and what becomes of them.

use std::sync::Arc;

use serde::Serialize;

use super::error::{CliError, CliResult, Exit};
use super::session::{Session, blocking};
use crate::engine::{Engine, EventRow, EventsError, scan};
use crate::position::{Offset, Position, Version};
use crate::projection::parking::{self, Retried};
use crate::projection::{ParkedAggregate, ParkedError, ViewError};
use crate::schema::json::Secrets;

pub(super) const EXAMPLES: &str = "  {bin} parked ls
  {bin} parked show account 000001 --view accounts
  {bin} parked retry account 000001 --view accounts
  {bin} parked skip account 000001 --view accounts";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Every parked aggregate
    Ls {
        /// Only those of this view
        #[arg(long, value_name = "NAME")]
        view: Option<String>,
    },
    /// One parked aggregate, why it is parked, and its events from then on
    Show(Named),
    /// Folds the events that were passed over, in order, and releases the aggregate
    Retry(Named),
    /// The same without the event that failed; the view is partial from then on
    Skip(Named),
}

#[derive(clap::Args, Debug)]
struct Named {
    /// The aggregate's type, for example account
    aggregate: String,
    /// The aggregate's id
    id: String,
    /// The view in which it is parked
    #[arg(long, value_name = "NAME")]
    view: String,
}

/// A parked aggregate.
#[derive(Clone, Serialize)]
struct Row {
    view: &'static str,
    aggregate: &'static str,
    id: String,
    version: Version,
    position: Position,
    events: i64,
    reason: String,
}

impl Row {
    fn of(view: &'static str, parked: ParkedAggregate) -> Self {
        let position = Position {
            aggregate: parked.source.aggregate.to_owned(),
            partition: parked.source.partition,
            sequence: parked.sequence,
        };
        let ParkedAggregate { source, aggregate_id: id, version, events, reason, .. } = parked;
        Self { view, aggregate: source.aggregate, id, version, position, events, reason }
    }
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    let engine = session.engine().await?;
    match args.what {
        What::Ls { view } => list(&engine, view.as_deref(), session).await,
        What::Show(named) => show(engine, &named, session).await,
        What::Retry(named) => release(&engine, &named, false, session).await,
        What::Skip(named) => release(&engine, &named, true, session).await,
    }
}

async fn list(engine: &Engine, view: Option<&str>, session: &Session) -> CliResult {
    if let Some(view) = view {
        session.app.find_projection(view)?;
    }
    let views = engine.views().await?;
    let mut rows = Vec::new();
    for projection in session.app.projections.iter().filter(|it| view.is_none_or(|view| view == it.name())) {
        let shape = projection.shape().map_err(ViewError::from)?;
        match parking::list(views, &shape).await {
            // Nobody has made it yet.
            Err(ViewError::Missing { .. }) => {}
            parked => rows.extend(parked?.1.into_iter().map(|parked| Row::of(projection.name(), parked))),
        }
    }
    let mut output = session.output();
    output.rows(&["view", "aggregate", "id", "version", "position", "events", "reason"], &rows)?;
    Ok(output.flush()?)
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Row,
    passed_over: Vec<EventRow>,
}

async fn show(engine: Arc<Engine>, named: &Named, session: &Session) -> CliResult {
    let projection = session.app.find_projection(&named.view)?;
    let shape = projection.shape().map_err(ViewError::from)?;
    let (_, parked) = parking::list(engine.views().await?, &shape).await?;
    let found = parked.into_iter().find(|it| it.source.aggregate == named.aggregate && it.aggregate_id == named.id);
    let (view, aggregate, id) = (projection.name(), named.aggregate.clone(), named.id.clone());
    let parked = found.ok_or(ParkedError::NotParked { view, aggregate, id })?;
    let (of, from) = (parked.clone(), parked.first_offset);
    let passed_over = blocking(move || events(&engine, &of, from)).await??;
    let mut output = session.output();
    let shown = Shown { row: Row::of(view, parked), passed_over };
    if output.json {
        output.json(&shown)?;
    } else {
        let Row { aggregate, id, version, position, reason, .. } = &shown.row;
        output
            .line(format!("{aggregate} {id} is parked in view {view} at version {version} ({position}): {reason}"))?;
        for event in &shown.passed_over {
            output.json(event)?;
        }
    }
    Ok(output.flush()?)
}

/// The events of an aggregate from an offset on. Blocks.
fn events(engine: &Engine, parked: &ParkedAggregate, from: Offset) -> CliResult<Vec<EventRow>> {
    let gate = engine.aggregate(parked.source.aggregate)?;
    let place = gate.topics().events.partition(parked.source.partition);
    let mut rows = Vec::new();
    scan(engine.log.as_ref(), place, from, |record| -> Result<(), EventsError> {
        if record.offset <= parked.last_offset && record.key.as_deref() == Some(parked.aggregate_id.as_bytes()) {
            rows.push(gate.event(&record, Secrets::Hidden)?);
        }
        Ok(())
    })?;
    Ok(rows)
}

async fn release(engine: &Engine, named: &Named, skips: bool, session: &Session) -> CliResult {
    let projection = session.app.find_projection(&named.view)?;
    let of = (named.aggregate.as_str(), named.id.as_str());
    let retried = projection.release(engine.views().await?, &engine.worker_parts(None), of, skips).await?;
    let mut output = session.output();
    if output.json {
        output.json(&retried)?;
    } else {
        let Retried { folded, skipped, parked_again } = &retried;
        let skipped = skipped.map(|sequence| format!(", without sequence {sequence}")).unwrap_or_default();
        let state = match parked_again {
            None => "it is parked no longer".to_owned(),
            Some(reason) => format!("it stays parked at the next one: {reason}"),
        };
        output.line(format!("{} {}: {folded} events folded{skipped}; {state}", named.aggregate, named.id))?;
    }
    output.flush()?;
    if retried.parked_again.is_none() { Ok(()) } else { Err(CliError::quiet(Exit::Failed)) }
}

impl From<ParkedError> for CliError {
    fn from(error: ParkedError) -> Self {
        match error {
            ParkedError::View(error) => error.into(),
            ParkedError::Log(error) => error.into(),
            ParkedError::Schema(error) => error.into(),
            error @ ParkedError::NotParked { .. } => Self::usage(error),
            error if error.is_temporary() => Self::temporary(error),
            error => Self::failed(error),
        }
    }
}
