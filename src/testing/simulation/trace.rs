//! What happened in a schedule: all of it as a hash, to be compared; the faults in words, to be shown.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::hash::Hasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use crate::clock::turns;

/// How many lines are kept to be shown.
const SHOWN: usize = 60;

/// A schedule's trace. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Trace(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    hash: Xxh3,
    faults: u64,
    last: VecDeque<(Duration, String)>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

impl Trace {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened that is of interest only in comparison.
    pub fn note(&self, what: impl fmt::Debug) {
        let (turn, _) = turns::count();
        let mut lines = self.lines();
        lines.hash.write_u64(turn);
        lines.hash.write(format!("{what:?}").as_bytes());
    }

    /// Something was done to the workers.
    pub fn tell(&self, what: String) {
        self.note(&what);
        let (_, now) = turns::count();
        let mut lines = self.lines();
        lines.faults += 1;
        if lines.last.len() == SHOWN {
            lines.last.pop_front();
        }
        lines.last.push_back((now, what));
    }

    pub fn faults(&self) -> u64 {
        self.lines().faults
    }

    pub fn digest(&self) -> u64 {
        self.lines().hash.finish()
    }

    /// The last lines, as text.
    pub fn shown(&self) -> String {
        let lines = self.lines();
        let mut text = String::new();
        for (at, what) in &lines.last {
            // A text takes everything.
            let _ = writeln!(text, "{:>10.3} s  {what}", at.as_secs_f64());
        }
        text
    }
}
