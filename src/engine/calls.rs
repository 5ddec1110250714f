//! The engine as faces and applications call it: send a command, ask a query.
//!
//! What it promises: a call never waits longer than it was told to, and never for room: if as many
//! commands are under way as there may be, or the log is away, it says so at once. Every command whose
//! sending was begun has an end; one whose outcome is [unknown](ClientError::Unknown) may be sent again
//! under the same id.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::outcome::{LookUp, LookUpError, Search};
use super::query::AskError;
use super::readers::Readers;
use super::{BadInput, CommandInput, Engine, EngineError, PrepareError};
use crate::aggregate::Aggregate;
use crate::clock::Timestamp;
use crate::command::{Answer as OutcomeAnswer, Client, ClientError, Outcome};
use crate::position::{Partition, Position, Version};
use crate::query::{Answer, Query, QueryError, ViewMoment};
use crate::schema::SchemaError;

/// How long a call waits that says nothing else.
const WAIT: Duration = Duration::from_secs(5);

/// The engine, to be called. Cheap to clone.
#[derive(Clone)]
pub struct Calls {
    engine: Arc<Engine>,
    client: Arc<Client>,
    readers: Arc<Readers>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calls")
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// What was given breaks a rule.
    #[error(transparent)]
    Input(#[from] BadInput),
    /// There is no outcome; [`ClientError`] says whether the command may have been judged.
    #[error(transparent)]
    Command(#[from] ClientError),
    /// The query was not answered.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// An outcome was not looked up.
    #[error(transparent)]
    LookUp(#[from] LookUpError),
    /// A message cannot be written.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl From<PrepareError> for CallError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Input(error) => Self::Input(error),
            PrepareError::Schema(error) => Self::Schema(error),
        }
    }
}

impl From<AskError> for CallError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Input(error) => Self::Input(error),
            AskError::Query(error) => Self::Query(error),
        }
    }
}

/// What else is to be said of a command than what it is.
#[derive(Clone, Copy, Debug)]
pub struct SendOptions {
    /// How long to wait for the outcome; 5 seconds by default.
    pub wait: Duration,
    /// Names the command: a repeat is answered with the first outcome. One is made if there is none.
    pub command_id: Option<Uuid>,
    /// When it was issued, if its id does not say so.
    pub issued_at: Option<Timestamp>,
    /// Judge it only if the aggregate stands at this version.
    pub expect: Option<Version>,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self { wait: WAIT, command_id: None, issued_at: None, expect: None }
    }
}

/// A command with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The aggregate's type name.
    pub aggregate: String,
    /// The aggregate's id.
    pub id: String,
    /// The command's id.
    pub command_id: Uuid,
    /// What became of it.
    pub outcome: Outcome,
}

impl Judged {
    /// Where the partition stood after it was judged, to be waited for by a query; only of an accepted one.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let Outcome::Accepted(accepted) = &self.outcome else { return None };
        let (aggregate, partition, sequence) = (self.aggregate.clone(), accepted.partition, accepted.sequence);
        Some(Position { aggregate, partition, sequence })
    }

    /// As it is shown in JSON.
    #[must_use]
    pub fn answer(&self) -> OutcomeAnswer<'_> {
        let Self { aggregate, id, command_id, outcome } = self;
        OutcomeAnswer { aggregate, id, command_id: *command_id, outcome }
    }
}

impl Calls {
    /// Makes ready to send at most `in_flight` commands at once.
    pub async fn open(engine: &Arc<Engine>, in_flight: usize) -> Result<Self, EngineError> {
        Self::opened(engine, move |engine| engine.client(in_flight)).await
    }

    /// The same for a process that sends commands as long as it lives: it has a partition of the replies of
    /// its own.
    pub async fn open_for_long(engine: &Arc<Engine>, in_flight: usize) -> Result<Self, EngineError> {
        Self::opened(engine, move |engine| engine.client_with_own_replies(in_flight)).await
    }

    async fn opened(
        engine: &Arc<Engine>,
        client: impl FnOnce(&Engine) -> Result<Client, EngineError> + Send + 'static,
    ) -> Result<Self, EngineError> {
        let of = engine.clone();
        let opened = tokio::task::spawn_blocking(move || {
            for aggregate in &of.aggregates {
                aggregate.warm()?;
            }
            client(&of)
        });
        let client = opened.await.map_err(|error| crate::log::LogError::Fatal(error.to_string()))??;
        let readers = Readers::new(engine.log.clone());
        Ok(Self { engine: engine.clone(), client: Arc::new(client), readers: Arc::new(readers) })
    }

    /// Where commands ask for their replies now.
    #[must_use]
    pub fn replies_partition(&self) -> Partition {
        Partition(self.client.reply_to().partition)
    }

    /// Lets go of the log, if this is the last clone: nothing of it is under way any more when this comes back.
    pub async fn close(self) {
        let Some(client) = Arc::into_inner(self.client) else { return };
        if let Err(error) = tokio::task::spawn_blocking(move || client.close()).await {
            tracing::error!(%error, "the command client was not closed");
        }
    }

    /// The application, connected.
    #[must_use]
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(super) const fn readers(&self) -> &Arc<Readers> {
        &self.readers
    }

    /// Sends a command that is given by name, and waits for its outcome.
    pub async fn send(&self, input: CommandInput, wait: Duration) -> Result<Judged, CallError> {
        let aggregate = input.aggregate.clone();
        let command = self.engine.prepare(input, Some(self.client.reply_to()))?;
        let (id, command_id) = (command.id.clone(), command.command_id);
        let outcome = self.client.try_submit(command, wait)?.outcome().await?;
        Ok(Judged { aggregate, id, command_id, outcome })
    }

    /// Writes a command that is given by name to the log, and does not wait until it is judged. Its id,
    /// once the log has acknowledged it.
    pub async fn post(&self, input: CommandInput, wait: Duration) -> Result<Uuid, CallError> {
        let command = self.engine.prepare(input, None)?;
        let command_id = command.command_id;
        self.client.post(command, wait).await?;
        Ok(command_id)
    }

    /// Sends a command of aggregate `A`, one of the application's, and waits for its outcome.
    pub async fn send_to<A: Aggregate>(
        &self,
        id: &A::Id,
        command: impl Into<A::Command>,
        options: SendOptions,
    ) -> Result<Judged, CallError> {
        let command = self.engine.prepare_value::<A>(id, &command.into(), &options, self.client.reply_to())?;
        let (id, command_id) = (command.id.clone(), command.command_id);
        let outcome = self.client.try_submit(command, options.wait)?.outcome().await?;
        Ok(Judged { aggregate: A::NAME.to_owned(), id, command_id, outcome })
    }

    /// What became of a command that was issued at this time, sooner or later. Its outcome is found for as
    /// long as outcomes are kept.
    pub async fn outcome(
        &self,
        aggregate: &str,
        id: &str,
        command_id: Uuid,
        issued_at: Timestamp,
    ) -> Result<LookUp, CallError> {
        let aggregate = self.engine.aggregate(aggregate)?.clone();
        aggregate.check_id(id)?;
        let (id, partition) = (id.to_owned(), self.engine.partition_of(id));
        let remembered = self.engine.settings.processor.remember();
        let found = self.readers.lend(move |log, reader| {
            let aggregate = aggregate.as_ref();
            Search { log, reader, aggregate, partition, id: &id, command_id, issued_at, remembered }.run()
        });
        Ok(found.await?)
    }

    /// Asks a query, once its views have reached every position in `at`; waits at most `wait` for it.
    pub async fn ask<Q: Query>(
        &self,
        query: Q,
        at: &[Position],
        wait: Duration,
    ) -> Result<Answer<Q::Answer>, CallError> {
        let views = self.engine.views().await.map_err(QueryError::from)?;
        Ok(views.ask(query, at, wait).await?)
    }

    /// Asks a query that is given by name, as [`ask`](Self::ask) does.
    pub async fn ask_by_name(
        &self,
        name: &str,
        fields: Value,
        at: &[Position],
        wait: Duration,
    ) -> Result<Answer<Value>, CallError> {
        let query = self.engine.app.find_query(name)?;
        let views = self.engine.views().await.map_err(QueryError::from)?;
        Ok(query.ask(views, fields, at, wait).await?)
    }

    /// Where the views of a query are now: what it was answered at an equal moment is still the answer.
    pub async fn moment_of(&self, name: &str) -> Result<ViewMoment, CallError> {
        let query = self.engine.app.find_query(name)?;
        let views = self.engine.views().await.map_err(QueryError::from)?;
        Ok(query.moment(views).await?)
    }

    /// The same as [`ask_by_name`](Self::ask_by_name) with its fields as in the query part of a URL: `name=value&…`.
    pub async fn ask_in_url(
        &self,
        name: &str,
        fields: &str,
        at: &[Position],
        wait: Duration,
    ) -> Result<Answer<Value>, CallError> {
        let query = self.engine.app.find_query(name)?;
        let views = self.engine.views().await.map_err(QueryError::from)?;
        Ok(query.ask_in_url(views, fields, at, wait).await?)
    }
}
