//! The commands that are sent in a schedule: new ones, repeats, and others under the id of one before.

use std::time::Duration;

use bytes::Bytes;

use crate::aggregate::{Aggregate, Codecs};
use crate::clock::{self, Seeded};
use crate::command::{CommandHead, ReplyTo};
use crate::log::{Log, LogError, Outgoing};
use crate::position::Version;
use crate::schema::{Data, Registry, SchemaError};
use crate::topology::{Topology, partition_of};

/// Sends commands to one aggregate type.
pub(super) trait Load: Send + Sync {
    /// A new command.
    fn new_command(&self, random: &mut Seeded) -> Result<Outgoing, SchemaError>;
    /// Another command under the id of that one.
    fn conflict(&self, with: &Outgoing, random: &mut Seeded) -> Result<Outgoing, SchemaError>;
}

type Make<C> = Box<dyn Fn(&mut Seeded) -> (String, C) + Send + Sync>;

pub(super) struct Sender<A: Aggregate> {
    codecs: Codecs<A>,
    topology: Topology,
    make: Make<A::Command>,
}

impl<A: Aggregate> Sender<A> {
    pub fn new(
        registry: &std::sync::Arc<dyn Registry>,
        topology: &Topology,
        make: Make<A::Command>,
    ) -> Result<Self, SchemaError> {
        let codecs = Codecs::new(registry, topology)?;
        codecs.register()?;
        Ok(Self { codecs, topology: topology.clone(), make })
    }

    fn record(&self, id: String, value: Bytes) -> Outgoing {
        Outgoing {
            topic: self.codecs.topics.commands.clone(),
            partition: partition_of(id.as_bytes(), self.topology.partitions),
            key: Some(id.into_bytes().into()),
            value: Some(value),
            traceparent: None,
        }
    }
}

impl<A: Aggregate> Load for Sender<A> {
    fn new_command(&self, random: &mut Seeded) -> Result<Outgoing, SchemaError> {
        let (id, command) = (self.make)(random);
        let command_id = clock::new_id();
        let reply_to =
            || ReplyTo { topic: self.topology.replies().to_string(), partition: 0, key: "client".to_owned() };
        let head = CommandHead {
            id: command_id,
            issued_at: clock::time_of_id(command_id).unwrap_or_default(),
            expected_version: random.once_in(8).then(|| Version(i64::try_from(random.below(5)).unwrap_or(0))),
            causation_id: None,
            correlation_id: command_id,
            reply_to: (!random.once_in(4)).then(reply_to),
        };
        let value = self.codecs.commands.encode(&head, Data::User(&command))?;
        Ok(self.record(id, value))
    }

    fn conflict(&self, with: &Outgoing, random: &mut Seeded) -> Result<Outgoing, SchemaError> {
        let (_, command) = (self.make)(random);
        let decoded = with.value.as_deref().and_then(|value| self.codecs.commands.decode_head(value).ok());
        let Some(head) = decoded else { return Ok(with.clone()) };
        let value = self.codecs.commands.encode(&head, Data::User(&command))?;
        Ok(Outgoing { value: Some(value), ..with.clone() })
    }
}

/// Sends a record, as a gateway does.
pub(super) fn send(log: &dyn Log, record: Outgoing) -> Result<(), LogError> {
    let sender = log.sender()?;
    sender.send(record, Box::new(drop))?;
    sender.flush(Duration::from_secs(1))
}
