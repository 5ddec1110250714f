//! Projections: events folded into SQL tables that answer queries.
//!
//! A [`Projection`] says which tables there are and what each event changes in them. The engine does
//! the rest: a [worker] reads the events, checks that none is missing or there twice, and
//! writes changes and offsets in one SQL transaction. A view is the fold of its events up to the offset
//! stored beside it, whatever crashes when.

mod attempts;
mod batch;
mod changes;
mod error;
mod generations;
mod model;
mod names;
pub mod parking;
pub mod rebuild;
pub mod replay;
mod resolve;
mod source;
mod tables;
mod value;
mod versions;
mod views;
pub mod worker;

pub use attempts::{Attempt, Attempts};
pub use batch::{Advance, Batch, ParkedEvent, Parking, Release};
pub(crate) use batch::{OnceDelta, RowDelta, SumKey, TableDelta};
pub use changes::{Changes, OnceChange, RowChange};
pub use error::{ChangeError, ParkedError, RebuildError, ReplayError, ShapeError, StopReason, ViewError, WorkerError};
pub use generations::{Claim, Generations, HeldPosition, Hold};
pub use model::TableContents;
pub(crate) use model::{Model, Row, key_value};
pub(crate) use resolve::key as resolve_key;
pub(crate) use source::{Decoder, ReadError, ReaderError, RecordReader};
pub use source::{EventSource, OneOf2, OneOf3, Source, Stream};
pub(crate) use tables::COMPLETE_TO;
pub use tables::{Column, Shape, Table, TableKind, Tables};
pub use value::{ColumnType, Key, KeyPart, RowKey, Value};
pub use versions::Versions;
pub use views::{
    Applied, Cell, Epoch, Generation, Move, ParkedAggregate, Progress, Reading, Reset, Selected, SourcePartition,
    StoredPosition, ViewStore, Views,
};

use std::sync::Arc;

use crate::event::Recorded;

/// The events that a projection folds.
pub type Events<P> = <<P as Projection>::Source as Source>::Event;

/// Events folded into tables.
///
/// `project` is pure: the same event gives the same changes. It need not care for order or repeats as
/// long as it keeps to facts, versioned columns and rows written once; that it does is proven by
/// [`testing::triple_shuffle`](crate::testing::triple_shuffle).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a projection",
    note = "implement `headwater::projection::Projection`: NAME, Source, tables and project"
)]
pub trait Projection: Send + Sync + 'static {
    /// The name of the view: lower case letters, digits and `_`.
    const NAME: &'static str;
    /// What it folds: the events of an aggregate or of a tuple of aggregates, or [`Attempts`].
    type Source: Source;

    /// The present shape of its tables.
    fn tables() -> Tables;

    /// What an event changes.
    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes);
}

/// A projection that several hold.
impl<P: Projection> Projection for Arc<P> {
    const NAME: &'static str = P::NAME;
    type Source = P::Source;

    fn tables() -> Tables {
        P::tables()
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        (**self).project(event, rows);
    }
}

/// The checked shape of a projection's tables.
pub fn shape_of<P: Projection>() -> Result<Shape, ShapeError> {
    let shape = Shape::check(P::NAME, P::Source::aggregates(), P::tables())?;
    Ok(Shape { stream: P::Source::STREAM, ..shape })
}
