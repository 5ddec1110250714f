//! A view, held to its events: they are folded anew in memory, up to the offsets that are stored beside the
//! rows, and compared with the rows one by one.
//!
//! Rows and offsets are read at one moment, so workers may go on. A view that is larger than memory is
//! folded slice by slice; of its tables only the sums are held whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::runtime::Handle;

use super::report::{Findings, Place, Rule, ViewCounts};
use super::rows::{Paging, difference, shown_key};
use super::{Scope, VerifyError};
use crate::event::Recorded;
use crate::log::{Isolation, Log, LogError, RangeReader, Record, StallError};
use crate::position::{Offset, Sequence};
use crate::projection::{
    Batch, Changes, Events, Model, ParkedAggregate, Progress, Projection, ReadError, ReaderError, Reading,
    RecordReader, Shape, Source, SourcePartition, StoredPosition, Stream, TableContents, TableKind, ViewError, Views,
    shape_of,
};
use crate::schema::{DecodeError, Registry};

/// How many rows a slice has, about.
const ROWS_OF_A_SLICE: u64 = 500_000;
/// How many events are folded at once.
const EVENTS_OF_A_BATCH: usize = 2_000;
/// How long one statement may take.
const LONGEST: Duration = Duration::from_hours(1);
/// More parked aggregates than a worker parks before it stops.
const MOST_PARKED: usize = 100_000;

/// What the audit of a view works with, besides the log.
pub struct Database<'a> {
    /// The log, once more: what reads attempts keeps hold of it.
    pub log: &'a Arc<dyn Log>,
    /// The views.
    pub views: &'a Views,
    /// Where their database is spoken to.
    pub runtime: &'a Handle,
    /// The registry of the events' schemas.
    pub registry: &'a Arc<dyn Registry>,
}

/// Audits the view of a projection. Blocks.
pub fn view<P: Projection>(
    scope: &Scope<'_>,
    on: &Database<'_>,
    projection: &P,
    findings: &mut Findings,
) -> Result<ViewCounts, VerifyError> {
    let Database { log, views, runtime, registry } = on;
    // A reading that is dropped gives its connection back, which takes a runtime.
    let _entered = runtime.enter();
    let mut counts = ViewCounts { view: P::NAME, ..ViewCounts::default() };
    let shape = Arc::new(shape_of::<P>().map_err(ViewError::from)?);
    let mut reading = match runtime.block_on(views.store().read(std::slice::from_ref(&shape), LONGEST)) {
        Ok(reading) => reading,
        // Nobody has made it yet.
        Err(ViewError::Missing { .. }) => return Ok(counts),
        Err(error @ (ViewError::ShapeChanged { .. } | ViewError::Corrupt { .. })) => {
            findings.add(Rule::Views, Place::Row { view: P::NAME, table: None, key: None }, error.to_string());
            return Ok(counts);
        }
        Err(error) => return Err(error.into()),
    };
    let progress = reading.progress()[0].clone();
    let parked = runtime.block_on(views.store().parked(&shape, progress.generation, MOST_PARKED))?;
    (counts.parked, counts.partial) = (progress.parked, progress.partial);
    if progress.partial || !is_whole(scope, &shape, &progress)? {
        counts.partial = true;
        return Ok(counts);
    }
    let readers = P::Source::readers(log, registry, scope.topology)?;
    let mut audit = ViewAudit {
        scope,
        projection,
        shape: shape.clone(),
        readers,
        parked: by_aggregate(&parked),
        runtime,
        reading: reading.as_mut(),
        counts: &mut counts,
        findings,
    };
    let rows = audit.count_rows()?;
    let mut model = Model::sliced(&shape, rows / ROWS_OF_A_SLICE + 1);
    let mut is_first = true;
    loop {
        for position in &progress.positions {
            audit.fold(position, &mut model, is_first)?;
        }
        audit.compare(&model)?;
        is_first = false;
        let Some(next) = model.next_slice() else { break };
        model = next;
    }
    Ok(counts)
}

/// Whether the log still holds everything that the view has folded.
fn is_whole(scope: &Scope<'_>, shape: &Shape, progress: &Progress) -> Result<bool, VerifyError> {
    let mut places: Vec<_> = progress.positions.iter().map(|at| shape.place(scope.topology, at.source)).collect();
    if shape.stream == Stream::Attempts {
        let commands = |source: SourcePartition| scope.topology.aggregate(source.aggregate).commands;
        places.extend(progress.positions.iter().map(|at| commands(at.source).partition(at.source.partition)));
    }
    let bounds = scope.log.bounds(&places, Isolation::Uncommitted)?;
    Ok(bounds.iter().all(|bounds| bounds.low == Offset::ZERO))
}

/// From which offset on the events of an aggregate are passed over.
type Parked = HashMap<(&'static str, String), Offset>;

fn by_aggregate(parked: &[ParkedAggregate]) -> Parked {
    parked.iter().map(|it| ((it.source.aggregate, it.aggregate_id.clone()), it.first_offset)).collect()
}

struct ViewAudit<'a, P: Projection> {
    scope: &'a Scope<'a>,
    projection: &'a P,
    shape: Arc<Shape>,
    /// One for each aggregate, in the order of the shape's sources.
    readers: Vec<RecordReader<Events<P>>>,
    parked: Parked,
    runtime: &'a Handle,
    reading: &'a mut dyn Reading,
    counts: &'a mut ViewCounts,
    findings: &'a mut Findings,
}

impl<P: Projection> ViewAudit<'_, P> {
    fn place(&self, table: usize, key: String) -> Place {
        Place::Row { view: P::NAME, table: Some(self.shape.tables[table].name), key: Some(key) }
    }

    fn count_rows(&mut self) -> Result<u64, VerifyError> {
        let mut rows = 0;
        for table in self.shape.tables.iter().filter(|table| table.kind != TableKind::Sums) {
            let sql = super::rows::count(table);
            let selected = self.runtime.block_on(self.reading.select(&sql, &[], 1))?;
            if let Some([crate::projection::Cell::Integer(count)]) = selected.rows.first().map(Vec::as_slice) {
                rows += u64::try_from(*count).unwrap_or(0);
            }
        }
        Ok(rows)
    }

    /// Folds the events of one partition, up to where the view is. What is wrong with them is said once.
    fn fold(&mut self, position: &StoredPosition, model: &mut Model, is_first: bool) -> Result<(), VerifyError> {
        let place = self.shape.place(self.scope.topology, position.source);
        let mut range = RangeReader::between(place.clone(), Offset::ZERO, position.next_offset, self.scope.stall);
        let mut reader = self.scope.log.reader()?;
        let mut batch = Batch::new(&self.shape);
        let mut sequence = Sequence::NONE;
        while let Some(records) = range.step(self.scope.log, reader.as_mut())? {
            (self.scope.progress)(u64::try_from(records.len()).unwrap_or(0));
            for record in records {
                match self.event(position.source, &record, &mut batch)? {
                    Ok(folded) => sequence = folded,
                    Err(reason) if is_first => {
                        self.findings.add(Rule::Views, Place::record(&place, record.offset, None), reason);
                    }
                    Err(_) => {}
                }
                if batch.events() >= EVENTS_OF_A_BATCH {
                    model.apply(std::mem::replace(&mut batch, Batch::new(&self.shape)));
                }
                self.counts.events += u64::from(is_first);
            }
        }
        model.apply(batch);
        if is_first && sequence != position.sequence {
            let (said, next) = (position.sequence, position.next_offset);
            let what = format!(
                "it says that the events of {} before offset {next} end at sequence {said}; they end at {sequence}",
                position.source
            );
            self.findings.add(Rule::Views, Place::Row { view: P::NAME, table: None, key: None }, what);
        }
        Ok(())
    }

    /// Folds one event, and gives its sequence; `Err` within says why it cannot be folded.
    fn event(
        &self,
        source: SourcePartition,
        record: &Record,
        batch: &mut Batch,
    ) -> Result<Result<Sequence, String>, VerifyError> {
        let place = self.shape.sources.iter().position(|aggregate| *aggregate == source.aggregate);
        let Some(reader) = place.and_then(|place| self.readers.get(place)) else {
            return Ok(Err(format!("view {} does not fold events of {}", P::NAME, source.aggregate)));
        };
        let found = match reader.read(record) {
            Ok(found) => found,
            Err(ReaderError::Record(ReadError::Value(DecodeError::RegistryAway(reason)))) => {
                return Err(VerifyError::RegistryAway(reason));
            }
            Err(ReaderError::Record(ReadError::Value(reason))) => {
                return Ok(Err(format!("this event cannot be read: {reason}")));
            }
            Err(ReaderError::Record(ReadError::Key)) => return Ok(Err("this event has no readable key".to_owned())),
            Err(ReaderError::Log(reason)) => return Err(StallError::Log(LogError::Unavailable(reason)).into()),
        };
        for event in found.events() {
            if let Err(reason) = self.fold_event(source, event, batch) {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(found.sequence()))
    }

    fn fold_event(
        &self,
        source: SourcePartition,
        event: &Recorded<Events<P>>,
        batch: &mut Batch,
    ) -> Result<(), String> {
        let parked_from = self.parked.get(&(event.aggregate, event.aggregate_id.clone()));
        if parked_from.is_some_and(|first| event.offset >= *first) {
            return Ok(());
        }
        let mut changes = Changes::new();
        let project = AssertUnwindSafe(|| self.projection.project(event, &mut changes));
        if catch_unwind(project).is_err() {
            let view = P::NAME;
            return Err(format!("folding this event into view {view} panics, and its aggregate is not parked"));
        }
        batch.absorb(source, changes).map_err(|error| error.to_string())
    }

    /// Compares the tables of this slice with the rows.
    fn compare(&mut self, model: &Model) -> Result<(), VerifyError> {
        for table in 0..self.shape.tables.len() {
            let is_sums = self.shape.tables[table].kind == TableKind::Sums;
            if !is_sums || model.is_last_slice() {
                self.compare_table(table, model, is_sums)?;
            }
        }
        Ok(())
    }

    fn compare_table(&mut self, place: usize, model: &Model, is_whole: bool) -> Result<(), VerifyError> {
        let shape = self.shape.clone();
        let table = &shape.tables[place];
        let mut expected: TableContents = model.rows(place).collect();
        let mut paging = Paging::new(table);
        while let Some((sql, parameters)) = paging.next() {
            let page = self.runtime.block_on(self.reading.select(&sql, &parameters, Paging::ROWS))?;
            for (key, row) in paging.take(page)? {
                if !is_whole && !model.has(&key) {
                    continue;
                }
                self.counts.rows += 1;
                let what = match expected.remove(&key) {
                    None => Some("the row is there, and no event leads to it".to_owned()),
                    Some(folded) => difference(table, &row, &folded),
                };
                if let Some(what) = what {
                    self.findings.add(Rule::Views, self.place(place, shown_key(table, &key)), what);
                }
            }
        }
        for key in expected.keys() {
            let what = "the row is missing, and events lead to it";
            self.findings.add(Rule::Views, self.place(place, shown_key(table, key)), what);
        }
        Ok(())
    }
}
