//! What a projection folds: the events of one aggregate, or of several.

use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::event::{EventHead, Recorded};
use crate::log::Record;
use crate::schema::{Codec, Data, DecodeError, Registry, SchemaError};
use crate::topology::Topology;

/// The events that a projection folds: those of an aggregate, `Account`, or of two or three,
/// `(AccountRegistry, Account)`. Of several, the event is a [`OneOf2`] or a [`OneOf3`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of events",
    note = "a source is an aggregate, or a tuple of two or three aggregates"
)]
pub trait Source: sealed::Sealed + Sized + Send + Sync + 'static {
    /// An event of the source.
    type Event: Clone + std::fmt::Debug + Send + Sync + 'static;

    /// The type names of its aggregates.
    fn aggregates() -> Vec<&'static str>;

    /// What reads its records, one for each aggregate, in their order.
    #[doc(hidden)]
    fn decoders(registry: &Arc<dyn Registry>, topology: &Topology) -> Result<Vec<Decoder<Self::Event>>, SchemaError>;
}

mod sealed {
    pub trait Sealed {}
}

/// Reads the records of one aggregate's events topic.
#[doc(hidden)]
pub struct Decoder<E>(Box<Decode<E>>);

type Decode<E> = dyn Fn(&Record) -> Result<Recorded<E>, ReadError> + Send + Sync;

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

            fn decoders(
                registry: &Arc<dyn Registry>,
                topology: &Topology,
            ) -> Result<Vec<Decoder<Self::Event>>, SchemaError> {
                let mut decoders = Vec::new();
                $(
                    for decoder in <$aggregate as Source>::decoders(registry, topology)? {
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
