//! What a lane tells of the commands it judges: counters, the spans of traced commands, a log of slow ones.
//!
//! Nothing is looked up for a single command, and nothing is done for one that is neither traced nor slow.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use bytes::Bytes;
use metrics::{Counter, Gauge};
use tracing::Span;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::command::{Outcome, OutcomeEntry, ParkedSize};
use crate::lane::Moments;
use crate::log::Record;
use crate::trace;

/// The counters of one lane.
pub(super) struct Counters {
    pub repeated: Counter,
    pub dead_letters: Counter,
    pub replies_ignored: Counter,
    accepted: Counter,
    refused: Counter,
    failed: Counter,
}

impl Counters {
    pub fn of(aggregate: &'static str) -> Self {
        let judged =
            |outcome| metrics::counter!("headwater_commands_total", "aggregate" => aggregate, "outcome" => outcome);
        Self {
            repeated: metrics::counter!("headwater_commands_repeated_total", "aggregate" => aggregate),
            dead_letters: metrics::counter!("headwater_dead_letters_total", "aggregate" => aggregate),
            replies_ignored: metrics::counter!("headwater_replies_ignored_total", "aggregate" => aggregate),
            accepted: judged("accepted"),
            refused: judged("refused"),
            failed: judged("failed"),
        }
    }

    /// Counts what is committed.
    pub fn judged(&self, outcomes: &[OutcomeEntry]) {
        let (mut accepted, mut refused, mut failed) = (0, 0, 0);
        for entry in outcomes {
            match entry.outcome {
                Outcome::Accepted(_) => accepted += 1,
                Outcome::Refused(_) => refused += 1,
                Outcome::Failed(_) => failed += 1,
            }
        }
        for (counter, count) in [(&self.accepted, accepted), (&self.refused, refused), (&self.failed, failed)] {
            if count > 0 {
                counter.increment(count);
            }
        }
    }
}

/// How much is parked: one partition's part of the sum that the gauges show, gone from it when it is dropped.
#[derive(Debug)]
pub(super) struct ParkedGauge {
    aggregates: Gauge,
    commands: Gauge,
    shown: ParkedSize,
}

impl ParkedGauge {
    pub fn of(aggregate: &'static str) -> Self {
        Self {
            aggregates: metrics::gauge!("headwater_parked_aggregates", "aggregate" => aggregate),
            commands: metrics::gauge!("headwater_parked_commands", "aggregate" => aggregate),
            shown: ParkedSize::default(),
        }
    }

    /// It is this much now.
    pub fn show(&mut self, size: ParkedSize) {
        if size == self.shown {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a metric; nothing is computed from it")]
        let difference = |now: usize, before: usize| now as f64 - before as f64;
        self.aggregates.increment(difference(size.aggregates, self.shown.aggregates));
        self.commands.increment(difference(size.commands, self.shown.commands));
        self.shown = size;
    }
}

impl Drop for ParkedGauge {
    fn drop(&mut self) {
        self.show(ParkedSize::default());
    }
}

/// The spans of a traced command: from its judgement to its commit, and from its decision to there. What it
/// leads to names the second, so that a projection's span stands below the commit that it follows.
#[derive(Debug)]
pub(super) struct Traced {
    /// Begun once it is decided; ends first.
    commit: OnceCell<Span>,
    command: Span,
}

impl Traced {
    /// Begins the spans of a command, if it belongs to a trace that is recorded.
    pub fn begin(aggregate: &str, id: &str, command_id: Uuid, command: &str, record: &Record) -> Option<Self> {
        if !trace::is_recorded(record.traceparent.as_ref()) {
            return None;
        }
        let command = tracing::info_span!(
            target: trace::TARGET, "judge", otel.kind = "consumer", otel.name = format!("judge {command}"),
            aggregate, id, %command_id, command, partition = record.partition.0,
            offset = record.offset.0,
        );
        trace::follow(&command, record.traceparent.as_deref());
        Some(Self { commit: OnceCell::new(), command })
    }

    /// While the aggregate decides.
    pub const fn deciding(&self) -> &Span {
        &self.command
    }

    /// It is decided: what it leads to is to be committed.
    pub fn decided(&self) {
        let begin =
            || tracing::info_span!(target: trace::TARGET, parent: &self.command, "commit", otel.kind = "producer");
        self.commit.get_or_init(begin);
    }

    /// It was judged with this outcome.
    pub fn judged(&self, outcome: &Outcome) {
        trace::note(&self.command, "outcome", outcome.kind());
    }

    /// Its batch was not committed: it is judged anew.
    pub fn dropped(&self) {
        if let Some(commit) = self.commit.get() {
            trace::fail(commit, "not committed");
        }
        trace::fail(&self.command, "not committed; it is judged anew");
    }
}

/// The header of what a command leads to: without a span of its own the one that it came with.
pub(super) fn header(traced: Option<&Traced>, record: &Record) -> Option<Bytes> {
    traced.and_then(|traced| trace::header(traced.commit.get()?)).or_else(|| record.traceparent.clone())
}

/// Logs commands that took long, a few at a time.
pub(super) struct SlowLog {
    /// From being appended to being committed; zero logs none.
    limit: Duration,
    window: Cell<Timestamp>,
    logged: Cell<u32>,
}

impl SlowLog {
    const WINDOW: Duration = Duration::from_secs(10);
    const MOST: u32 = 10;

    pub const fn new(limit: Duration) -> Self {
        Self { limit, window: Cell::new(Timestamp::MIN), logged: Cell::new(0) }
    }

    /// Looks at what is committed. The first of a batch waited longest: if it was not slow, none was.
    pub fn committed(&self, aggregate: &'static str, outcomes: &[OutcomeEntry], names: &[&'static str], at: &Moments) {
        let is_slow = |entry: &OutcomeEntry| at.committed.since(entry.appended_at) > self.limit;
        if self.limit.is_zero() || !outcomes.first().is_some_and(is_slow) {
            return;
        }
        for (entry, name) in outcomes.iter().zip(names).filter(|(entry, _)| is_slow(entry)) {
            if self.may_log(at.committed) {
                let begun = at.begun.max(entry.appended_at);
                tracing::warn!(
                    aggregate,
                    id = &*entry.aggregate_id,
                    command_id = %entry.command_id,
                    command = name,
                    offset = entry.offset.0,
                    took = ?at.committed.since(entry.appended_at),
                    queue = ?begun.since(entry.appended_at),
                    decide = ?at.handed_over.since(begun),
                    commit = ?at.committed.since(at.handed_over),
                    "a slow command"
                );
            }
        }
    }

    fn may_log(&self, now: Timestamp) -> bool {
        if now.since(self.window.get()) > Self::WINDOW || now < self.window.get() {
            let passed_over = self.logged.get().saturating_sub(Self::MOST);
            if passed_over > 0 {
                tracing::warn!(passed_over, "more commands were slow");
            }
            self.window.set(now);
            self.logged.set(0);
        }
        self.logged.set(self.logged.get() + 1);
        self.logged.get() <= Self::MOST
    }
}
