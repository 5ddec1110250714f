//! The frame around every datum: Confluent's wire format, and what an id in it stands for.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use hashbrown::HashMap;
use serde_json::Value;

use super::avsc;
use super::registry::{Registry, SchemaId};
use super::{DecodeError, SchemaError};

const MAGIC: u8 = 0;
const FRAME_BYTES: usize = 5;
/// The longest draft that is kept to be written over.
const DRAFT_BYTES: usize = 1024 * 1024;
/// How many foreign ids are remembered; beyond, they are asked for again.
const MAX_FOREIGN: usize = 1024;

thread_local! {
    /// Where a value is written before its length is known.
    static DRAFT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A topic's own schema in a registry, and the others found in its records.
pub struct Wire<R> {
    subject: String,
    name: String,
    text: String,
    tree: Value,
    registry: Arc<dyn Registry>,
    own: OnceLock<SchemaId>,
    foreign: RwLock<HashMap<SchemaId, Foreign<R>>>,
}

/// What an id stands for that is not the one this release writes.
enum Foreign<R> {
    /// The same bytes, registered under other docs or another subject.
    Same,
    /// Another shape of the same record.
    Other(Arc<R>),
    /// Another shape, which this release cannot read.
    Unreadable(Arc<str>),
    /// Another record, of this full name.
    Wrong(Arc<str>),
}

// Not derived: that would ask for `R: Clone`.
impl<R> Clone for Foreign<R> {
    fn clone(&self) -> Self {
        match self {
            Self::Same => Self::Same,
            Self::Other(resolution) => Self::Other(resolution.clone()),
            Self::Unreadable(reason) => Self::Unreadable(reason.clone()),
            Self::Wrong(name) => Self::Wrong(name.clone()),
        }
    }
}

/// How the datum of a record is to be read.
pub enum Written<R> {
    /// As this release writes it.
    Directly,
    /// By resolution from the writer's shape.
    As(Arc<R>),
}

impl<R> Wire<R> {
    /// The frame of a topic whose record has this full name, text and tree.
    pub fn new(registry: Arc<dyn Registry>, topic: &str, name: String, text: String, tree: Value) -> Self {
        let subject = format!("{topic}-value");
        Self { subject, name, text, tree, registry, own: OnceLock::new(), foreign: RwLock::default() }
    }

    /// `<topic>-value`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The schema as it is registered.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The id that this release writes.
    pub fn id(&self) -> Result<SchemaId, SchemaError> {
        if let Some(id) = self.own.get() {
            return Ok(*id);
        }
        let id = self.registry.lookup(&self.subject, &self.text)?;
        let id = id.ok_or_else(|| SchemaError::NotRegistered { subject: self.subject.clone() })?;
        Ok(*self.own.get_or_init(|| id))
    }

    /// Registers this release's schema.
    pub fn register(&self) -> Result<SchemaId, SchemaError> {
        let id = self.registry.register(&self.subject, &self.text)?;
        Ok(*self.own.get_or_init(|| id))
    }

    /// A value whose datum `write` appends. It takes as much memory as it is long, since thousands of them
    /// wait for one commit.
    pub fn write(&self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), String>) -> Result<Bytes, SchemaError> {
        let id = self.id()?;
        // Taken and put back, so that a type which is written while another is written finds an empty one.
        let mut draft = DRAFT.take();
        draft.clear();
        draft.push(MAGIC);
        draft.extend_from_slice(&id.0.to_be_bytes());
        let written = write(&mut draft).map(|()| Bytes::copy_from_slice(&draft));
        if draft.capacity() <= DRAFT_BYTES {
            DRAFT.set(draft);
        }
        written.map_err(|reason| SchemaError::Unwritable { subject: self.subject.clone(), reason })
    }

    /// Opens a value: its schema id, how its datum is to be read, and the datum. `prepare` is called
    /// once for each other shape.
    pub fn open<'v>(
        &self,
        value: &'v [u8],
        prepare: impl FnOnce(&Value) -> Result<R, String>,
    ) -> Result<(SchemaId, Written<R>, &'v [u8]), DecodeError> {
        let [MAGIC, a, b, c, d, datum @ ..] = value else {
            let reason =
                format!("not a zero byte, a schema id of four bytes and an Avro datum ({} bytes)", value.len());
            return Err(DecodeError::Undecodable(reason));
        };
        let id = SchemaId(i32::from_be_bytes([*a, *b, *c, *d]));
        debug_assert_eq!(value.len() - datum.len(), FRAME_BYTES);
        if self.own.get() == Some(&id) {
            return Ok((id, Written::Directly, datum));
        }
        match self.foreign(id, prepare)? {
            Foreign::Same => Ok((id, Written::Directly, datum)),
            Foreign::Other(resolution) => Ok((id, Written::As(resolution), datum)),
            Foreign::Unreadable(reason) => Err(DecodeError::Undecodable(format!(
                "written with schema id {id}, which this release cannot read: {reason}"
            ))),
            Foreign::Wrong(found) => {
                Err(DecodeError::WrongEnvelope { id, found: found.to_string(), expected: self.name.clone() })
            }
        }
    }

    fn foreign(
        &self,
        id: SchemaId,
        prepare: impl FnOnce(&Value) -> Result<R, String>,
    ) -> Result<Foreign<R>, DecodeError> {
        if let Some(known) = self.foreign.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(known.clone());
        }
        let text = self.registry.schema(id).map_err(|error| DecodeError::RegistryAway(error.to_string()))?;
        let found = self.recognise(&text.ok_or(DecodeError::UnknownSchema(id))?, prepare);
        let mut foreign = self.foreign.write().unwrap_or_else(PoisonError::into_inner);
        if foreign.len() >= MAX_FOREIGN {
            foreign.clear();
        }
        foreign.insert(id, found.clone());
        Ok(found)
    }

    fn recognise(&self, text: &str, prepare: impl FnOnce(&Value) -> Result<R, String>) -> Foreign<R> {
        let tree = match avsc::expand("its schema", text, "") {
            Ok(tree) => tree,
            Err(error) => return Foreign::Unreadable(Arc::from(error.to_string())),
        };
        match avsc::name_of(&tree) {
            Some(name) if name == self.name && avsc::same_encoding(&tree, &self.tree) => Foreign::Same,
            Some(name) if name == self.name => match prepare(&tree) {
                Ok(resolution) => Foreign::Other(Arc::new(resolution)),
                Err(reason) => Foreign::Unreadable(Arc::from(reason)),
            },
            Some(name) => Foreign::Wrong(Arc::from(name)),
            None => Foreign::Wrong(Arc::from("no record")),
        }
    }
}

/// Refuses bytes after the datum: another schema wrote them.
pub fn refuse_rest(rest: &[u8]) -> Result<(), DecodeError> {
    if rest.is_empty() {
        return Ok(());
    }
    Err(DecodeError::Undecodable(format!("{} bytes follow the datum", rest.len())))
}

impl<R> fmt::Debug for Wire<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("subject", &self.subject)
            .field("name", &self.name)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}
