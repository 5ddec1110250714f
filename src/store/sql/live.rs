//! Which generation of each view is live, as this process last saw it.
//!
//! What was seen may be out of date: a reading looks again before it reads, and a batch names the
//! generation that it was made for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::stored::{Stored, StoredRow};
use crate::projection::{Generation, Shape, ViewError};

/// What was last seen.
#[derive(Debug, Default)]
pub struct Live(Mutex<BTreeMap<&'static str, Generation>>);

impl Live {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<&'static str, Generation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn remember(&self, view: &'static str, generation: Generation) {
        self.seen().insert(view, generation);
    }

    pub fn remembered(&self, view: &str) -> Option<Generation> {
        BTreeMap::get(&*self.seen(), view).copied()
    }

    /// Forgets what was seen of a view, so that its shape is looked at again.
    pub fn forget(&self, view: &str) {
        self.seen().remove(view);
    }

    /// Whether the rows, each a view with its live generation, say of these views what was last seen; if
    /// not, forgets those of which they do not.
    pub fn agrees<R>(&self, shapes: &[Arc<Shape>], rows: &[R]) -> Result<bool, ViewError>
    where
        String: Stored<R>,
        i64: Stored<R>,
    {
        let rows = rows.iter().map(|row| Ok((row.get(0)?, Generation(row.get(1)?))));
        let rows = rows.collect::<Result<BTreeMap<String, Generation>, ViewError>>()?;
        let mut agrees = true;
        for shape in shapes {
            let live =
                BTreeMap::get(&rows, shape.view).ok_or_else(|| ViewError::Missing { view: shape.view.to_owned() })?;
            if self.remembered(shape.view) != Some(*live) {
                self.forget(shape.view);
                agrees = false;
            }
        }
        Ok(agrees)
    }
}
