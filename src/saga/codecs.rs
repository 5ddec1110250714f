//! How a saga's records are written and read.

use std::sync::Arc;

use super::records::{StateControl, StateHead};
use super::{Saga, SourceEvent};
use crate::command::{DeadLetter, InboxInput};
use crate::projection::{Decoder, EventSource, Source};
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

    pub(super) fn source(&self, aggregate: &str) -> Option<&Decoder<SourceEvent<S>>> {
        self.sources.iter().find(|(name, _)| *name == aggregate).map(|(_, decoder)| decoder)
    }
}
