//! How a saga's records are written and read.

use std::sync::Arc;

use bytes::Bytes;

use super::records::{StateControl, StateHead};
use super::{Saga, SourceEvent};
use crate::command::{DeadLetter, EventInput, InboxInput};
use crate::event::Recorded;
use crate::log::Record;
use crate::projection::{Decoder, EventSource, ReadError, Source};
use crate::schema::{Codec, RecordCodec, Registry, SchemaError};
use crate::topology::{SagaTopics, Topology};

/// The codecs of one saga's topics, and of the events that it takes in.
pub struct SagaCodecs<S: Saga> {
    /// Inputs.
    pub inbox: Arc<RecordCodec<InboxInput>>,
    /// Instances.
    pub state: Codec<StateHead, S, StateControl>,
    /// Dead letters, shared by the application.
    pub dead_letters: RecordCodec<DeadLetter>,
    /// The topics they are for.
    pub topics: SagaTopics,
    /// What reads the events of each source, by the aggregate's name.
    pub(super) sources: Vec<(&'static str, Decoder<SourceEvent<S>>)>,
}

impl<S: Saga> SagaCodecs<S> {
    /// Composes the envelopes and looks their ids up.
    ///
    /// # Errors
    /// If a message's schema is wrong, or an envelope is not registered.
    pub fn new(registry: &Arc<dyn Registry>, topology: &Topology) -> Result<Self, SchemaError> {
        let topics = topology.saga(S::NAME);
        let namespace = format!("{}.{}", topology.app, S::NAME);
        let decoders = S::Source::decoders(registry, topology)?;
        Ok(Self {
            inbox: Arc::new(RecordCodec::new(registry.clone(), topics.inbox.as_str())?),
            state: Codec::new(registry.clone(), topics.state.as_str(), &namespace)?,
            dead_letters: RecordCodec::new(registry.clone(), topology.dead_letters().as_str())?,
            topics,
            sources: S::Source::aggregates().into_iter().zip(decoders).collect(),
        })
    }

    /// Registers every envelope. Only for `schemas push`, development and tests.
    ///
    /// # Errors
    /// If the registry is away, or finds one incompatible.
    pub fn register(&self) -> Result<(), SchemaError> {
        self.inbox.register()?;
        self.state.register()?;
        self.dead_letters.register()?;
        Ok(())
    }

    /// The event of an input, as it was read from its own topic; `None` if it is of no source of this saga. `at`
    /// is the input's record.
    pub(crate) fn event(&self, event: &EventInput, at: &Record) -> Option<Result<Recorded<SourceEvent<S>>, ReadError>> {
        let (_, decoder) = self.sources.iter().find(|(name, _)| *name == event.aggregate)?;
        Some(decoder.decode(&Record {
            topic: at.topic.clone(),
            partition: event.partition,
            offset: event.offset,
            timestamp: at.timestamp,
            key: Some(Bytes::copy_from_slice(event.aggregate_id.as_bytes())),
            value: Some(event.record.clone()),
            traceparent: None,
        }))
    }
}
