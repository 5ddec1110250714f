//! A saga without its type: what the faces and roles need of it, by name.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::events::{as_text, as_text_if_any};
use super::schemas::Subject;
use crate::aggregate::HandOffTargets;
use crate::aggregate::processor::ProcessorParts;
use crate::clock::Timestamp;
use crate::command::{InboxData, InboxInput, Wake};
use crate::lane::{LaneError, Lanes};
use crate::projection::Source;
use crate::saga::{self, Saga, SagaCodecs, SagaSettings, StateHead, UnderWay};
use crate::schema::json::{self, Secrets};
use crate::schema::{Data, DecodeError, Decoded, Registry, SchemaError};
use crate::topology::{SagaTopics, Topology};
use crate::verify::{self, CommandHeads, Findings, SagaCounts, Scope, VerifyError};

/// A saga.
pub trait SagaType: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its codecs for the topics of an application, with all that goes through them.
    fn open(&self, registry: &Arc<dyn Registry>, topology: &Topology) -> Result<Arc<dyn SagaGate>, SchemaError>;
}

/// A saga with its codecs: what can be done without knowing its types.
pub trait SagaGate: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its topics.
    fn topics(&self) -> &SagaTopics;
    /// The types of the aggregates whose events it takes in.
    fn sources(&self) -> Vec<&'static str>;
    /// The schemas that this release writes on its topics.
    fn subjects(&self) -> Vec<Subject>;
    /// Lets aggregates send outcomes to its inbox.
    fn add_to(&self, targets: &mut HandOffTargets);
    /// The instance of a record of its state topic.
    fn instance(&self, id: &str, record: &[u8], secrets: Secrets) -> Result<InstanceRow, InstanceError>;
    /// An inbox record that wakes an instance.
    fn wake(&self, id: Uuid, now: Timestamp) -> Result<bytes::Bytes, SchemaError>;
    /// Holds its instances to their inputs. Blocks.
    fn verify(
        &self,
        scope: &Scope<'_>,
        commands: &dyn CommandHeads,
        findings: &mut Findings,
    ) -> Result<SagaCounts, VerifyError>;
    /// Starts to run its instances.
    fn start(&self, parts: &ProcessorParts, settings: &SagaSettings) -> Result<Vec<Lanes>, LaneError>;
}

/// Why an instance cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// It cannot be read.
    #[error("instance {id:?}: {source}")]
    Unreadable {
        /// The instance.
        id: String,
        /// Why.
        source: DecodeError,
    },
    /// Its state is no JSON.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// One instance of a saga.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstanceRow {
    /// The saga.
    pub saga: &'static str,
    /// The instance.
    pub id: String,
    /// The time of its first input.
    #[serde(serialize_with = "as_text")]
    pub started_at: Timestamp,
    /// The time of its last input.
    #[serde(serialize_with = "as_text")]
    pub last_input_at: Timestamp,
    /// When it is to be told that its time is over.
    #[serde(serialize_with = "as_text_if_any")]
    pub deadline: Option<Timestamp>,
    /// When it next does something without an input.
    #[serde(serialize_with = "as_text_if_any")]
    pub next_at: Option<Timestamp>,
    /// When it ended.
    #[serde(serialize_with = "as_text_if_any")]
    pub ended_at: Option<Timestamp>,
    /// Whether it ends once its compensations are accepted.
    pub is_ending: bool,
    /// How many steps it has issued commands for.
    pub steps: i64,
    /// The steps whose end is awaited.
    pub under_way: Vec<StepRow>,
    /// Its state; none once it has ended.
    pub state: Option<Value>,
}

/// A step whose end is awaited.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepRow {
    /// The saga's name for it.
    pub step: Value,
    /// Whether it takes back what was done.
    pub is_compensation: bool,
    /// Whom its command is for.
    pub aggregate: String,
    /// The aggregate's id.
    pub aggregate_id: String,
    /// How often its command was issued.
    pub attempt: i32,
    /// The last command's id.
    pub command_id: Uuid,
    /// When it is issued anew.
    #[serde(serialize_with = "as_text_if_any")]
    pub retry_at: Option<Timestamp>,
}

impl From<UnderWay> for StepRow {
    fn from(step: UnderWay) -> Self {
        let UnderWay { step: name, is_compensation, aggregate, aggregate_id, attempt, command_id, retry_at, .. } = step;
        let step = serde_json::from_str(&name).unwrap_or(Value::String(name));
        Self { step, is_compensation, aggregate, aggregate_id, attempt, command_id, retry_at }
    }
}

/// The saga `S` without its type.
pub fn of<S: Saga>() -> Arc<dyn SagaType> {
    Arc::new(Erased::<S>(PhantomData))
}

struct Erased<S>(PhantomData<fn() -> S>);

impl<S: Saga> SagaType for Erased<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn open(&self, registry: &Arc<dyn Registry>, topology: &Topology) -> Result<Arc<dyn SagaGate>, SchemaError> {
        Ok(Arc::new(Gate(Arc::new(SagaCodecs::<S>::new(registry, topology)?))))
    }
}

struct Gate<S: Saga>(Arc<SagaCodecs<S>>);

impl<S: Saga> SagaGate for Gate<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn topics(&self) -> &SagaTopics {
        &self.0.topics
    }

    fn sources(&self) -> Vec<&'static str> {
        S::Source::aggregates()
    }

    fn subjects(&self) -> Vec<Subject> {
        let subject = |name: &str, schema: &str| Subject { name: name.to_owned(), schema: schema.to_owned() };
        let SagaCodecs { inbox, state, dead_letters, .. } = &*self.0;
        vec![
            subject(inbox.subject(), inbox.schema()),
            subject(state.subject(), state.schema()),
            subject(dead_letters.subject(), dead_letters.schema()),
        ]
    }

    fn add_to(&self, targets: &mut HandOffTargets) {
        targets.add_inbox(self.0.topics.inbox.clone(), self.0.inbox.clone());
    }

    fn instance(&self, id: &str, record: &[u8], secrets: Secrets) -> Result<InstanceRow, InstanceError> {
        let decoded = self.0.state.decode(record);
        let Decoded { head, data, .. } =
            decoded.map_err(|source| InstanceError::Unreadable { id: id.to_owned(), source })?;
        let next_at = head.due().filter(|_| head.ended_at.is_none());
        let StateHead { started_at, time, deadline, ended_at, is_ending, steps, under_way, .. } = head;
        let state = match data {
            Data::User(state) => Some(json::to_json(&state, secrets)?.data),
            Data::Engine(_) => None,
        };
        Ok(InstanceRow {
            saga: S::NAME,
            id: id.to_owned(),
            started_at,
            last_input_at: time,
            deadline,
            next_at,
            ended_at,
            is_ending,
            steps,
            under_way: under_way.into_iter().map(StepRow::from).collect(),
            state,
        })
    }

    fn wake(&self, id: Uuid, now: Timestamp) -> Result<bytes::Bytes, SchemaError> {
        let data = InboxData::Wake(Wake {});
        self.0.inbox.encode(&InboxInput { id, occurred_at: now, correlation_id: id, data })
    }

    fn verify(
        &self,
        scope: &Scope<'_>,
        commands: &dyn CommandHeads,
        findings: &mut Findings,
    ) -> Result<SagaCounts, VerifyError> {
        verify::saga(scope, &self.0, commands, findings)
    }

    fn start(&self, parts: &ProcessorParts, settings: &SagaSettings) -> Result<Vec<Lanes>, LaneError> {
        saga::start(&self.0, parts, settings)
    }
}
