//! The thread's end of the short queue to the task, and what the task said.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::link::{Control, Job, Located, Measured, Report, Write};
use crate::clock;
use crate::projection::{Batch, Progress, ViewError};

/// What the task said that is still to be acted upon.
#[derive(Debug, Default)]
pub struct News {
    /// A batch changed nothing: everything under way is worthless.
    pub moved: bool,
    /// How far the view is.
    pub progress: Option<Progress>,
    /// Where partitions go on; nowhere if the database does not say so.
    pub located: Option<Located>,
    /// The live generation is not of this projection's shape.
    pub unfit: Option<ViewError>,
}

/// The thread's end of the queue.
pub struct Queue {
    control: Arc<Control>,
    jobs: mpsc::Sender<Job>,
    reports: crossbeam_channel::Receiver<Report>,
    /// The number of the last batch made, and of the last one written or dropped.
    sent: u64,
    done: u64,
    /// A batch for which there was no room.
    blocked: Option<Write>,
    news: News,
}

impl Queue {
    pub fn new(control: Arc<Control>, jobs: mpsc::Sender<Job>, reports: crossbeam_channel::Receiver<Report>) -> Self {
        Self { control, jobs, reports, sent: 0, done: 0, blocked: None, news: News::default() }
    }

    /// Whether the task is gone, because its runtime has ended.
    pub fn is_closed(&self) -> bool {
        self.jobs.is_closed()
    }

    /// Whether a batch waits for room. Until it found some, no other may be sent.
    pub const fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Sends a batch; waits for room until then.
    pub fn send(&mut self, batch: Batch, measured: Measured, bytes: usize, until: Instant) {
        self.sent += 1;
        self.blocked = Some(Write { number: self.sent, batch, measured, bytes });
        self.unblock(until);
    }

    /// Waits until then for the blocked batch to find room.
    pub fn unblock(&mut self, until: Instant) {
        while let Some(write) = self.blocked.take() {
            let Err(refused) = self.jobs.try_send(Job::Write(write)) else { return };
            if let Job::Write(write) = refused.into_inner() {
                self.blocked = Some(write);
            }
            // There is room when the task is done with something.
            if !self.listen(until) {
                return;
            }
        }
    }

    /// Asks where partitions go on; whether there was room to ask.
    pub fn locate(&mut self) -> bool {
        self.jobs.try_send(Job::Locate).is_ok()
    }

    /// Takes what the task said.
    pub fn take_news(&mut self) -> News {
        while let Ok(report) = self.reports.try_recv() {
            self.note(report);
        }
        std::mem::take(&mut self.news)
    }

    /// Waits until then for the task to say something; whether it did.
    fn listen(&mut self, until: Instant) -> bool {
        let left = until.saturating_duration_since(clock::instant());
        let report = clock::receive(&self.reports, left);
        report.map(|report| self.note(report)).is_ok()
    }

    fn note(&mut self, report: Report) {
        match report {
            Report::Done(number) => self.done = self.done.max(number),
            Report::Moved(number) => {
                self.news.moved |= !self.control.is_discarded(number);
                self.done = self.done.max(number);
            }
            Report::Progress(progress) => self.news.progress = Some(progress),
            Report::Located(located) => self.news.located = Some(located),
            Report::Unfit(error) => self.news.unfit = Some(error),
        }
    }

    /// Waits until everything sent is written; whether it was in time.
    pub fn finish(&mut self, until: Instant) -> bool {
        self.unblock(until);
        while self.blocked.is_none() && self.done < self.sent && !self.news.moved {
            if !self.listen(until) {
                break;
            }
        }
        self.blocked.is_none() && self.done == self.sent && !self.news.moved
    }

    /// Makes everything under way worthless, and waits until then for nothing to be under way.
    pub fn discard(&mut self, until: Instant) {
        // A batch that found no room never was under way.
        let last = if self.blocked.take().is_some() { self.sent - 1 } else { self.sent };
        self.control.discard_below(self.sent + 1);
        // What is not done by then may still be written. Then what is made from the old positions changes
        // nothing, and everything begins anew once more.
        while self.done < last && clock::instant() < until && self.listen(until) {}
        self.done = self.sent;
        self.news = News::default();
    }
}
