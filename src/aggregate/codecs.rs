//! How an aggregate's records are written and read: one codec for each of its topics.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use super::Aggregate;
use crate::command::{CommandHead, Control, DeadLetter, InboxInput, Outcomes, ParkedCommand, Reply, ReplyTo};
use crate::event::{EventHead, SnapshotControl, SnapshotHead};
use crate::log::{Topic, TopicPartition};
use crate::position::Partition;
use crate::schema::{Codec, Data, Decoded, Never, RecordCodec, Registry, SchemaError};
use crate::topology::{AggregateTopics, Topology, partition_of};

/// The codecs of one aggregate's topics.
#[derive(Debug)]
pub struct Codecs<A: Aggregate> {
    /// Commands.
    pub commands: Codec<CommandHead, A::Command, Control>,
    /// Events.
    pub events: Codec<EventHead, A::Event, Never>,
    /// Snapshots and checkpoints.
    pub snapshots: Codec<SnapshotHead, A, SnapshotControl>,
    /// Outcomes.
    pub outcomes: RecordCodec<Outcomes>,
    /// Commands of parked aggregates.
    pub parked: RecordCodec<ParkedCommand>,
    /// Replies, shared by the application's aggregates.
    pub replies: RecordCodec<Reply>,
    /// Dead letters, shared by the application's aggregates.
    pub dead_letters: RecordCodec<DeadLetter>,
    /// The topics they are for.
    pub topics: AggregateTopics,
}

impl<A: Aggregate> Codecs<A> {
    /// Composes the envelopes and looks their ids up.
    ///
    /// # Errors
    /// If a message's schema is wrong, or an envelope is not registered.
    pub fn new(registry: &Arc<dyn Registry>, topology: &Topology) -> Result<Self, SchemaError> {
        let topics = topology.aggregate(A::NAME);
        let namespace = format!("{}.{}", topology.app, A::NAME);
        Ok(Self {
            commands: Codec::new(registry.clone(), topics.commands.as_str(), &namespace)?,
            events: Codec::new(registry.clone(), topics.events.as_str(), &namespace)?,
            snapshots: Codec::new(registry.clone(), topics.snapshots.as_str(), &namespace)?,
            outcomes: RecordCodec::new(registry.clone(), topics.outcomes.as_str())?,
            parked: RecordCodec::new(registry.clone(), topics.parked.as_str())?,
            replies: RecordCodec::new(registry.clone(), topology.replies().as_str())?,
            dead_letters: RecordCodec::new(registry.clone(), topology.dead_letters().as_str())?,
            topics,
        })
    }

    /// Registers every envelope. Only for `schemas push`, development and tests.
    ///
    /// # Errors
    /// If the registry is away, or finds one incompatible.
    pub fn register(&self) -> Result<(), SchemaError> {
        self.commands.register()?;
        self.events.register()?;
        self.snapshots.register()?;
        self.outcomes.register()?;
        self.parked.register()?;
        self.replies.register()?;
        self.dead_letters.register()?;
        Ok(())
    }
}

/// An aggregate's commands topic, as seen by another aggregate that hands a command to it.
pub trait HandOffTarget: Send + Sync {
    /// Encodes a command of this aggregate.
    ///
    /// # Errors
    /// If it does not fit its schema, or is of another aggregate.
    fn encode(&self, head: &CommandHead, command: &(dyn Any + Send)) -> Result<Bytes, SchemaError>;
    /// A command that was encoded before, under another head.
    ///
    /// # Errors
    /// If it cannot be read any more.
    fn encode_again(&self, head: &CommandHead, command: &[u8]) -> Result<Bytes, SchemaError>;
    /// The commands topic.
    fn commands(&self) -> &Topic;
}

impl<A: Aggregate> HandOffTarget for Codecs<A> {
    fn encode(&self, head: &CommandHead, command: &(dyn Any + Send)) -> Result<Bytes, SchemaError> {
        let command: &A::Command =
            command.downcast_ref().expect("a hand-off is made with the command type of the aggregate it names");
        self.commands.encode(head, Data::User(command))
    }

    fn encode_again(&self, head: &CommandHead, command: &[u8]) -> Result<Bytes, SchemaError> {
        let decoded = self.commands.decode(command).map_err(|error| SchemaError::Unwritable {
            subject: self.commands.subject().to_owned(),
            reason: format!("a command to be issued anew cannot be read: {error}"),
        })?;
        let Decoded { data, .. } = decoded;
        let data = match &data {
            Data::User(command) => Data::User(command),
            Data::Engine(control) => Data::Engine(control),
        };
        self.commands.encode(head, data)
    }

    fn commands(&self) -> &Topic {
        &self.topics.commands
    }
}

/// Where processors write besides their own topics: the aggregates of an application that commands can be
/// handed to, by name, and the inboxes of sagas that wait for outcomes, by topic.
#[derive(Clone, Default)]
pub struct HandOffTargets {
    targets: HashMap<&'static str, Arc<dyn HandOffTarget>>,
    inboxes: HashMap<Topic, Arc<RecordCodec<InboxInput>>>,
    partitions: i32,
}

impl HandOffTargets {
    /// None yet; every aggregate has this many partitions.
    #[must_use]
    pub fn new(partitions: i32) -> Self {
        Self { targets: HashMap::new(), inboxes: HashMap::new(), partitions }
    }

    /// One more aggregate.
    pub fn add<A: Aggregate>(&mut self, codecs: Arc<Codecs<A>>) {
        self.targets.insert(A::NAME, codecs);
    }

    /// One more inbox.
    pub fn add_inbox(&mut self, inbox: Topic, codec: Arc<RecordCodec<InboxInput>>) {
        self.inboxes.insert(inbox, codec);
    }

    /// The inbox that an outcome is to be sent to, if it is one and the address is in order: a made-up
    /// address must not abort everybody's transaction.
    pub(crate) fn inbox(&self, reply_to: &ReplyTo) -> Option<(TopicPartition, &RecordCodec<InboxInput>)> {
        let (topic, codec) = self.inboxes.get_key_value(reply_to.topic.as_str())?;
        let partition = self.partition_of(&reply_to.key);
        (partition.0 == reply_to.partition).then(|| (topic.partition(partition), &**codec))
    }

    pub(crate) fn get(&self, aggregate: &str) -> Option<&dyn HandOffTarget> {
        self.targets.get(aggregate).map(Arc::as_ref)
    }

    pub(crate) fn partition_of(&self, id: &str) -> Partition {
        partition_of(id.as_bytes(), self.partitions)
    }

    pub(crate) fn place(&self, target: &dyn HandOffTarget, id: &str) -> TopicPartition {
        target.commands().partition(self.partition_of(id))
    }
}
