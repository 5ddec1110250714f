//! The journal's own paths.
//!
//! | | |
//! |---|---|
//! | `POST /journal/{entity}/{key}` | saves the record that is the body |
//! | `POST /journal/{entity}/{key}/many` | saves the records of an array: all of them, or none |
//! | `GET …/last`, `GET …/at?time=` | one record, or 404 |
//! | `GET …/many?limit=&before=&format=` | the newest first: a page of them, or a data frame of any length |
//! | `GET …/count` | how many there are |
//! | `DELETE /journal/{entity}/{key}` | empties the key |

mod frame;

use std::time::Duration;

use bytes::Bytes;
use headwater::clock::{self, Moment};
use headwater::engine::{Calls, SendOptions, pointer_of};
use headwater::gateway::http::{HeaderMap, Uri};
use headwater::gateway::{self, IntoResponse, Json, Path, Problem, Response, Router, State, get, headers, post};
use headwater::journal::{Entry, FrameFormat, JournalError, Limit, Page, RecordError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::journals::{AnyJournal, Asked, Change, Journals};

/// The paths, over these calls.
pub fn routes(calls: Calls) -> Router {
    Router::new()
        .route("/journal/{entity}/{key}", post(save).delete(delete))
        .route("/journal/{entity}/{key}/many", get(many).post(save_many))
        .route("/journal/{entity}/{key}/last", get(last))
        .route("/journal/{entity}/{key}/count", get(count))
        .route("/journal/{entity}/{key}/at", get(at))
        .with_state(calls)
}

/// A key of an entity, with what the request says besides.
struct Place {
    calls: Calls,
    journal: Box<dyn AnyJournal>,
    key: String,
    heads: HeaderMap,
}

impl Place {
    /// Every request has a journal of its own, which waits for nothing that others save.
    fn of(calls: Calls, entity: &str, key: String, heads: HeaderMap) -> Result<Self, Problem> {
        let journal = Journals::new(&calls).find(entity);
        let journal = journal.map_err(|error| Problem::not_found("unknown_entity", error.rule))?;
        Ok(Self { calls, journal, key, heads })
    }

    fn wait(&self) -> Duration {
        let settings = &self.calls.engine().settings.http;
        headers::preferences(&self.heads).wait.map_or(settings.wait.0, |asked| asked.min(settings.longest_wait.0))
    }

    async fn change(self, change: Change<'_>, is_alone: bool) -> Result<Response, Problem> {
        let command_id = headers::idempotency_key(&self.heads)?.unwrap_or_else(clock::new_id);
        let given = headers::issued_at(&self.heads)?;
        let now = || clock::time_of_id(command_id).is_none().then(|| self.calls.engine().clock.now());
        let options = SendOptions {
            wait: self.wait(),
            command_id: Some(command_id),
            // A key that does not say when it was made was, for all that is known, made now.
            issued_at: given.or_else(now),
            expect: headers::expected_version(&self.heads)?,
        };
        let judged = self.journal.change(&self.key, change, options).await;
        gateway::respond(&judged.map_err(|error| problem(error, is_alone))?)
    }

    async fn read(&self, mut asked: Asked) -> Result<Page, Problem> {
        asked.at = headers::positions(&self.heads)?;
        self.journal.read(&self.key, &asked, self.wait()).await.map_err(|error| problem(error, true))
    }

    async fn newest(&self, time: Option<Moment>) -> Result<Response, Problem> {
        let page = self.read(Asked { limit: Limit::up_to(1), time, ..Asked::default() }).await?;
        let newest: Option<Entry> = page.records.into_iter().next();
        newest
            .map(|entry| Json(entry).into_response())
            .ok_or_else(|| Problem::not_found("no_record", format!("there is no record under {:?}", self.key)))
    }
}

type Named = Path<(String, String)>;

async fn save(
    State(calls): State<Calls>,
    Path((entity, key)): Named,
    heads: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let record: Value = parsed(&body)?;
    Place::of(calls, &entity, key, heads)?.change(Change::Save(&[record]), true).await
}

async fn save_many(
    State(calls): State<Calls>,
    Path((entity, key)): Named,
    heads: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let records: Vec<Value> = parsed(&body)?;
    Place::of(calls, &entity, key, heads)?.change(Change::Save(&records), false).await
}

async fn delete(State(calls): State<Calls>, Path((entity, key)): Named, heads: HeaderMap) -> Result<Response, Problem> {
    Place::of(calls, &entity, key, heads)?.change(Change::Delete, true).await
}

async fn last(State(calls): State<Calls>, Path((entity, key)): Named, heads: HeaderMap) -> Result<Response, Problem> {
    Place::of(calls, &entity, key, heads)?.newest(None).await
}

async fn at(
    State(calls): State<Calls>,
    Path((entity, key)): Named,
    uri: Uri,
    heads: HeaderMap,
) -> Result<Response, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        time: Moment,
    }
    let Fields { time } = fields(&uri)?;
    Place::of(calls, &entity, key, heads)?.newest(Some(time)).await
}

async fn count(State(calls): State<Calls>, Path((entity, key)): Named, heads: HeaderMap) -> Result<Response, Problem> {
    let place = Place::of(calls, &entity, key, heads)?;
    let page = place.read(Asked { limit: Limit::up_to(0), ..Asked::default() }).await?;
    Ok(Json(json!({ "count": page.count })).into_response())
}

async fn many(
    State(calls): State<Calls>,
    Path((entity, key)): Named,
    uri: Uri,
    heads: HeaderMap,
) -> Result<Response, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        limit: Option<i64>,
        before: Option<i64>,
        format: Option<String>,
    }
    let Fields { limit, before, format } = fields(&uri)?;
    let wrong = |rule: String| Problem::bad_field("/limit", rule);
    let place = Place::of(calls, &entity, key, heads)?;
    let Some(format) = format else {
        let limit = limit.map_or(Ok(Limit::default()), Limit::try_from).map_err(|error| wrong(error.to_string()))?;
        return Ok(Json(place.read(Asked { limit, before, ..Asked::default() }).await?).into_response());
    };
    let format = format.parse::<FrameFormat>().map_err(|error| Problem::bad_field("/format", error.to_string()))?;
    let limit = limit.map(usize::try_from).transpose();
    let limit = limit.map_err(|_| wrong("must be a number of records, or left out for all".to_owned()))?;
    frame::of(place, format, limit.unwrap_or(usize::MAX), before).await
}

/// The fields after the `?`.
fn fields<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let text = uri.query().unwrap_or_default();
    let fields = serde_html_form::Deserializer::from_bytes(text.as_bytes());
    serde_path_to_error::deserialize(fields)
        .map_err(|error| Problem::bad_field(&pointer_of(error.path()), error.into_inner().to_string()))
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad_input(format!("malformed JSON: {error}")))
}

/// What is wrong, and where in the body: in the record that it is, or in one of an array.
fn problem(error: JournalError, is_alone: bool) -> Problem {
    match error {
        JournalError::Key(error) => Problem::bad_input(error.to_string()).with("parameter", "key"),
        JournalError::Record { index, source } => {
            let place = if is_alone { String::new() } else { format!("/{index}") };
            match source {
                RecordError::Field { field, rule } => {
                    Problem::bad_field(&format!("{place}/{field}"), format!("{field} {rule}"))
                }
                RecordError::NoObject(_) => Problem::bad_field(&place, source.to_string()),
            }
        }
        JournalError::Records(error) => Problem::bad_input(error.to_string()),
        JournalError::Call(error) => error.into(),
        JournalError::NotDone(reason) => Problem::unavailable("not_saved", reason),
    }
}
