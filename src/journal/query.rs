//! The question: what is there under a key, now or at a time.

use std::marker::PhantomData;

use crate::clock::Moment;
use crate::projection::Value;
use crate::query::{self, Query, QueryError, Rows};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::entity::Entity;
use super::record::Key;
use super::view::RecordsView;

/// What is under a key of entity `E`: how many records, and a page of them, the newest first.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
pub struct ReadRecords<E> {
    /// The key.
    pub key: Key,
    /// How many records at most.
    #[serde(default)]
    pub limit: Limit,
    /// As it was at this time; what happened at one and the same time counts as a whole.
    #[serde(default)]
    pub time: Option<Moment>,
    /// Only records before this version: `next` of the page before.
    #[serde(default)]
    pub before: Option<i64>,
    #[serde(skip)]
    entity: PhantomData<fn() -> E>,
}

impl<E: Entity> ReadRecords<E> {
    /// What is under a key now: only how many records, until a limit is set.
    #[must_use]
    pub const fn of(key: Key) -> Self {
        Self { key, limit: Limit::least(), time: None, before: None, entity: PhantomData }
    }
}

/// How many records are read at once: 0 to 10,000, and 100 if nothing is said.
pub type Limit = query::Limit<0, 10_000>;

/// What is under a key.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Page {
    /// How many records there are.
    pub count: i64,
    /// Some of them, the newest first.
    pub records: Vec<Entry>,
    /// What to ask for as `before` to have the next page; none if there are no more.
    pub next: Option<i64>,
}

/// A record with its place in time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The key's version that it made.
    pub version: i64,
    /// When it was saved.
    pub time: Moment,
    /// The record.
    pub record: Box<RawValue>,
}

#[derive(Deserialize)]
struct Newest {
    version: i64,
    counted: i64,
}

#[derive(Deserialize)]
struct Row {
    version: i64,
    time: Moment,
    record: String,
}

impl TryFrom<Row> for Entry {
    type Error = QueryError;

    fn try_from(Row { version, time, record }: Row) -> Result<Self, QueryError> {
        let record = RawValue::from_string(record).map_err(|error| QueryError::Row(format!("record: {error}")))?;
        Ok(Self { version, time, record })
    }
}

impl<E: Entity> Query for ReadRecords<E> {
    const NAME: &'static str = E::NAME;
    type Answer = Page;
    type Reads = RecordsView<E>;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<Page>, QueryError> {
        let key = self.key.as_str();
        let newest = if let Some(Moment(time)) = self.time {
            let sql = "SELECT version, counted FROM records WHERE key = ? AND time <= ? \
                       ORDER BY time DESC, version DESC LIMIT 1";
            rows.one(sql, (key, time)).await?
        } else {
            let sql = "SELECT version, counted FROM records WHERE key = ? ORDER BY version DESC LIMIT 1";
            rows.one(sql, (key,)).await?
        };
        let Some(Newest { version, counted }) = newest else { return Ok(Some(Page::default())) };
        let last = self.before.map_or(version, |before| version.min(before.saturating_sub(1)));
        // Versions have no gap, so the records that count are the last so many.
        let first = version - counted + 1;
        let first = first.max(last.saturating_sub(self.limit.rows()) + 1);
        let sql = "SELECT version, time, record FROM records \
                   WHERE key = ? AND version BETWEEN ? AND ? ORDER BY version DESC";
        let parameters: [Value; 3] = [key.into(), first.into(), last.into()];
        let found: Vec<Row> = if first > last { Vec::new() } else { rows.all(sql, parameters.to_vec()).await? };
        let records = found.into_iter().map(Entry::try_from).collect::<Result<_, _>>()?;
        let next = (first > version - counted + 1 && first <= last).then_some(first);
        Ok(Some(Page { count: counted, records, next }))
    }
}
