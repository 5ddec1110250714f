//! What a program calls: save, and read what was saved.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::command::Outcome;
use crate::engine::{CallError, Calls, Judged, SendOptions};
use crate::position::{Partition, Position, Sequence};
use crate::topology::partition_of;
use serde::Serialize;

use super::entity::{self, Entity, RecordError};
use super::query::{Entry, Limit, Page, ReadRecords};
use super::record::{Key, KeyError, Record};
use super::series::{Delete, RecordsError, Save, Series, SeriesCommand};

/// How long one call waits for its answer.
const WAIT: Duration = Duration::from_secs(10);

/// The records of entity `E`. Cheap to clone.
///
/// What is saved through a journal or a clone of it is there when the same is read from afterwards; what
/// others save appears a moment later.
#[derive(Clone)]
pub struct Journal<E> {
    calls: Calls,
    /// How far each partition must be read to find what was saved here.
    saved: Arc<Mutex<BTreeMap<Partition, Sequence>>>,
    entity: PhantomData<fn() -> E>,
}

/// Where a save or a delete came to stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The key's version since then.
    pub version: i64,
    /// Where a query has to wait for to find it.
    pub position: Position,
}

/// Why a journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A record is none of the entity.
    #[error("record {}: {source}", index + 1)]
    Record {
        /// Which of those given, from 0.
        index: usize,
        /// What is wrong with it.
        source: RecordError,
    },
    /// There are no records to save, or too many.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// It cannot be told whether it was done; to do it again may save it twice.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It was not done.
    #[error("not saved: {0}")]
    NotDone(String),
}

fn calm() -> SendOptions {
    SendOptions { wait: WAIT, ..SendOptions::default() }
}

impl Receipt {
    /// Of a command that was accepted.
    pub fn of(judged: &Judged) -> Result<Self, JournalError> {
        if let (Outcome::Accepted(accepted), Some(position)) = (&judged.outcome, judged.position()) {
            return Ok(Self { version: accepted.version.0, position });
        }
        let answer = serde_json::to_string(&judged.answer()).unwrap_or_else(|error| error.to_string());
        Err(JournalError::NotDone(answer))
    }
}

impl<E: Entity> Save<E> {
    /// Saves these records; the first one that is none of the entity is named.
    pub fn of(records: &[impl Serialize]) -> Result<Self, JournalError> {
        let record = |(index, record)| Record::of(record).map_err(|source| JournalError::Record { index, source });
        let records: Vec<_> = records.iter().enumerate().map(record).collect::<Result<_, _>>()?;
        Ok(Self { records: records.try_into()? })
    }
}

impl<E: Entity> Journal<E> {
    /// The records of `E` in an application that has [`Series<E>`](Series) and its view.
    pub fn new(calls: Calls) -> Self {
        const { assert!(entity::names_are_free(E::FIELDS), "no field is named version, time or other") };
        Self { calls, saved: Arc::default(), entity: PhantomData }
    }

    /// Saves a record: a JSON object, or what is one in JSON.
    pub async fn save(&self, key: &str, record: &(impl Serialize + Sync)) -> Result<Receipt, JournalError> {
        self.save_many(key, std::slice::from_ref(record)).await
    }

    /// Saves records in this order: all of them, or none.
    pub async fn save_many(&self, key: &str, records: &[impl Serialize + Sync]) -> Result<Receipt, JournalError> {
        Receipt::of(&self.send(&key.parse()?, Save::of(records)?, calm()).await?)
    }

    /// Empties a key. [`at`](Self::at) an earlier time it still answers; a later save starts anew.
    pub async fn delete(&self, key: &str) -> Result<Receipt, JournalError> {
        Receipt::of(&self.send(&key.parse()?, Delete {}, calm()).await?)
    }

    /// The newest record.
    pub async fn last(&self, key: &str) -> Result<Option<Entry>, JournalError> {
        let mut query = ReadRecords::of(key.parse()?);
        query.limit = Limit::up_to(1);
        Ok(self.read(query).await?.records.pop())
    }

    /// The newest records, so many at most, the newest first.
    pub async fn many(&self, key: &str, limit: usize) -> Result<Vec<Entry>, JournalError> {
        let mut query = ReadRecords::of(key.parse()?);
        let mut records = Vec::new();
        loop {
            query.limit = Limit::up_to(limit - records.len());
            let page = self.read(query.clone()).await?;
            records.extend(page.records);
            query.before = page.next;
            if query.before.is_none() || records.len() >= limit {
                return Ok(records);
            }
        }
    }

    /// How many records there are.
    pub async fn count(&self, key: &str) -> Result<i64, JournalError> {
        Ok(self.read(ReadRecords::of(key.parse()?)).await?.count)
    }

    /// The record that was the newest at a time; of several saved at that very time, the one saved last.
    pub async fn at(&self, key: &str, time: Moment) -> Result<Option<Entry>, JournalError> {
        let mut query = ReadRecords::of(key.parse()?);
        (query.limit, query.time) = (Limit::up_to(1), Some(time));
        Ok(self.read(query).await?.records.pop())
    }

    /// What is under a key, now or at a time, a page at a time.
    pub async fn read(&self, query: ReadRecords<E>) -> Result<Page, JournalError> {
        self.read_at(query, &[], WAIT).await
    }

    /// The same once what led to these positions is there as well; waits at most `wait` for it.
    pub async fn read_at(&self, query: ReadRecords<E>, at: &[Position], wait: Duration) -> Result<Page, JournalError> {
        let partition = partition_of(query.key.as_str().as_bytes(), self.calls.engine().topology.partitions);
        let saved = self.saved().get(&partition).copied();
        let saved = saved.map(|sequence| Position { aggregate: E::NAME.to_owned(), partition, sequence });
        let at: Vec<_> = at.iter().cloned().chain(saved).collect();
        Ok(self.calls.ask(query, &at, wait).await?.answer.unwrap_or_default())
    }

    /// Sends a command for a key with all that may be said of one: a name, so that a repeat saves nothing
    /// twice, or the version that the key must be at.
    pub async fn send(
        &self,
        key: &Key,
        command: impl Into<SeriesCommand<E>>,
        options: SendOptions,
    ) -> Result<Judged, JournalError> {
        let judged = self.calls.send_to::<Series<E>>(key, command, options).await?;
        if let Some(position) = judged.position() {
            let mut saved = self.saved();
            let reached = saved.entry(position.partition).or_insert(position.sequence);
            *reached = position.sequence.max(*reached);
        }
        Ok(judged)
    }

    fn saved(&self) -> MutexGuard<'_, BTreeMap<Partition, Sequence>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
