//! Queries: immutable questions, answered from views and never from the log.
//!
//! A [`Query`] is plain SQL over the tables of the projections it [reads](Query::Reads), the same on
//! every database. It sees one moment of each view, and its answer says which: the positions up to
//! which each view had folded. Whoever has a [position](crate::position::Position) from a reply may wait
//! for it, so that one reads one's own writes.

mod answer;
mod ask;
mod cell;
mod error;
mod limit;
mod parameters;
mod placeholders;
mod rows;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::projection::{Projection, Shape, ShapeError, shape_of};

pub use answer::{Answer, ViewFlags, ViewMoment};
pub(crate) use cell::read_row;
pub use error::QueryError;
pub use limit::{Limit, LimitError};
pub use parameters::{Hint, Kind as ParameterKind, Parameter, parameters};
pub(crate) use placeholders::split as split_at_placeholders;
pub use rows::{Json, Parameters, Rows};

/// A question to one or several views.
///
/// Its fields are the parameters, read from JSON. In SQL, `?` stands for each parameter. A view's
/// tables have the names that its projection gave them; deleted rows are not there, sums are summed up.
/// Text compares byte by byte, a moment is its microseconds since 1970.
///
/// An answer depends on the parameters and the rows only, not on the time or on chance: the gateway gives it
/// again, for some seconds at most, as long as the views have not moved.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a query",
    note = "implement `headwater::query::Query`: NAME, Answer, Reads and ask; derive `Deserialize`"
)]
pub trait Query: DeserializeOwned + Send + 'static {
    /// Its name on the command line and in paths.
    const NAME: &'static str;
    /// What is answered.
    type Answer: Serialize + Send;
    /// The projections whose tables it reads: one, or a tuple of two or three.
    type Reads: Projections;
    /// What is known of its fields beyond their types, for the description of the API.
    const HINTS: &'static [Hint] = &[];
    /// The JSON Schema of its answer, for the description of the API. What binds is the type.
    const ANSWER: &'static str = "{}";

    /// Answers from the tables. `None` if there is no such thing, which is 404 over HTTP.
    ///
    /// # Errors
    /// [`QueryError::invalid`] for a parameter that cannot be; everything else comes from `rows`.
    fn ask(self, rows: &mut Rows<'_>) -> impl Future<Output = Result<Option<Self::Answer>, QueryError>> + Send;
}

/// The projections that a query reads: one, or a tuple of two or three.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no projection",
    note = "`Reads` is a projection, or a tuple of two or three projections"
)]
pub trait Projections: sealed::Sealed + 'static {
    /// The checked shapes of their tables.
    fn shapes() -> Result<Vec<Arc<Shape>>, ShapeError>;
}

mod sealed {
    pub trait Sealed {}
}

impl<P: Projection> sealed::Sealed for P {}

impl<P: Projection> Projections for P {
    fn shapes() -> Result<Vec<Arc<Shape>>, ShapeError> {
        Ok(vec![Arc::new(shape_of::<P>()?)])
    }
}

macro_rules! tuples {
    ($(($($projection:ident),+))*) => {$(
        impl<$($projection: Projection),+> sealed::Sealed for ($($projection),+) {}

        impl<$($projection: Projection),+> Projections for ($($projection),+) {
            fn shapes() -> Result<Vec<Arc<Shape>>, ShapeError> {
                distinct(vec![$(Arc::new(shape_of::<$projection>()?)),+])
            }
        }
    )*};
}

tuples! { (P, Q) (P, Q, R) }

/// Tables are named without their view, so no two views that are read together may share a name.
fn distinct(shapes: Vec<Arc<Shape>>) -> Result<Vec<Arc<Shape>>, ShapeError> {
    for (place, shape) in shapes.iter().enumerate() {
        for table in &shape.tables {
            let has_it = |other: &&Arc<Shape>| other.tables.iter().any(|it| it.name == table.name);
            if let Some(other) = shapes[..place].iter().find(has_it) {
                let reason = format!("view {} has a table of this name too; a query cannot read both", other.view);
                return Err(ShapeError { view: shape.view, table: table.name.to_owned(), reason });
            }
        }
    }
    Ok(shapes)
}
