//! Holds Rust types and their schemas to saying the same.

use std::any::TypeId;
use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashSet;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::datum::Datum;
use super::probe::{Obstacle, Probe, Script};
use super::{Head, Message, Record, SchemaError, avsc, json};

/// Checks that a message's or state's Rust type and its schemas agree, and that the schemas' hints can
/// be understood: names, fields, which of them are optional, branches and symbols, at every depth.
///
/// A type that serialises otherwise than it deserialises is found out only by [`round_trips`], with a
/// value that its own rules accept.
pub fn check<M: Message>() -> Result<(), SchemaError> {
    let mut branches = Vec::new();
    for schema in M::SCHEMAS {
        json::check_hints(schema)?;
        branches.push(avsc::expand(&format!("{}.avsc", schema.name), schema.avsc, "")?);
    }
    if branches.is_empty() {
        return Ok(());
    }
    let files: Vec<String> = M::SCHEMAS.iter().map(|schema| format!("{}.avsc", schema.name)).collect();
    agree::<M>(&Value::Array(branches), &files.join(", "))
}

/// Checks that an envelope's Rust type and its schema agree.
pub fn check_head<H: Head>() -> Result<(), SchemaError> {
    let file = format!("{}.avsc", H::NAME);
    agree::<H>(&avsc::expand(&file, H::AVSC, "")?, &file)
}

/// Checks that a record's Rust type and its schema agree.
pub fn check_record<T: Record>() -> Result<(), SchemaError> {
    let file = format!("{}.avsc", T::NAME);
    agree::<T>(&avsc::expand(&file, T::AVSC, "")?, &file)
}

/// Checks that a message or state is read as it was written, both as bytes and as JSON.
///
/// Meant for tests, with values that reach every field.
pub fn round_trips<M: Message + PartialEq>(message: &M) -> Result<(), SchemaError> {
    let mut branches = Vec::new();
    for schema in M::SCHEMAS {
        branches.push(avsc::expand(&format!("{}.avsc", schema.name), schema.avsc, "")?);
    }
    let disagreement =
        |reason: String| SchemaError::Disagreement { file: format!("the schema of {message:?}"), reason };
    let datum = Datum::new(&Value::Array(branches)).map_err(disagreement)?;
    let mut bytes = Vec::new();
    datum.write(&mut bytes, message).map_err(disagreement)?;
    let read: M = datum.read(&mut bytes.as_slice()).map_err(disagreement)?;
    if read != *message {
        return Err(disagreement(format!("it is read as {read:?}")));
    }
    let named = json::to_json(message, json::Secrets::Shown)?;
    let is_enum = M::SCHEMAS.len() > 1;
    if is_enum {
        let read: M = json::command_from_json(named.name, &named.data)
            .map_err(|error| disagreement(format!("its JSON {} is refused: {error}", named.data)))?;
        if read != *message {
            return Err(disagreement(format!("its JSON {} is read as {read:?}", named.data)));
        }
    }
    Ok(())
}

/// Checks a type the first time that it is asked for: types and schemas do not change while a program
/// runs, and codecs are made often in tests.
pub(super) fn once<T: 'static>(check: fn() -> Result<(), SchemaError>) -> Result<(), SchemaError> {
    static AGREED: Mutex<Option<HashSet<TypeId>>> = Mutex::new(None);
    let agreed = || AGREED.lock().unwrap_or_else(PoisonError::into_inner);
    if agreed().as_ref().is_some_and(|types| types.contains(&TypeId::of::<T>())) {
        return Ok(());
    }
    check()?;
    agreed().get_or_insert_default().insert(TypeId::of::<T>());
    Ok(())
}

fn agree<T: Serialize + DeserializeOwned>(tree: &Value, file: &str) -> Result<(), SchemaError> {
    let disagreement = |reason: String| SchemaError::Disagreement { file: file.to_owned(), reason };
    let datum = Datum::new(tree).map_err(disagreement)?;
    let script = RefCell::new(Script::default());
    loop {
        match T::deserialize(Probe::new(tree, &script)) {
            Ok(example) => rewrites(&datum, &example).map_err(disagreement)?,
            Err(Obstacle::Refused) => {}
            Err(Obstacle::Disagreement(reason)) => return Err(disagreement(reason)),
        }
        if !script.borrow_mut().advance() {
            return Ok(());
        }
    }
}

/// What was written is read, and then written the same.
fn rewrites<T: Serialize + DeserializeOwned>(datum: &Datum, example: &T) -> Result<(), String> {
    let (mut written, mut again) = (Vec::new(), Vec::new());
    datum.write(&mut written, example)?;
    let read: T = datum.read(&mut written.as_slice())?;
    datum.write(&mut again, &read)?;
    if written == again { Ok(()) } else { Err("an example is not read as it was written".to_owned()) }
}
