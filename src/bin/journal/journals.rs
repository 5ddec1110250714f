//! The journals of this application by the names of their entities, as the command line and HTTP ask for
//! them.

use std::time::Duration;

use async_trait::async_trait;
use headwater::clock::Moment;
use headwater::engine::{BadInput, Calls, Judged, SendOptions, suggest};
use headwater::journal::{Delete, Entity, Field, Journal, JournalError, Key, Limit, Page, ReadRecords, Save};
use headwater::position::Position;
use serde_json::Value;

use crate::entities::{Quote, Reading};

/// Every journal of this application.
pub struct Journals([Box<dyn AnyJournal>; 2]);

impl Journals {
    /// All of them.
    pub fn new(calls: &Calls) -> Self {
        Self([Box::new(Journal::<Reading>::new(calls.clone())), Box::new(Journal::<Quote>::new(calls.clone()))])
    }

    /// The journal of this entity.
    pub fn find(self, entity: &str) -> Result<Box<dyn AnyJournal>, BadInput> {
        let hint = suggest(entity, self.0.iter().map(|journal| journal.name()));
        let found = self.0.into_iter().find(|journal| journal.name() == entity);
        found.ok_or_else(|| BadInput::at("/entity", format!("there is no entity {entity:?}{hint}")))
    }
}

/// What is to be done to a key.
#[derive(Clone, Copy, Debug)]
pub enum Change<'r> {
    /// These records are saved: all, or none.
    Save(&'r [Value]),
    /// It is emptied.
    Delete,
}

/// What is to be read of a key.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// How many records.
    pub limit: Limit,
    /// As it was at this time.
    pub time: Option<Moment>,
    /// Only those before this version.
    pub before: Option<i64>,
    /// Once all that led to these positions is there.
    pub at: Vec<Position>,
}

/// A journal without its type.
#[async_trait]
pub trait AnyJournal: Send + Sync {
    /// The name of its entity.
    fn name(&self) -> &'static str;
    /// The fields of its entity.
    fn fields(&self) -> &'static [Field];
    /// Changes what is under a key.
    async fn change(&self, key: &str, change: Change<'_>, options: SendOptions) -> Result<Judged, JournalError>;
    /// What is under a key.
    async fn read(&self, key: &str, asked: &Asked, wait: Duration) -> Result<Page, JournalError>;
}

#[async_trait]
impl<E: Entity> AnyJournal for Journal<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    fn fields(&self) -> &'static [Field] {
        E::FIELDS
    }

    async fn change(&self, key: &str, change: Change<'_>, options: SendOptions) -> Result<Judged, JournalError> {
        let key = key.parse()?;
        match change {
            Change::Save(records) => self.send(&key, Save::of(records)?, options).await,
            Change::Delete => self.send(&key, Delete {}, options).await,
        }
    }

    async fn read(&self, key: &str, asked: &Asked, wait: Duration) -> Result<Page, JournalError> {
        let mut query = ReadRecords::of(key.parse::<Key>()?);
        (query.limit, query.time, query.before) = (asked.limit, asked.time, asked.before);
        self.read_at(query, &asked.at, wait).await
    }
}
