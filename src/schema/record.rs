//! The topics of single records: outcomes, replies, dead letters.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::agreement;
use super::avsc::{self, Definitions};
use super::datum::Datum;
use super::registry::{Registry, SchemaId};
use super::resolution::Resolution;
use super::wire::{self, Wire, Written};
use super::{DecodeError, Record, SchemaError};

const NAMESPACE: &str = "headwater";

/// Reads and writes the values of a topic whose value is one record of the engine's.
#[derive(Debug)]
pub struct RecordCodec<T: Record> {
    wire: Wire<Resolution>,
    tree: Value,
    datum: Datum,
    types: PhantomData<T>,
}

impl<T: Record> RecordCodec<T> {
    /// The codec of a topic. Refuses a type that does not agree with its schema.
    pub fn new(registry: Arc<dyn Registry>, topic: &str) -> Result<Self, SchemaError> {
        let file = format!("{}.avsc", T::NAME);
        agreement::once::<T>(agreement::check_record::<T>)?;
        let tree = avsc::expand(&file, T::AVSC, NAMESPACE)?;
        let text = avsc::collapse(&tree, &file, &mut Definitions::default())?.to_string();
        let datum = Datum::new(&tree).map_err(|reason| SchemaError::Invalid { file, reason })?;
        let name = avsc::name_of(&tree).unwrap_or_default();
        Ok(Self { wire: Wire::new(registry, topic, name, text, tree.clone()), tree, datum, types: PhantomData })
    }

    /// `<topic>-value`.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.wire.subject()
    }

    /// The schema, as it is registered.
    #[must_use]
    pub fn schema(&self) -> &str {
        self.wire.text()
    }

    /// The id that this release writes; asks the registry the first time.
    pub fn id(&self) -> Result<SchemaId, SchemaError> {
        self.wire.id()
    }

    /// Registers this release's schema. Only for `schemas push`, development and tests.
    pub fn register(&self) -> Result<SchemaId, SchemaError> {
        self.wire.register()
    }

    /// A value as bytes.
    pub fn encode(&self, value: &T) -> Result<Bytes, SchemaError> {
        self.wire.write(|out| self.datum.write(out, value))
    }

    /// A value from bytes.
    pub fn decode(&self, value: &[u8]) -> Result<T, DecodeError> {
        let (_, written, mut rest) = self.wire.open(value, |writer| Resolution::new(writer, &self.tree))?;
        let record = match &written {
            Written::Directly => self.datum.read(&mut rest),
            Written::As(resolution) => {
                let mut rewritten = Vec::new();
                let rewrite = resolution.rewrite(&mut rest, &mut rewritten);
                rewrite.and_then(|()| self.datum.read(&mut rewritten.as_slice()))
            }
        };
        let record = record.map_err(DecodeError::Undecodable)?;
        wire::refuse_rest(rest)?;
        Ok(record)
    }
}
