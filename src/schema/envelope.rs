//! Composes a topic's envelope: the head's fields, then `data`, the union of the topic's messages.

use serde_json::{Value, json};

use super::avsc::{self, Definitions};
use super::{Head, Message, MessageSchema, SchemaError};

/// The union of messages comes last, so that an envelope can be read and written in two parts.
pub const DATA: &str = "data";

/// An envelope, whole and in its parts. The parts are trees without references.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Its full name.
    pub name: String,
    /// The text to register: each type written out once.
    pub text: String,
    /// All of it.
    pub tree: Value,
    /// The record of the head's fields.
    pub head: Value,
    /// The aggregate's branches of `data`.
    pub user: Vec<Value>,
    /// The engine's branches, which follow.
    pub engine: Vec<Value>,
}

impl Envelope {
    /// Composes the envelope of a topic in a namespace such as `bank.account`.
    pub fn compose<H: Head, D: Message, E: Message>(namespace: &str) -> Result<Self, SchemaError> {
        let head_file = format!("{}.avsc", H::NAME);
        let head = avsc::expand(&head_file, H::AVSC, namespace)?;
        let name = avsc::name_of(&head).unwrap_or_default();
        let user = branches(D::SCHEMAS, namespace)?;
        let engine = branches(E::SCHEMAS, namespace)?;

        let data: Vec<Value> = user.iter().chain(&engine).cloned().collect();
        let tree = with_data(&head, &Value::Array(data), &head_file)?;
        let mut definitions = Definitions::default();
        let collapsed_head = avsc::collapse(&head, &head_file, &mut definitions)?;
        let mut collapsed = Vec::new();
        for (tree, schema) in user.iter().chain(&engine).zip(D::SCHEMAS.iter().chain(E::SCHEMAS)) {
            collapsed.push(avsc::collapse(tree, &file(schema), &mut definitions)?);
        }
        let text = with_data(&collapsed_head, &Value::Array(collapsed), &head_file)?.to_string();
        Ok(Self { name, text, tree, head, user, engine })
    }
}

fn file(schema: &MessageSchema) -> String {
    format!("{}.avsc", schema.name)
}

fn branches(schemas: &[MessageSchema], namespace: &str) -> Result<Vec<Value>, SchemaError> {
    let branch = |schema: &MessageSchema| {
        let tree = avsc::expand(&file(schema), schema.avsc, namespace)?;
        let named = tree.get("name").and_then(Value::as_str) == Some(schema.name);
        if named && tree.get("type").and_then(Value::as_str) == Some("record") {
            return Ok(tree);
        }
        let reason = format!("must hold a record named {}", schema.name);
        Err(SchemaError::Invalid { file: file(schema), reason })
    };
    schemas.iter().map(branch).collect()
}

fn with_data(head: &Value, data: &Value, file: &str) -> Result<Value, SchemaError> {
    let mut whole = head.clone();
    match whole.get_mut("fields") {
        Some(Value::Array(fields)) => fields.push(json!({ "name": DATA, "type": data })),
        _ => return Err(SchemaError::Invalid { file: file.to_owned(), reason: "must hold a record".to_owned() }),
    }
    Ok(whole)
}
