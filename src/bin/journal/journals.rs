//! The journals of this application by the names of their entities, as the command line and HTTP ask for
//! them.

use async_trait::async_trait;
use headwater::engine::{BadInput, Calls, suggest};
use headwater::journal::{Entity, Field, Journal, JournalError, Key, Limit, Moment, Page, ReadRecords, Receipt};
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
    pub fn find(&self, entity: &str) -> Result<&dyn AnyJournal, BadInput> {
        let found = self.0.iter().find(|journal| journal.name() == entity);
        found.map(AsRef::as_ref).ok_or_else(|| {
            let hint = suggest(entity, self.0.iter().map(|journal| journal.name()));
            BadInput::at("/entity", format!("there is no entity {entity:?}{hint}"))
        })
    }
}

/// What is to be read of a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// How many records.
    pub limit: Limit,
    /// As it was at this time.
    pub time: Option<Moment>,
    /// Only those before this version.
    pub before: Option<i64>,
}

/// A journal without its type.
#[async_trait]
pub trait AnyJournal: Send + Sync {
    /// The name of its entity.
    fn name(&self) -> &'static str;
    /// The fields of its entity.
    fn fields(&self) -> &'static [Field];
    /// Saves records under a key: all, or none.
    async fn save(&self, key: &str, records: &[Value]) -> Result<Receipt, JournalError>;
    /// Empties a key.
    async fn delete(&self, key: &str) -> Result<Receipt, JournalError>;
    /// What is under a key.
    async fn read(&self, key: &str, asked: Asked) -> Result<Page, JournalError>;
}

#[async_trait]
impl<E: Entity> AnyJournal for Journal<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    fn fields(&self) -> &'static [Field] {
        E::FIELDS
    }

    async fn save(&self, key: &str, records: &[Value]) -> Result<Receipt, JournalError> {
        self.save_many(key, records).await
    }

    async fn delete(&self, key: &str) -> Result<Receipt, JournalError> {
        Self::delete(self, key).await
    }

    async fn read(&self, key: &str, asked: Asked) -> Result<Page, JournalError> {
        let mut query = ReadRecords::of(key.parse::<Key>()?);
        (query.limit, query.time, query.before) = (asked.limit, asked.time, asked.before);
        Self::read(self, query).await
    }
}
