//! What a projection folds: the events of one aggregate, or of several, or its attempts.

use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::event::{EventHead, Recorded};
use crate::log::{Log, Record, Topic};
use crate::position::Sequence;
use crate::schema::{Codec, Data, DecodeError, Registry, SchemaError};
use crate::topology::{AggregateTopics, Topology};

/// The events that a projection folds: those of an aggregate, `Account`, or of two or three,
/// `(AccountRegistry, Account)`; or, with [`Attempts<Account>`](super::Attempts), every command with its
/// outcome. Of several aggregates, the event is a [`OneOf2`] or a [`OneOf3`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of events",
    note = "a source is an aggregate, a tuple of two or three aggregates, or the attempts of one"
)]
pub trait Source: sealed::Sealed + Sized + Send + Sync + 'static {
    /// An event of the source.
    type Event: Clone + std::fmt::Debug + Send + Sync + 'static;

    /// Which topics of its aggregates it follows.
    const STREAM: Stream = Stream::Events;

    /// The type names of its aggregates.
    fn aggregates() -> Vec<&'static str>;

    /// What reads its records for a view, one for each aggregate, in their order.
    #[doc(hidden)]
    fn readers(
        log: &Arc<dyn Log>,
        registry: &Arc<dyn Registry>,
        topology: &Topology,
    ) -> Result<Vec<RecordReader<Self::Event>>, SchemaError>;
}

/// A source of events and nothing else: what sagas and invariants take in.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of events",
    note = "a source of events is an aggregate, or a tuple of two or three aggregates"
)]
pub trait EventSource: Source {
    /// What reads its records, one for each aggregate, in their order.
    #[doc(hidden)]
    fn decoders(registry: &Arc<dyn Registry>, topology: &Topology) -> Result<Vec<Decoder<Self::Event>>, SchemaError>;
}

/// What of an aggregate a view follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its events.
    Events,
    /// Its outcomes, with the commands that led to them.
    Attempts,
}

impl Stream {
    /// The topic that is followed.
    #[must_use]
    pub fn topic(self, topics: AggregateTopics) -> Topic {
        match self {
            Self::Events => topics.events,
            Self::Attempts => topics.outcomes,
        }
    }
}

pub(super) mod sealed {
    pub trait Sealed {}
}

/// Reads the records of one aggregate's events topic.
#[doc(hidden)]
pub struct Decoder<E>(Box<Decode<E>>);

type Decode<E> = dyn Fn(&Record) -> Result<Recorded<E>, ReadError> + Send + Sync;

/// Reads the records of one topic for a view.
#[doc(hidden)]
pub struct RecordReader<E>(Box<ReadRecord<E>>);

type ReadRecord<E> = dyn Fn(&Record) -> Result<Found<E>, ReaderError> + Send + Sync;

/// What a record holds.
#[doc(hidden)]
pub enum Found<E> {
    /// An event, whose sequence and version follow on those before it.
    Event(Recorded<E>),
    /// The partition's sequence after some attempts, and the attempts, which change nothing else.
    Attempts(Sequence, Vec<Recorded<E>>),
}

/// Why there is nothing to fold in a record.
#[doc(hidden)]
pub enum ReaderError {
    /// It is not what it must be.
    Record(ReadError),
    /// What belongs to it cannot be read from the log yet.
    Log(String),
}

impl From<ReadError> for ReaderError {
    fn from(error: ReadError) -> Self {
        Self::Record(error)
    }
}

impl<E> Found<E> {
    /// The partition's sequence after it.
    pub(crate) const fn sequence(&self) -> Sequence {
        match self {
            Self::Event(event) => event.sequence,
            Self::Attempts(sequence, _) => *sequence,
        }
    }

    /// What is to be folded, in order.
    pub(crate) fn events(&self) -> &[Recorded<E>] {
        match self {
            Self::Event(event) => std::slice::from_ref(event),
            Self::Attempts(_, attempts) => attempts,
        }
    }
}

impl<E: 'static> RecordReader<E> {
    pub(super) fn new(read: impl Fn(&Record) -> Result<Found<E>, ReaderError> + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }

    pub(crate) fn read(&self, record: &Record) -> Result<Found<E>, ReaderError> {
        (self.0)(record)
    }
}

impl<E: 'static> From<Decoder<E>> for RecordReader<E> {
    fn from(decoder: Decoder<E>) -> Self {
        Self::new(move |record| Ok(decoder.decode(record).map(Found::Event)?))
    }
}

fn readers_of<S: EventSource>(
    registry: &Arc<dyn Registry>,
    topology: &Topology,
) -> Result<Vec<RecordReader<S::Event>>, SchemaError> {
    Ok(S::decoders(registry, topology)?.into_iter().map(RecordReader::from).collect())
}

/// Why a record is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum ReadError {
    /// It has no key, or one that is no text.
    Key,
    /// Its value cannot be read, or not yet.
    Value(DecodeError),
}

impl<E: 'static> Decoder<E> {
    pub(crate) fn decode(&self, record: &Record) -> Result<Recorded<E>, ReadError> {
        (self.0)(record)
    }

    fn map<F: 'static>(self, into: fn(E) -> F) -> Decoder<F> {
        Decoder(Box::new(move |record| Ok(self.decode(record)?.map(into))))
    }
}

impl<A: Aggregate> sealed::Sealed for A {}

impl<A: Aggregate> Source for A {
    type Event = A::Event;

    fn aggregates() -> Vec<&'static str> {
        vec![A::NAME]
    }

    fn readers(
        _: &Arc<dyn Log>,
        registry: &Arc<dyn Registry>,
        topology: &Topology,
    ) -> Result<Vec<RecordReader<A::Event>>, SchemaError> {
        readers_of::<Self>(registry, topology)
    }
}

impl<A: Aggregate> EventSource for A {
    fn decoders(registry: &Arc<dyn Registry>, topology: &Topology) -> Result<Vec<Decoder<A::Event>>, SchemaError> {
        let topic = topology.aggregate(A::NAME).events;
        let namespace = format!("{}.{}", topology.app, A::NAME);
        let codec: Codec<EventHead, A::Event> = Codec::new(registry.clone(), topic.as_str(), &namespace)?;
        Ok(vec![Decoder(Box::new(move |record| read::<A>(&codec, record)))])
    }
}

fn read<A: Aggregate>(codec: &Codec<EventHead, A::Event>, record: &Record) -> Result<Recorded<A::Event>, ReadError> {
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).ok_or(ReadError::Key)?;
    let tombstone = || ReadError::Value(DecodeError::Undecodable("the record has no value".to_owned()));
    let decoded = codec.decode(record.value.as_deref().ok_or_else(tombstone)?).map_err(ReadError::Value)?;
    let data = match decoded.data {
        Data::User(data) => data,
        Data::Engine(never) => match never {},
    };
    let EventHead { id, version, sequence, occurred_at, causation_id, correlation_id } = decoded.head;
    Ok(Recorded {
        aggregate: A::NAME,
        aggregate_id: key.to_owned(),
        id,
        version,
        partition: record.partition,
        sequence,
        offset: record.offset,
        occurred_at,
        causation_id,
        correlation_id,
        data,
    })
}

/// An event of one of two aggregates, in the order of the source's tuple.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneOf2<A, B> {
    /// Of the first aggregate.
    First(A),
    /// Of the second.
    Second(B),
}

/// An event of one of three aggregates, in the order of the source's tuple.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneOf3<A, B, C> {
    /// Of the first aggregate.
    First(A),
    /// Of the second.
    Second(B),
    /// Of the third.
    Third(C),
}

macro_rules! sources {
    ($($event:ident: $($aggregate:ident $branch:ident),+;)*) => {$(
        impl<$($aggregate: Aggregate),+> sealed::Sealed for ($($aggregate),+) {}

        impl<$($aggregate: Aggregate),+> Source for ($($aggregate),+) {
            type Event = $event<$($aggregate::Event),+>;

            fn aggregates() -> Vec<&'static str> {
                vec![$($aggregate::NAME),+]
            }

            fn readers(
                _: &Arc<dyn Log>,
                registry: &Arc<dyn Registry>,
                topology: &Topology,
            ) -> Result<Vec<RecordReader<Self::Event>>, SchemaError> {
                readers_of::<Self>(registry, topology)
            }
        }

        impl<$($aggregate: Aggregate),+> EventSource for ($($aggregate),+) {
            fn decoders(
                registry: &Arc<dyn Registry>,
                topology: &Topology,
            ) -> Result<Vec<Decoder<Self::Event>>, SchemaError> {
                let mut decoders = Vec::new();
                $(
                    for decoder in <$aggregate as EventSource>::decoders(registry, topology)? {
                        decoders.push(decoder.map($event::$branch));
                    }
                )+
                Ok(decoders)
            }
        }
    )*};
}

sources! {
    OneOf2: A First, B Second;
    OneOf3: A First, B Second, C Third;
}
