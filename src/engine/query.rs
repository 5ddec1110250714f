//! A query without its type: fields as JSON in, the answer as JSON out.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserializer;
use serde_json::Value;

use super::BadInput;
use crate::position::Position;
use crate::projection::{Shape, ShapeError, Views};
use crate::query::{self, Answer, Parameter, Projections, Query, QueryError, ViewMoment};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Its fields break a rule.
    #[error(transparent)]
    Input(#[from] BadInput),
    /// It was not answered.
    #[error(transparent)]
    Query(QueryError),
}

impl From<QueryError> for AskError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Invalid { field, reason } => BadInput::at(format!("/{field}"), reason).into(),
            other => Self::Query(other),
        }
    }
}

/// A query type.
#[async_trait]
pub trait QueryType: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// The shapes of its views.
    fn shapes(&self) -> Result<Vec<Arc<Shape>>, ShapeError>;
    /// The aggregates that its views follow.
    fn sources(&self) -> Result<Vec<&'static str>, ShapeError> {
        let mut sources: Vec<_> = self.shapes()?.iter().flat_map(|shape| shape.sources.clone()).collect();
        sources.sort_unstable();
        sources.dedup();
        Ok(sources)
    }
    /// Its fields, as far as its type tells them.
    fn parameters(&self) -> Vec<Parameter>;
    /// The JSON Schema of its answer, as text.
    fn answer(&self) -> &'static str;
    /// Answers it, once its views have reached every position in `at`; waits at most `wait` for it.
    async fn ask(
        &self,
        views: &Views,
        fields: Value,
        at: &[Position],
        wait: Duration,
    ) -> Result<Answer<Value>, AskError>;
    /// Where its views are now.
    async fn moment(&self, views: &Views) -> Result<ViewMoment, QueryError>;
    /// The same as [`ask`](Self::ask) with its fields as in the query part of a URL: `name=value&…`,
    /// percent-encoded UTF-8.
    async fn ask_in_url(
        &self,
        views: &Views,
        fields: &str,
        at: &[Position],
        wait: Duration,
    ) -> Result<Answer<Value>, AskError>;
}

/// The query `Q` without its type.
#[must_use]
pub fn of<Q: Query>() -> Arc<dyn QueryType> {
    Arc::new(Erased::<Q>(PhantomData))
}

struct Erased<Q>(PhantomData<fn() -> Q>);

#[async_trait]
impl<Q: Query> QueryType for Erased<Q> {
    fn name(&self) -> &'static str {
        Q::NAME
    }

    fn shapes(&self) -> Result<Vec<Arc<Shape>>, ShapeError> {
        Q::Reads::shapes()
    }

    fn parameters(&self) -> Vec<Parameter> {
        query::parameters::<Q>()
    }

    fn answer(&self) -> &'static str {
        Q::ANSWER
    }

    async fn ask(
        &self,
        views: &Views,
        fields: Value,
        at: &[Position],
        wait: Duration,
    ) -> Result<Answer<Value>, AskError> {
        answer(views, read::<Q, _>(fields)?, at, wait).await
    }

    async fn moment(&self, views: &Views) -> Result<ViewMoment, QueryError> {
        views.moment_of::<Q>().await
    }

    async fn ask_in_url(
        &self,
        views: &Views,
        fields: &str,
        at: &[Position],
        wait: Duration,
    ) -> Result<Answer<Value>, AskError> {
        let fields = serde_html_form::Deserializer::from_bytes(fields.as_bytes());
        answer(views, read::<Q, _>(fields)?, at, wait).await
    }
}

/// The query in its fields.
fn read<'de, Q: Query, D: Deserializer<'de>>(fields: D) -> Result<Q, BadInput> {
    serde_path_to_error::deserialize(fields).map_err(|error| {
        let pointer = pointer_of(error.path());
        BadInput::at(pointer, error.into_inner().to_string())
    })
}

async fn answer<Q: Query>(views: &Views, query: Q, at: &[Position], wait: Duration) -> Result<Answer<Value>, AskError> {
    let Answer { answer, positions, flags, moment } = views.ask(query, at, wait).await?;
    let as_json = |answer| serde_json::to_value(answer).map_err(|error| QueryError::Row(error.to_string()));
    Ok(Answer { answer: answer.map(as_json).transpose()?, positions, flags, moment })
}

/// A path as a JSON pointer (RFC 6901).
#[must_use]
pub fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}
