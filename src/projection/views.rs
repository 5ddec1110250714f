//! The port to the views' database: what projections and queries need of it, and nothing more.
//!
//! Two adapters stand behind it, `PostgreSQL` and `SQLite`, held to the same behaviour by one test
//! suite. What an adapter promises:
//!
//! * A [batch](ViewStore::apply) is one transaction: rows, sums, parked aggregates and offsets, all or
//!   nothing, and nothing if any offset or epoch is not the expected one.
//! * A [reading](ViewStore::read) sees one moment of each view: rows, positions and flags.

use std::any::TypeId;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hashbrown::HashMap;
use tokio::sync::watch;

use super::batch::{Advance, Batch};
use super::error::{ShapeError, ViewError};
use super::generations::Generations;
use super::tables::Shape;
use super::value::Value;
use crate::position::{Offset, Partition, Position, Sequence, Version};

/// A partition of the events of one aggregate type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePartition {
    /// The aggregate's type name.
    pub aggregate: &'static str,
    /// The partition.
    pub partition: Partition,
}

impl fmt::Display for SourcePartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.aggregate, self.partition)
    }
}

/// Counts the resets of a view's partition: a batch made before one is worthless after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

/// Counts the times that a view was built. Each generation has tables of its own, and one is live: the one
/// that queries read. Higher ones are being built, lower ones are kept until they are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Generation(pub i64);

impl Generation {
    /// The one that the first worker makes.
    pub const FIRST: Self = Self(1);

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Default for Generation {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a view has folded one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoredPosition {
    /// The partition.
    pub source: SourcePartition,
    /// The next offset to read.
    pub next_offset: Offset,
    /// The sequence of the last event folded.
    pub sequence: Sequence,
    /// How often it was reset.
    pub epoch: Epoch,
    /// After a reset to the first event: the sequence that must be reached before queries are answered
    /// again.
    pub replaying_to: Sequence,
}

impl StoredPosition {
    /// Whether the view is still on its way back to where it was before a reset.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.sequence < self.replaying_to
    }

    /// Where the view stands, as it is given to clients.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            aggregate: self.source.aggregate.to_owned(),
            partition: self.source.partition,
            sequence: self.sequence,
        }
    }
}

/// An aggregate that a view no longer folds, because one of its events failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedAggregate {
    /// Its partition.
    pub source: SourcePartition,
    /// Its id.
    pub aggregate_id: String,
    /// The offset of the event that failed.
    pub first_offset: Offset,
    /// Its sequence.
    pub sequence: Sequence,
    /// Its version.
    pub version: Version,
    /// The offset of its last event passed over.
    pub last_offset: Offset,
    /// How many of its events were passed over.
    pub events: i64,
    /// Why.
    pub reason: String,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is durable and visible.
    Done,
    /// Nothing was changed: an offset or an epoch is not the expected one, because another worker owns
    /// the partition or the view was reset.
    Moved,
}

/// How far a view is, with what is to be known of its answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Progress {
    /// Which generation of it this is.
    pub generation: Generation,
    /// Its positions, sorted.
    pub positions: Vec<StoredPosition>,
    /// How many aggregates are parked: what the view says of them stands still.
    pub parked: u64,
    /// Whether the view was reset to something else than the first event, so that something may be
    /// missing in it.
    pub partial: bool,
}

impl Progress {
    /// Whether it is still on its way back to where it was before a reset.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.positions.iter().any(StoredPosition::is_replaying)
    }

    /// The sequence reached in a partition; `None` if there is no such partition.
    #[must_use]
    pub fn reached(&self, aggregate: &str, partition: Partition) -> Option<Sequence> {
        let is_it = |source: &SourcePartition| source.aggregate == aggregate && source.partition == partition;
        self.positions.iter().find(|position| is_it(&position.source)).map(|position| position.sequence)
    }
}

/// Sets a view's partitions to other offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The generation that this was planned for; another live one refuses it.
    pub generation: Generation,
    /// Whether the tables are emptied, for a reset to the first event.
    pub empty: bool,
    /// Where each partition is set to.
    pub moves: Vec<Move>,
}

/// A partition that is set to another offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The partition.
    pub source: SourcePartition,
    /// Its epoch when this was planned; another one refuses the reset.
    pub epoch: Epoch,
    /// The next offset to read.
    pub next_offset: Offset,
    /// The sequence of the event before it.
    pub sequence: Sequence,
}

/// What stands in one column of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// Text, or the text of a JSON value.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// Yes or no.
    Boolean(bool),
}

/// A database of views.
#[async_trait]
pub trait ViewStore: Send + Sync + 'static {
    /// Makes the view's tables if there are none, and the positions of these partitions. Refuses other
    /// tables than the shape's.
    async fn open(&self, shape: &Shape, partitions: &[SourcePartition]) -> Result<(), ViewError>;
    /// How far the live generation of the view is. Refuses one of another shape.
    async fn progress(&self, shape: &Shape) -> Result<Progress, ViewError>;
    /// The parked aggregates of one generation, at most `limit`.
    async fn parked(
        &self,
        shape: &Shape,
        generation: Generation,
        limit: usize,
    ) -> Result<Vec<ParkedAggregate>, ViewError>;
    /// Does what a batch says to the generation it was made for, in one transaction.
    async fn apply(&self, batch: &Batch) -> Result<Applied, ViewError>;
    /// Sets offsets, raises epochs and, if it says so, empties the tables, in one transaction.
    async fn reset(&self, shape: &Shape, reset: &Reset) -> Result<Applied, ViewError>;
    /// The generations of the views.
    fn generations(&self) -> &dyn Generations;
    /// Begins to read views at one moment of each. Whatever takes longer than `limit` is cut off.
    async fn read(&self, shapes: &[Arc<Shape>], limit: Duration) -> Result<Box<dyn Reading>, ViewError>;
}

/// Views at one moment. Dropping it ends it.
#[async_trait]
pub trait Reading: Send {
    /// How far each view was at this moment, in the order asked.
    fn progress(&self) -> &[Progress];
    /// Runs a `SELECT` with `?` for each parameter; fails if it gives more than `limit` rows.
    async fn select(&mut self, sql: &str, parameters: &[Value], limit: usize) -> Result<Selected, ViewError>;
}

/// The result of a `SELECT`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selected {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// The shapes of views that are read together.
type Shapes = Arc<[Arc<Shape>]>;

/// The views of an application. Cheap to clone.
#[derive(Clone)]
pub struct Views {
    store: Arc<dyn ViewStore>,
    changed: Arc<Mutex<HashMap<&'static str, watch::Sender<u64>>>>,
    /// The shapes of what is read together, each set of projections by its type.
    shapes: Arc<Mutex<HashMap<TypeId, Shapes>>>,
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Views")
    }
}

impl Views {
    /// Views in a database that is already connected.
    #[must_use]
    pub fn new(store: Arc<dyn ViewStore>) -> Self {
        Self { store, changed: Arc::default(), shapes: Arc::default() }
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &dyn ViewStore {
        &*self.store
    }

    /// Shapes that were made before, or are made now.
    pub(crate) fn remembered(
        &self,
        of: TypeId,
        make: impl FnOnce() -> Result<Vec<Arc<Shape>>, ShapeError>,
    ) -> Result<Shapes, ShapeError> {
        let mut shapes = self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shapes.get(&of) {
            return Ok(known.clone());
        }
        let new: Shapes = make()?.into();
        shapes.insert(of, new.clone());
        Ok(new)
    }

    /// Tells those who wait in this process that a view has moved on.
    pub(crate) fn has_changed(&self, view: &'static str) {
        self.sender(view).send_modify(|count| *count += 1);
    }

    /// Hears of each move of a view by a worker of this process.
    pub(crate) fn changes_of(&self, view: &'static str) -> watch::Receiver<u64> {
        self.sender(view).subscribe()
    }

    fn sender(&self, view: &'static str) -> watch::Sender<u64> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.entry(view).or_insert_with(|| watch::Sender::new(0)).clone()
    }
}

impl Advance {
    /// What is stored once the batch is applied.
    #[must_use]
    pub const fn stored(&self, source: SourcePartition, replaying_to: Sequence) -> StoredPosition {
        let Self { next: next_offset, sequence, epoch, .. } = *self;
        StoredPosition { source, next_offset, sequence, epoch, replaying_to }
    }
}
