//! To JSON, as people read it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::shape::Shape;
use super::{decimal, shape_of};
use crate::clock::Timestamp;
use crate::schema::{Message, MessageSchema, SchemaError};

/// A message or a state as JSON, and its type name.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The type name.
    pub name: &'static str,
    /// Its fields.
    pub data: Value,
}

/// What becomes of fields that are `"secret": true` in their schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are shown as `"***"`.
    Hidden,
    /// They are shown, to somebody who asked for it.
    Shown,
}

/// What stands for a secret.
const HIDDEN: &str = "***";

/// A message or a state as JSON.
pub fn to_json<M: Message>(message: &M, secrets: Secrets) -> Result<Named, SchemaError> {
    let unwritable = |reason: String| SchemaError::Unwritable { subject: "JSON".to_owned(), reason };
    let value = serde_json::to_value(message).map_err(|error| unwritable(error.to_string()))?;
    let (schema, fields) = take_apart(M::SCHEMAS, value)
        .ok_or_else(|| unwritable(format!("a {} has no schema", std::any::type_name::<M>())))?;
    Ok(Named { name: schema.name, data: show(&*shape_of(schema)?, fields, secrets) })
}

/// An enum is an object with one key, the variant's name; a state is its fields.
fn take_apart(schemas: &'static [MessageSchema], value: Value) -> Option<(&'static MessageSchema, Value)> {
    if let Value::Object(fields) = &value
        && let Some((key, inner)) = fields.iter().next()
        && fields.len() == 1
        && inner.is_object()
        && let Some(schema) = schemas.iter().find(|schema| schema.name == key)
    {
        return Some((schema, inner.clone()));
    }
    schemas.first().filter(|_| schemas.len() == 1).map(|state| (state, value))
}

/// A value in Avro's terms as people read it. What does not fit its shape is shown as it is.
fn show(shape: &Shape, value: Value, secrets: Secrets) -> Value {
    match (shape, value) {
        (Shape::Optional(inner), value) if !value.is_null() => show(inner, value, secrets),
        (Shape::Decimal { places, .. }, value) => number(&value, |units| Some(decimal::show(units, *places))),
        (Shape::Timestamp { micros }, value) => {
            number(&value, |count| Some(Timestamp(count.checked_mul(*micros)?).to_string()))
        }
        (Shape::Date, value) => number(&value, |days| {
            let days = jiff::Span::new().try_days(days).ok()?;
            Some(jiff::civil::date(1970, 1, 1).checked_add(days).ok()?.to_string())
        }),
        (Shape::Bytes(_), Value::Array(bytes)) => {
            let plain: Option<Vec<u8>> = bytes.iter().map(|byte| byte.as_u64()?.try_into().ok()).collect();
            plain.map_or(Value::Array(bytes), |bytes| BASE64_STANDARD.encode(bytes).into())
        }
        (Shape::List(item), Value::Array(items)) => items.into_iter().map(|value| show(item, value, secrets)).collect(),
        (Shape::Map(item), Value::Object(items)) => {
            items.into_iter().map(|(key, value)| (key, show(item, value, secrets))).collect()
        }
        (Shape::Record(fields), Value::Object(mut given)) => {
            // In the schema's order.
            let mut shown = Map::new();
            for field in fields {
                let Some(value) = given.remove(&field.name) else { continue };
                let is_hidden = field.secret && secrets == Secrets::Hidden && !value.is_null();
                let value = if is_hidden { HIDDEN.into() } else { show(&field.shape, value, secrets) };
                shown.insert(field.name.clone(), value);
            }
            shown.extend(given);
            Value::Object(shown)
        }
        (Shape::Either(branches), Value::Object(given)) => {
            let branch = |name: &str| branches.iter().find(|(branch, _)| branch == name);
            let shown = given.into_iter().map(|(name, value)| match branch(&name) {
                Some((_, shape)) => (name, show(shape, value, secrets)),
                None => (name, value),
            });
            shown.collect()
        }
        (_, value) => value,
    }
}

fn number(value: &Value, show: impl FnOnce(i64) -> Option<String>) -> Value {
    value.as_i64().and_then(show).map_or_else(|| value.clone(), Value::from)
}
