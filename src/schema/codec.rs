//! A topic's values: envelopes around messages, to bytes and back.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::agreement;
use super::datum::{self, Datum};
use super::envelope::Envelope;
use super::registry::{Registry, SchemaId};
use super::resolution::EnvelopeResolution;
use super::wire::{self, Wire, Written};
use super::{DecodeError, Head, Message, MessageSchema, Never, SchemaError, json};

/// Reads and writes the values of one topic: envelopes of head `H` around messages `D` of an aggregate
/// or `E` of the engine.
///
/// It registers nothing by itself: a worker writes only what `schemas push` registered.
#[derive(Debug)]
pub struct Codec<H: Head, D: Message, E: Message = Never> {
    wire: Wire<EnvelopeResolution>,
    envelope: Envelope,
    head: Datum,
    user: Datum,
    engine: Datum,
    /// The engine's branches follow this many of the aggregate's.
    user_branches: i64,
    /// Whether a message may hold secrets: then nothing is said of its values.
    has_secrets: bool,
    types: PhantomData<(H, D, E)>,
}

/// A message of the aggregate's or of the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<D, E> {
    /// One of the aggregate's own.
    User(D),
    /// One of the engine's.
    Engine(E),
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<H, D, E> {
    /// The envelope's fields but `data`.
    pub head: H,
    /// The message.
    pub data: Data<D, E>,
    /// The message's type name.
    pub name: &'static str,
    /// The schema it was written with.
    pub schema_id: SchemaId,
    /// Where in the value the message stands: its branch number and its datum. Two values of one
    /// schema id hold the same message exactly if these bytes are the same.
    pub payload: Range<usize>,
    /// Whether another release wrote it, in another shape: what it did not say was filled in.
    pub is_resolved: bool,
}

impl<H: Head, D: Message, E: Message> Codec<H, D, E> {
    /// Composes the envelope of a topic, named in a namespace such as `bank.account`. Refuses types that
    /// do not agree with their schemas.
    pub fn new(registry: Arc<dyn Registry>, topic: &str, namespace: &str) -> Result<Self, SchemaError> {
        let envelope = Envelope::compose::<H, D, E>(namespace)?;
        agreement::once::<H>(agreement::check_head::<H>)?;
        agreement::once::<D>(agreement::check::<D>)?;
        agreement::once::<E>(agreement::check::<E>)?;
        let datum = |tree: &Value| {
            Datum::new(tree).map_err(|reason| SchemaError::Invalid { file: format!("the schema of {topic}"), reason })
        };
        Ok(Self {
            wire: Wire::new(registry, topic, envelope.name.clone(), envelope.text.clone(), envelope.tree.clone()),
            head: datum(&envelope.head)?,
            user: datum(&Value::Array(envelope.user.clone()))?,
            engine: datum(&Value::Array(envelope.engine.clone()))?,
            user_branches: i64::try_from(envelope.user.len()).unwrap_or(i64::MAX),
            has_secrets: json::has_secrets(D::SCHEMAS)?,
            envelope,
            types: PhantomData,
        })
    }

    /// `<topic>-value`.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.wire.subject()
    }

    /// The schema of the whole value, as it is registered.
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
    pub fn encode(&self, head: &H, data: Data<&D, &E>) -> Result<Bytes, SchemaError> {
        self.wire.write(|out| self.write(out, head, data).map_err(|reason| self.said(reason)))
    }

    /// What may be said of why a value is not as it must be.
    fn said(&self, reason: String) -> String {
        if self.has_secrets { "why is not said, since its message may hold secrets".to_owned() } else { reason }
    }

    fn write(&self, out: &mut Vec<u8>, head: &H, data: Data<&D, &E>) -> Result<(), String> {
        self.head.write(out, head)?;
        match data {
            Data::User(message) => self.user.write(out, message),
            Data::Engine(message) => {
                let mut own = Vec::new();
                self.engine.write(&mut own, message)?;
                let mut rest = own.as_slice();
                datum::write_long(out, self.user_branches + datum::read_long(&mut rest)?);
                out.extend_from_slice(rest);
                Ok(())
            }
        }
    }

    /// A value from bytes.
    pub fn decode(&self, value: &[u8]) -> Result<Decoded<H, D, E>, DecodeError> {
        let (schema_id, written, mut rest) = self.open(value)?;
        let head = self.read_head(&mut rest, &written).map_err(DecodeError::Undecodable)?;
        let payload = value.len() - rest.len()..value.len();
        let data = match &written {
            Written::Directly => self.read_data(&mut rest),
            Written::As(resolution) => {
                resolution.rewrite_data(&mut rest).and_then(|data| self.read_data(&mut data.as_slice()))
            }
        };
        let (data, name) = data.map_err(|reason| DecodeError::Undecodable(self.said(reason)))?;
        wire::refuse_rest(rest)?;
        let is_resolved = matches!(written, Written::As(_));
        Ok(Decoded { head, data, name, schema_id, payload, is_resolved })
    }

    /// The envelope's fields of a value whose message may be unreadable.
    pub fn decode_head(&self, value: &[u8]) -> Result<H, DecodeError> {
        let (_, written, mut rest) = self.open(value)?;
        self.read_head(&mut rest, &written).map_err(DecodeError::Undecodable)
    }

    fn open<'v>(&self, value: &'v [u8]) -> Result<(SchemaId, Written<EnvelopeResolution>, &'v [u8]), DecodeError> {
        self.wire.open(value, |writer| EnvelopeResolution::new(writer, &self.envelope))
    }

    fn read_head(&self, bytes: &mut &[u8], written: &Written<EnvelopeResolution>) -> Result<H, String> {
        match written {
            Written::Directly => self.head.read(bytes),
            Written::As(resolution) => self.head.read(&mut resolution.rewrite_head(bytes)?.as_slice()),
        }
    }

    /// A message, and its type name.
    fn read_data(&self, bytes: &mut &[u8]) -> Result<(Data<D, E>, &'static str), String> {
        let name_in = |schemas: &[MessageSchema], branch: i64| {
            usize::try_from(branch).ok().and_then(|branch| schemas.get(branch)).map_or("", |schema| schema.name)
        };
        let mut after = *bytes;
        let branch = datum::read_long(&mut after)?;
        if branch < self.user_branches {
            let message = self.user.read(bytes).map(Data::User)?;
            return Ok((message, name_in(D::SCHEMAS, branch)));
        }
        let mut own = Vec::with_capacity(after.len() + 1);
        datum::write_long(&mut own, branch - self.user_branches);
        own.extend_from_slice(after);
        let mut rest = own.as_slice();
        let message = self.engine.read(&mut rest)?;
        *bytes = &after[after.len() - rest.len()..];
        Ok((Data::Engine(message), name_in(E::SCHEMAS, branch - self.user_branches)))
    }
}
