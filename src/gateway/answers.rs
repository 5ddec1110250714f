//! Answers to queries, read once for all who ask the same at the same time.
//!
//! What it promises: an answer is what the views would give now. Whoever asks shares a reading only with
//! those who asked before it began, and an answer that is kept is given again only if the views have not moved
//! since, which is asked once for all who want to know. What is kept is bounded in size and, should a query
//! break its promise to depend on nothing but its views, in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::problem::Problem;
use super::queries::listed;
use super::rounds::Rounds;
use crate::clock;
use crate::engine::Calls;
use crate::query::{Answer, ViewFlags, ViewMoment};

/// The most that is kept, in bytes, and of how many answers about.
const KEPT_BYTES: u64 = 32 * 1024 * 1024;
const KEPT_ANSWERS: usize = 16 * 1024;
/// A longer answer is not kept.
const LONGEST_KEPT: usize = 64 * 1024;
/// How long one is kept.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// What an answer takes beside its text.
const OVERHEAD: usize = 256;

/// A query with its fields as in a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub name: String,
    pub fields: String,
}

/// An answer as it is sent.
#[derive(Clone, Debug)]
pub struct Shown {
    /// `None` if there is no such thing.
    pub body: Option<Bytes>,
    /// Where the views were, as a header has it.
    pub positions: String,
    pub flags: ViewFlags,
}

#[derive(Clone)]
struct Kept {
    shown: Arc<Shown>,
    moment: ViewMoment,
    since: Instant,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Question, Kept> for Weight {
    fn weight(&self, question: &Question, kept: &Kept) -> u64 {
        let Shown { body, positions, .. } = &*kept.shown;
        let body = body.as_ref().map_or(0, Bytes::len);
        (question.name.len() + question.fields.len() + body + positions.len() + OVERHEAD) as u64
    }
}

type Answered = Result<Arc<Shown>, Problem>;

/// Answers that are being read, and those that are kept.
pub struct Answers {
    calls: Calls,
    readings: Arc<Rounds<Question, Answered>>,
    moments: Arc<Rounds<String, Result<ViewMoment, Problem>>>,
    kept: Arc<Cache<Question, Kept, Weight>>,
}

impl Answers {
    pub fn new(calls: Calls) -> Self {
        let kept = Arc::new(Cache::with_weighter(KEPT_ANSWERS, KEPT_BYTES, Weight));
        Self { calls, readings: Arc::default(), moments: Arc::default(), kept }
    }

    /// The answer as it is now.
    pub async fn ask(&self, question: Question) -> Answered {
        if let Some(kept) = self.kept.get(&question).filter(|kept| kept.since.elapsed() < KEPT_FOR)
            && self.moment(&question.name).await? == kept.moment
        {
            count("kept");
            return Ok(kept.shown);
        }
        count("view");
        let (calls, kept, asked) = (self.calls.clone(), self.kept.clone(), question.clone());
        let work = move || read(calls.clone(), kept.clone(), asked.clone());
        self.readings.join(question, work).await.unwrap_or_else(|| Err(panicked()))
    }

    async fn moment(&self, query: &str) -> Result<ViewMoment, Problem> {
        let (calls, name) = (self.calls.clone(), query.to_owned());
        let work = move || {
            let (calls, name) = (calls.clone(), name.clone());
            async move { Ok(calls.moment_of(&name).await?) }
        };
        self.moments.join(query.to_owned(), work).await.unwrap_or_else(|| Err(panicked()))
    }
}

async fn read(calls: Calls, kept: Arc<Cache<Question, Kept, Weight>>, question: Question) -> Answered {
    // No position is waited for.
    let answer = calls.ask_in_url(&question.name, &question.fields, &[], Duration::ZERO).await?;
    let moment = answer.moment;
    let shown = Arc::new(shown(answer));
    if shown.body.as_ref().is_none_or(|body| body.len() <= LONGEST_KEPT) {
        kept.insert(question, Kept { shown: shown.clone(), moment, since: clock::instant() });
    }
    Ok(shown)
}

/// An answer as it is sent.
pub fn shown(answer: Answer<serde_json::Value>) -> Shown {
    let Answer { answer, positions, flags, .. } = answer;
    let body = answer.map(|answer| Bytes::from(answer.to_string()));
    Shown { body, positions: listed(&positions), flags }
}

fn panicked() -> Problem {
    Problem::internal(&"reading the views panicked")
}

fn count(from: &'static str) {
    metrics::counter!("headwater_query_answers_total", "from" => from).increment(1);
}
