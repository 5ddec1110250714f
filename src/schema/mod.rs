//! Schemas: how messages become bytes, and who may read them.
//!
//! Every value on a topic is in Confluent's wire format: a zero byte, the schema's id in four bytes,
//! big-endian, then the Avro datum. A topic's value is one envelope record whose last field, `data`, is
//! the union of the topic's messages ([`Codec`]), or a single record of the engine's ([`RecordCodec`]).
//!
//! The only place that knows Avro. Decoding never panics, whatever the bytes.

mod agreement;
mod avsc;
mod codec;
mod compatibility;
mod datum;
mod envelope;
mod error;
pub mod json;
mod message;
mod probe;
mod record;
pub mod registry;
mod released;
mod resolution;
#[cfg(test)]
mod tests;
mod wire;

pub use agreement::{check, check_head, check_record, round_trips};
pub use codec::{Codec, Data, Decoded};
pub use error::{DecodeError, SchemaError};
pub use message::{Head, Message, MessageSchema, Never, Record};
pub use record::RecordCodec;
pub use registry::{
    ConfluentRegistry, EmbeddedRegistry, InMemoryRegistry, Registered, Registry, RegistryError, SchemaId,
    SubjectVersion,
};
pub use released::Released;
