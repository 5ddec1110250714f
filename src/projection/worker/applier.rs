//! The task of a worker that writes batches to the database.
//!
//! A transaction that fails is tried again for as long as its batch is worth anything, with growing
//! pauses; meanwhile the queue fills and the thread pauses its partitions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::mpsc;

use super::WorkerSettings;
use super::link::{Control, Job, Located, Measured, Report, Write};
use crate::clock::{self, Clock, Timestamp, is_planted, turns};
use crate::projection::{Applied, Batch, Progress, Shape, ViewError, Views};
use crate::trace;

/// Batches are merged until they are this large, in bytes of events.
const LARGEST_BATCH: usize = 32 * 1024 * 1024;
/// A transaction of a few rows costs the database as much as one of many. So while events keep coming, the next
/// one gathers them for three times as long as the one before it took, which leaves a quarter of the database to
/// this view, and no longer than this; unless that one had but a few events, or this one has many.
const LONGEST_GATHERING: Duration = Duration::from_millis(20);
const GATHERING: u32 = 3;
const FEW: usize = 8;
const MANY: usize = 500;
/// How much may be said before the thread listens. It listens between any two jobs.
const REPORTS: usize = 64;

pub struct Applier {
    views: Views,
    shape: Arc<Shape>,
    control: Arc<Control>,
    clock: Clock,
    settings: WorkerSettings,
    jobs: mpsc::Receiver<Job>,
    reports: crossbeam_channel::Sender<Report>,
    gathers_until: Instant,
}

impl Applier {
    pub fn new(
        views: Views,
        shape: &Arc<Shape>,
        control: &Arc<Control>,
        clock: Clock,
        settings: WorkerSettings,
    ) -> (mpsc::Sender<Job>, crossbeam_channel::Receiver<Report>, Self) {
        let (sender, jobs) = mpsc::channel(settings.queued_batches.max(1));
        let (reports, receiver) = crossbeam_channel::bounded(settings.queued_batches + REPORTS);
        let (shape, control) = (shape.clone(), control.clone());
        let gathers_until = clock::instant();
        (sender, receiver, Self { views, shape, control, clock, settings, jobs, reports, gathers_until })
    }

    /// Writes until the thread drops its end of the queue.
    pub async fn run(mut self) {
        let mut check_at = clock::instant();
        loop {
            let until_check = check_at.saturating_duration_since(clock::instant());
            let job = tokio::select! {
                // However many jobs there are.
                biased;
                () = clock::sleep(until_check) => None,
                job = self.jobs.recv() => Some(job),
            };
            match job {
                Some(Some(Job::Write(write))) => self.write(write).await,
                Some(Some(Job::Locate)) => self.locate().await,
                Some(None) => return,
                None => {
                    self.look_for_resets().await;
                    check_at = clock::instant() + self.settings.reset_check;
                }
            }
        }
    }

    fn report(&self, report: Report) {
        // There is room for the few jobs that can be under way; without a thread nobody needs to know.
        let _ = self.reports.try_send(report);
        turns::stir();
    }

    /// A reset shows in the next batch; but an idle view has none. An exchanged generation shows only here.
    async fn look_for_resets(&self) {
        // The thread may be busy; what it has not read yet says enough.
        if let Some(progress) = self.heard(self.progress().await)
            && self.reports.len() < REPORTS / 2
        {
            self.report(Report::Progress(progress));
        }
    }

    /// What the database said; if it did not, says so.
    fn heard<T>(&self, said: Result<T, ViewError>) -> Option<T> {
        match said {
            Ok(said) => {
                self.control.set_status(|status| status.database = None);
                Some(said)
            }
            Err(error @ ViewError::ShapeChanged { .. }) => {
                self.report(Report::Unfit(error));
                None
            }
            Err(error) => {
                self.complain(&error.to_string());
                None
            }
        }
    }

    async fn progress(&self) -> Result<Progress, ViewError> {
        self.in_time(self.views.store().progress(&self.shape)).await
    }

    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, ViewError>>) -> Result<T, ViewError> {
        let silent = || ViewError::Unavailable("it does not answer".to_owned());
        clock::within(self.settings.hand_over, asked).await.ok_or_else(silent)?
    }

    async fn locate(&self) {
        let limit = self.settings.parked_aggregates;
        let located: Result<Located, ViewError> = async {
            let progress = self.progress().await?;
            let parked = self.in_time(self.views.store().parked(&self.shape, progress.generation, limit)).await?;
            Ok(Located { progress, parked })
        }
        .await;
        self.report(Report::Located(self.heard(located).unwrap_or_default()));
    }

    /// Writes a batch, and those that wait behind it as far as they fit.
    async fn write(&mut self, first: Write) {
        let Write { mut number, mut batch, mut measured, mut bytes } = first;
        if self.control.is_discarded(number) {
            return self.report(Report::Done(number));
        }
        let mut locate = false;
        while !locate && batch.events() < self.settings.batch_events && bytes < LARGEST_BATCH {
            match self.next_job(batch.events()).await {
                Some(Job::Write(next)) => {
                    number = next.number;
                    if !self.control.is_discarded(number) {
                        bytes += next.bytes;
                        measured.merge(next.measured);
                        batch.merge(next.batch);
                    }
                }
                Some(Job::Locate) => locate = true,
                None => break,
            }
        }
        let begun = clock::instant();
        let report = self.write_for_sure(&batch, number, &measured).await;
        self.report(report);
        if batch.events() > FEW {
            self.gathers_until = clock::instant() + (clock::elapsed(begun) * GATHERING).min(LONGEST_GATHERING);
        }
        if locate {
            self.locate().await;
        }
    }

    /// What waits; and what comes in time, if a batch of so many events is still to gather.
    async fn next_job(&mut self, events: usize) -> Option<Job> {
        if let Ok(job) = self.jobs.try_recv() {
            return Some(job);
        }
        let left = self.gathers_until.checked_duration_since(clock::instant()).filter(|_| events < MANY)?;
        clock::within(left, self.jobs.recv()).await.flatten()
    }

    /// Tries until it is written or worthless.
    async fn write_for_sure(&self, batch: &Batch, number: u64, measured: &Measured) -> Report {
        let (least, most) = self.settings.retry;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(least)
            .with_max_delay(most)
            .with_jitter()
            .with_jitter_seed(clock::random());
        let mut pauses = pauses.without_max_times().build();
        while !self.control.is_discarded(number) {
            let begun = clock::instant();
            let applied = clock::within(self.settings.transaction_limit, self.apply(batch)).await;
            match applied {
                Some(Ok(Applied::Done)) => {
                    self.measure(batch.events(), clock::elapsed(begun), measured.newest);
                    self.control.set_status(|status| status.database = None);
                    self.views.has_changed(self.control.view());
                    return Report::Done(number);
                }
                Some(Ok(Applied::Moved)) => {
                    measured.spans.iter().for_each(|span| trace::fail(span, "the view has moved on without it"));
                    return Report::Moved(number);
                }
                Some(Err(error)) => self.complain(&describe(&error)),
                None => self.complain("a transaction did not end in time"),
            }
            let pause = pauses.next().unwrap_or(most);
            clock::within(pause, self.control.changed()).await;
        }
        Report::Done(number)
    }

    async fn apply(&self, batch: &Batch) -> Result<Applied, ViewError> {
        let store = self.views.store();
        if is_planted!(ViewPositionOutsideTransaction) {
            let (changes, positions) = batch.torn();
            store.apply(&changes).await?;
            return store.apply(&positions).await;
        }
        store.apply(batch).await
    }

    fn complain(&self, reason: &str) {
        let view = self.control.view();
        tracing::warn!(view, reason, "the view's database does not take what was folded; trying again");
        metrics::counter!("headwater_view_retries_total", "view" => view).increment(1);
        self.control.set_status(|status| status.database = Some(format!("view {view}: {reason}")));
    }

    #[expect(clippy::cast_precision_loss, reason = "a metric; nothing is computed from it")]
    fn measure(&self, events: usize, took: Duration, newest: Timestamp) {
        let view = self.control.view();
        metrics::counter!("headwater_view_events_total", "view" => view).increment(events as u64);
        metrics::histogram!("headwater_view_batch_events", "view" => view).record(events as f64);
        metrics::histogram!("headwater_view_apply_seconds", "view" => view).record(took.as_secs_f64());
        let delay = self.clock.now().since(newest);
        metrics::gauge!("headwater_view_delay_ms", "view" => view).set(delay.as_secs_f64() * 1000.0);
    }
}

/// An error that trying again will not mend is said as one.
fn describe(error: &ViewError) -> String {
    if error.is_temporary() { error.to_string() } else { format!("{error}; this will not pass by itself") }
}
