//! Messages and states as JSON, for the command line and HTTP: as people write them, where Avro's own
//! form is for machines.
//!
//! | Avro | JSON |
//! |---|---|
//! | `long` or `int` with `"json": "decimal(2)"` | text, `"12.34"`: exact, since a JSON number may be rounded |
//! | `timestamp-micros`, `timestamp-millis` | RFC 3339 text |
//! | `date` | `"2026-01-31"` |
//! | `bytes`, `fixed` | Base64 text |
//! | `["null", X]` | X or `null`; may be absent |
//! | another union | an object with one key, the branch's name |
//! | everything else | itself |
//!
//! Hints stand in an `.avsc` next to a field's `type`: `json`, `pattern`, `minLength`, `maxLength`,
//! `minimum`, `maximum`; bounds of a decimal are text in its own form. `"secret": true` hides a field: see
//! [`Secrets`]. They bind what comes in as
//! JSON; what binds every entrance are the value types, whose refusals are reported the same way.

mod decimal;
mod describe;
pub(super) mod example;
mod input;
mod output;
mod shape;

pub use describe::json_schema;
pub use input::{InputError, command_from_json, find};
pub use output::{Named, Secrets, to_json};

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hashbrown::HashMap;

use super::{MessageSchema, SchemaError, avsc};
use shape::Shape;

/// The shape of a message's JSON. A schema is part of the program, so its shape is made once.
fn shape_of(schema: &MessageSchema) -> Result<Arc<Shape>, SchemaError> {
    static SHAPES: OnceLock<RwLock<HashMap<&'static str, Arc<Shape>>>> = OnceLock::new();
    let shapes = SHAPES.get_or_init(RwLock::default);
    if let Some(shape) = shapes.read().unwrap_or_else(PoisonError::into_inner).get(schema.avsc) {
        return Ok(shape.clone());
    }
    let file = format!("{}.avsc", schema.name);
    let tree = avsc::expand(&file, schema.avsc, "")?;
    let shape = Shape::of(&tree).map_err(|reason| SchemaError::Invalid { file, reason })?;
    let shape = Arc::new(shape);
    shapes.write().unwrap_or_else(PoisonError::into_inner).insert(schema.avsc, shape.clone());
    Ok(shape)
}

/// Whether a message of these schemas holds secrets: then nothing may be said of its values.
pub(super) fn has_secrets(schemas: &[MessageSchema]) -> Result<bool, SchemaError> {
    schemas.iter().try_fold(false, |found, schema| Ok(found || shape_of(schema)?.has_secrets()))
}

/// Holds the hints of a message's schema to what they may say.
pub(super) fn check_hints(schema: &MessageSchema) -> Result<(), SchemaError> {
    shape_of(schema).map(|_| ())
}
