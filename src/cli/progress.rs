//! How far long work has come: a bar on a terminal, a line every ten seconds elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock;

const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shown on standard error; gone when dropped.
pub(super) struct Progress {
    what: &'static str,
    shape: Shape,
    done: u64,
    total: Option<u64>,
}

enum Shape {
    Bar(ProgressBar),
    Lines { begun: Instant, last: Instant },
}

impl Progress {
    /// Begins; without a total the bar only counts.
    pub(super) fn new(what: &'static str, total: Option<u64>) -> Self {
        let shape = if std::io::stderr().is_terminal() {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let template = match total {
                Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}",
                None => "{msg} {spinner} {human_pos} {per_sec}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(what);
            Shape::Bar(bar)
        } else {
            let now = clock::instant();
            Shape::Lines { begun: now, last: now }
        };
        Self { what, shape, done: 0, total }
    }

    /// So many more are done.
    pub(super) fn add(&mut self, count: u64) {
        self.done += count;
        match &mut self.shape {
            Shape::Bar(bar) => bar.set_position(self.done),
            Shape::Lines { begun, last } if last.elapsed() >= LINE_EVERY => {
                *last = clock::instant();
                let of = self.total.map(|total| format!(" of {total}")).unwrap_or_default();
                eprintln!("{}: {}{of} after {} s", self.what, self.done, begun.elapsed().as_secs());
            }
            Shape::Lines { .. } => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shape::Bar(bar) = &self.shape {
            bar.finish_and_clear();
        }
    }
}
