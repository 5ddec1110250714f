//! An aggregate without its type: what the faces and roles need of it, by name.

use std::any::Any;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::events::{EventRow, EventsError, Fold, Read, place, read_event};
use super::prepare::PrepareError;
use super::schemas::Subject;
use super::{BadInput, suggest};
use crate::aggregate::processor::{self, ProcessorParts};
use crate::aggregate::{Aggregate, AttemptsRetention, Codecs, EventContext, HandOffTarget, HandOffTargets, Refusal};
use crate::command::{CommandHead, Control, Outcomes, ParkedCommand};
use crate::event::EventHead;
use crate::lane::{LaneError, Lanes};
use crate::log::Record;
use crate::position::{Position, Version};
use crate::projection::Stream;
use crate::schema::json::{self, InputError, Named, Secrets};
use crate::schema::{Data, Message, MessageSchema, Registry, SchemaError};
use crate::topology::{AggregateTopics, Topology};
use crate::verify::{self, AggregateCounts, Findings, Scope, VerifyError};

/// An aggregate type.
pub trait AggregateType: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its commands.
    fn commands(&self) -> &'static [MessageSchema];
    /// The codes with which it refuses.
    fn refusals(&self) -> &'static [&'static str];
    /// The regular expression that its ids match, if it says one.
    fn id_pattern(&self) -> Option<&'static str>;
    /// How long its commands and outcomes are kept.
    fn attempts_retention(&self) -> AttemptsRetention;
    /// Its codecs for the topics of an application, with all that goes through them.
    fn open(&self, registry: &Arc<dyn Registry>, topology: &Topology) -> Result<Arc<dyn AggregateGate>, SchemaError>;
}

/// An aggregate type with its codecs: what can be done without knowing its types.
pub trait AggregateGate: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its commands.
    fn commands(&self) -> &'static [MessageSchema];
    /// Its topics.
    fn topics(&self) -> &AggregateTopics;
    /// The schemas that this release writes on its topics and on the shared ones.
    fn subjects(&self) -> Vec<Subject>;
    /// Lets other aggregates hand commands to this one.
    fn add_to(&self, targets: &mut HandOffTargets);
    /// Whether a text is an id of it.
    fn check_id(&self, id: &str) -> Result<(), BadInput>;
    /// Whether a command of this name may be sent; `internal` lets those through that only the engine
    /// sends.
    fn check_command(&self, name: &str, internal: bool) -> Result<(), BadInput>;
    /// A command from JSON as bytes.
    fn encode_command(&self, head: &CommandHead, name: &str, data: &Value) -> Result<Bytes, PrepareError>;
    /// A command that is already a value of this aggregate's command type.
    fn encode_value(&self, head: &CommandHead, command: &(dyn Any + Send)) -> Result<Bytes, SchemaError>;
    /// Asks the registry for what sending commands and reading their outcomes needs, so that neither has
    /// to wait for it later. Blocks.
    fn warm(&self) -> Result<(), SchemaError>;
    /// The position after a record of one of its streams.
    fn position(&self, stream: Stream, record: &Record) -> Result<Position, EventsError>;
    /// The event in a record of its events topic.
    fn event(&self, record: &Record, secrets: Secrets) -> Result<EventRow, EventsError>;
    /// The outcomes in a record of its outcomes topic.
    fn outcomes(&self, record: &Record) -> Result<Outcomes, EventsError>;
    /// The head of the command in a record of its commands topic; `None` if it cannot be read.
    fn command_head(&self, record: &Record) -> Option<CommandHead>;
    /// What a record of its parked topic says.
    fn parked(&self, record: &Record) -> Result<ParkedCommand, EventsError>;
    /// A command's record as JSON; `None` if it cannot be read.
    fn command(&self, value: &[u8], secrets: Secrets) -> Option<Named>;
    /// A command of the engine's own as bytes.
    fn encode_control(&self, head: &CommandHead, control: &Control) -> Result<Bytes, SchemaError>;
    /// Begins to fold the events of one instance.
    fn fold(&self, id: &str) -> Box<dyn Fold>;
    /// Holds its topics to what must always hold. Blocks.
    fn verify(&self, scope: &Scope<'_>, findings: &mut Findings) -> Result<AggregateCounts, VerifyError>;
    /// Starts judging its commands.
    fn start(&self, parts: &ProcessorParts) -> Result<Lanes, LaneError>;
}

/// The aggregate `A` without its type.
pub fn of<A: Aggregate>() -> Arc<dyn AggregateType> {
    Arc::new(Erased::<A>(PhantomData))
}

struct Erased<A>(PhantomData<fn() -> A>);

impl<A: Aggregate> AggregateType for Erased<A> {
    fn name(&self) -> &'static str {
        A::NAME
    }

    fn commands(&self) -> &'static [MessageSchema] {
        A::Command::SCHEMAS
    }

    fn refusals(&self) -> &'static [&'static str] {
        A::Refusal::CODES
    }

    fn id_pattern(&self) -> Option<&'static str> {
        A::ID_PATTERN
    }

    fn attempts_retention(&self) -> AttemptsRetention {
        A::ATTEMPTS_RETENTION
    }

    fn open(&self, registry: &Arc<dyn Registry>, topology: &Topology) -> Result<Arc<dyn AggregateGate>, SchemaError> {
        Ok(Arc::new(Gate(Arc::new(Codecs::<A>::new(registry, topology)?))))
    }
}

struct Gate<A: Aggregate>(Arc<Codecs<A>>);

impl<A: Aggregate> AggregateGate for Gate<A> {
    fn name(&self) -> &'static str {
        A::NAME
    }

    fn commands(&self) -> &'static [MessageSchema] {
        A::Command::SCHEMAS
    }

    fn topics(&self) -> &AggregateTopics {
        &self.0.topics
    }

    fn subjects(&self) -> Vec<Subject> {
        let codecs = &self.0;
        let subject = |name: &str, schema: &str| Subject { name: name.to_owned(), schema: schema.to_owned() };
        vec![
            subject(codecs.commands.subject(), codecs.commands.schema()),
            subject(codecs.events.subject(), codecs.events.schema()),
            subject(codecs.snapshots.subject(), codecs.snapshots.schema()),
            subject(codecs.outcomes.subject(), codecs.outcomes.schema()),
            subject(codecs.parked.subject(), codecs.parked.schema()),
            subject(codecs.replies.subject(), codecs.replies.schema()),
            subject(codecs.dead_letters.subject(), codecs.dead_letters.schema()),
        ]
    }

    fn add_to(&self, targets: &mut HandOffTargets) {
        targets.add(self.0.clone());
    }

    fn check_id(&self, id: &str) -> Result<(), BadInput> {
        let bad = |rule: String| BadInput::at("/id", rule);
        if id.is_empty() || id.contains(char::is_control) {
            return Err(bad("must be text without control characters".to_owned()));
        }
        A::Id::from_str(id).map(drop).map_err(|error| bad(error.to_string()))
    }

    fn check_command(&self, name: &str, internal: bool) -> Result<(), BadInput> {
        let bad = |rule: String| Err(BadInput::at("/command", rule));
        let open = |schema: &&MessageSchema| internal || !schema.internal;
        match A::Command::SCHEMAS.iter().find(|schema| schema.name == name) {
            Some(schema) if open(&schema) => Ok(()),
            Some(_) => bad(format!("{name} is sent by the engine only")),
            None => {
                let hint = suggest(name, A::Command::SCHEMAS.iter().filter(open).map(|schema| schema.name));
                bad(format!("{} has no command {name:?}{hint}", A::NAME))
            }
        }
    }

    fn encode_command(&self, head: &CommandHead, name: &str, data: &Value) -> Result<Bytes, PrepareError> {
        let command: A::Command = json::command_from_json(name, data).map_err(bad_data)?;
        Ok(self.0.commands.encode(head, Data::User(&command))?)
    }

    fn encode_value(&self, head: &CommandHead, command: &(dyn Any + Send)) -> Result<Bytes, SchemaError> {
        self.0.encode(head, command)
    }

    fn warm(&self) -> Result<(), SchemaError> {
        self.0.commands.id().map(drop)
    }

    fn position(&self, stream: Stream, record: &Record) -> Result<Position, EventsError> {
        let sequence = match stream {
            Stream::Events => read_event(&self.0, record)?.head.sequence,
            Stream::Attempts => self.outcomes(record)?.sequence,
        };
        Ok(Position { aggregate: A::NAME.to_owned(), partition: record.partition, sequence })
    }

    fn event(&self, record: &Record, secrets: Secrets) -> Result<EventRow, EventsError> {
        let Read { id, head, event } = read_event(&self.0, record)?;
        let Named { name, data } = json::to_json(&event, secrets)?;
        let aggregate = A::NAME;
        let position =
            Position { aggregate: aggregate.to_owned(), partition: record.partition, sequence: head.sequence };
        Ok(EventRow {
            aggregate,
            id: id.to_owned(),
            version: head.version,
            position,
            offset: record.offset,
            event: name,
            occurred_at: head.occurred_at,
            event_id: head.id,
            command_id: head.causation_id,
            correlation_id: head.correlation_id,
            data,
        })
    }

    fn outcomes(&self, record: &Record) -> Result<Outcomes, EventsError> {
        let decoded = self.0.outcomes.decode(record.value.as_deref().unwrap_or_default());
        decoded.map_err(|reason| EventsError::unreadable(record, reason))
    }

    fn command_head(&self, record: &Record) -> Option<CommandHead> {
        self.0.commands.decode_head(record.value.as_deref()?).ok()
    }

    fn parked(&self, record: &Record) -> Result<ParkedCommand, EventsError> {
        let decoded = self.0.parked.decode(record.value.as_deref().unwrap_or_default());
        decoded.map_err(|reason| EventsError::unreadable(record, reason))
    }

    fn command(&self, value: &[u8], secrets: Secrets) -> Option<Named> {
        match self.0.commands.decode(value).ok()?.data {
            Data::User(command) => json::to_json(&command, secrets).ok(),
            Data::Engine(_) => None,
        }
    }

    fn encode_control(&self, head: &CommandHead, control: &Control) -> Result<Bytes, SchemaError> {
        self.0.commands.encode(head, Data::Engine(control))
    }

    fn fold(&self, id: &str) -> Box<dyn Fold> {
        Box::new(Folding::<A> {
            codecs: self.0.clone(),
            id: id.to_owned(),
            version: Version::NONE,
            state: A::default(),
        })
    }

    fn verify(&self, scope: &Scope<'_>, findings: &mut Findings) -> Result<AggregateCounts, VerifyError> {
        verify::aggregate(scope, &self.0, findings)
    }

    fn start(&self, parts: &ProcessorParts) -> Result<Lanes, LaneError> {
        processor::start(&self.0, parts)
    }
}

/// The pointer is into the input, whose `data` are the command's fields.
fn bad_data(error: InputError) -> BadInput {
    match error {
        InputError::UnknownMessage { .. } => BadInput::at("/command", error.to_string()),
        InputError::Invalid { pointer, message } => BadInput::at(format!("/data{pointer}"), message),
    }
}

struct Folding<A: Aggregate> {
    codecs: Arc<Codecs<A>>,
    id: String,
    version: Version,
    state: A,
}

impl<A: Aggregate> Fold for Folding<A> {
    fn apply(&mut self, record: &Record) -> Result<(), EventsError> {
        let Read { head: EventHead { version, occurred_at, causation_id, .. }, event, .. } =
            read_event(&self.codecs, record)?;
        if version != self.version.next() {
            let (partition, offset) = (place(record), record.offset);
            return Err(EventsError::Gap {
                partition,
                offset,
                id: self.id.clone(),
                last: self.version,
                found: version,
            });
        }
        self.state.evolve(&event, &EventContext { id: &self.id, version, occurred_at, causation_id });
        self.version = version;
        Ok(())
    }

    fn version(&self) -> Version {
        self.version
    }

    fn state(&self, secrets: Secrets) -> Result<Value, SchemaError> {
        Ok(json::to_json(&self.state, secrets)?.data)
    }
}
