//! Which generation of each view is live, as this process last saw it.
//!
//! What was seen may be out of date: a reading looks again before it reads, and a batch names the
//! generation that it was made for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::projection::{Generation, Progress, ViewError};

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

    /// Whether the generation of a view that was read is the live one; if not, forgets what was seen.
    pub fn is(&self, read: &Progress, view: &str, live: Option<Generation>) -> Result<bool, ViewError> {
        let live = live.ok_or_else(|| ViewError::Missing { view: view.to_owned() })?;
        if live != read.generation {
            self.forget(view);
        }
        Ok(live == read.generation)
    }
}
