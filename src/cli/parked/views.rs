//! Aggregates whose events cannot be folded into a view.

use serde::Serialize;

use super::super::error::{CliError, CliResult, Exit};
use super::super::session::{Session, blocking};
use crate::engine::{Engine, EventRow, EventsError, scan};
use crate::position::{Offset, Position, Version};
use crate::projection::parking::{self, Retried};
use crate::projection::{ParkedAggregate, ParkedError, ViewError};
use crate::schema::json::Secrets;

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

/// A view and the aggregate that is parked in it.
type Named<'a> = (&'a str, &'a str, &'a str);

pub(super) async fn list(view: Option<&str>, session: &Session) -> CliResult {
    let engine = session.engine().await?;
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

pub(super) async fn show((view, aggregate, id): Named<'_>, session: &Session) -> CliResult {
    let engine = session.engine().await?;
    let projection = session.app.find_projection(view)?;
    let shape = projection.shape().map_err(ViewError::from)?;
    let (_, parked) = parking::list(engine.views().await?, &shape).await?;
    let found = parked.into_iter().find(|it| it.source.aggregate == aggregate && it.aggregate_id == id);
    let (view, aggregate, id) = (projection.name(), aggregate.to_owned(), id.to_owned());
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

pub(super) async fn release((view, aggregate, id): Named<'_>, skips: bool, session: &Session) -> CliResult {
    let engine = session.engine().await?;
    let projection = session.app.find_projection(view)?;
    let of = (aggregate, id);
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
        output.line(format!("{aggregate} {id}: {folded} events folded{skipped}; {state}"))?;
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
