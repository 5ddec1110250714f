//! From JSON: every refusal names the place as a JSON pointer, and the rule.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;
use uuid::Uuid;

use super::shape::{Field, Shape, TextRules};
use super::{decimal, shape_of};
use crate::clock::Timestamp;
use crate::schema::{Message, MessageSchema};

/// What a client wrote is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// There is no such message.
    #[error("{name:?} is unknown{}", did_you_mean(nearest.as_deref()))]
    UnknownMessage {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// A value breaks a rule.
    #[error("{}{message}", place(pointer))]
    Invalid {
        /// Where, as a JSON pointer (RFC 6901) into the message.
        pointer: String,
        /// The rule.
        message: String,
    },
}

impl InputError {
    /// Where in the message, as a JSON pointer; empty for the whole.
    #[must_use]
    pub fn pointer(&self) -> &str {
        match self {
            Self::UnknownMessage { .. } => "",
            Self::Invalid { pointer, .. } => pointer,
        }
    }
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!("{pointer}: ") }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|it| format!("; did you mean {it:?}?")).unwrap_or_default()
}

/// The message of a name. Whether it is [internal](MessageSchema::internal) is the caller's to judge.
pub fn find<M: Message>(name: &str) -> Result<&'static MessageSchema, InputError> {
    M::SCHEMAS.iter().find(|schema| schema.name == name).ok_or_else(|| {
        let offered = M::SCHEMAS.iter().filter(|schema| !schema.internal).map(|schema| schema.name);
        InputError::UnknownMessage { name: name.to_owned(), nearest: nearest(name, offered) }
    })
}

/// The message `name` from its fields as JSON.
pub fn command_from_json<M: Message>(name: &str, fields: &Value) -> Result<M, InputError> {
    let schema = find::<M>(name)?;
    let invalid = |pointer: String, message: String| InputError::Invalid { pointer, message };
    let shape = shape_of(schema).map_err(|error| invalid(String::new(), error.to_string()))?;
    let fields = read(&shape, fields, &Path::Root).map_err(|(pointer, message)| invalid(pointer, message))?;
    let message = Value::Object(Map::from_iter([(name.to_owned(), fields)]));
    // Rules that only the value types know speak up here.
    serde_path_to_error::deserialize(message).map_err(|error| {
        let pointer = pointer_of(error.path());
        // A type may repeat what it refuses.
        let path: Vec<&Segment> = error.path().iter().skip(1).collect();
        let is_secret = touches_secrets(&shape, &path);
        let rule = if is_secret { SECRET_REFUSED.to_owned() } else { error.into_inner().to_string() };
        invalid(pointer, rule)
    })
}

const SECRET_REFUSED: &str = "is refused; why is not said, since it is secret";

/// Whether the place of a path is a secret, stands in one or holds one.
fn touches_secrets(shape: &Shape, path: &[&Segment]) -> bool {
    match (shape, path) {
        (Shape::Optional(inner), path) => touches_secrets(inner, path),
        (Shape::Record(fields), [Segment::Map { key }, rest @ ..]) => {
            let field = fields.iter().find(|field| field.name == *key);
            field.is_none_or(|field| field.secret || touches_secrets(&field.shape, rest))
        }
        (Shape::List(inner) | Shape::Map(inner), [_, rest @ ..]) => touches_secrets(inner, rest),
        (Shape::Either(branches), [Segment::Enum { variant }, rest @ ..]) => {
            let branch = branches.iter().find(|(name, _)| name == variant);
            branch.is_none_or(|(_, shape)| touches_secrets(shape, rest))
        }
        (shape, _) => shape.has_secrets(),
    }
}

/// Where the reader stands, innermost first; made into a pointer only when something is wrong.
enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(outer, key) => format!("{}/{}", outer.pointer(), escaped(key)),
            Self::Index(outer, index) => format!("{}/{index}", outer.pointer()),
        }
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The first segment is the message's own name.
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    let segments = path.iter().skip(1).filter_map(|segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", escaped(key))),
        Segment::Enum { variant } => Some(format!("/{}", escaped(variant))),
        Segment::Unknown => None,
    });
    segments.collect()
}

type Wrong = (String, String);

/// The value in Avro's terms.
fn read(shape: &Shape, value: &Value, path: &Path<'_>) -> Result<Value, Wrong> {
    let wrong = |message: &str| (path.pointer(), message.to_owned());
    match (shape, value) {
        (Shape::Optional(_) | Shape::Null, Value::Null) => Ok(Value::Null),
        (Shape::Optional(inner), value) => read(inner, value, path),
        (Shape::Boolean, Value::Bool(_)) | (Shape::Float, Value::Number(_)) => Ok(value.clone()),
        (Shape::Integer { minimum, maximum }, Value::Number(number)) => {
            let number = number.as_i64().ok_or_else(|| wrong("must be a whole number"))?;
            within(number, *minimum, *maximum, i64::to_string).map_err(|rule| wrong(&rule))
        }
        (Shape::Decimal { places, minimum, maximum }, Value::String(text)) => {
            let units = decimal::parse(text, *places).map_err(|rule| wrong(&rule))?;
            within(units, *minimum, *maximum, |it| decimal::show(*it, *places)).map_err(|rule| wrong(&rule))
        }
        (Shape::List(item), Value::Array(items)) => {
            let items = items.iter().enumerate();
            items.map(|(index, value)| read(item, value, &Path::Index(path, index))).collect()
        }
        (Shape::Map(item), Value::Object(items)) => {
            let items = items.iter();
            let items = items.map(|(key, value)| Ok((key.clone(), read(item, value, &Path::Key(path, key))?)));
            items.collect::<Result<Map<_, _>, Wrong>>().map(Value::Object)
        }
        (Shape::Record(fields), Value::Object(given)) => read_record(fields, given, path),
        (Shape::Either(branches), Value::Object(given)) => read_branch(branches, given, path),
        (Shape::Either(branches), Value::Null) if branches.iter().any(|(_, it)| matches!(it, Shape::Null)) => {
            Ok(Value::Null)
        }
        (shape, Value::String(text)) => read_text(shape, text).map_err(|rule| wrong(&rule)),
        (shape, _) => Err(wrong(&format!("must be {}", expected(shape)))),
    }
}

fn read_text(shape: &Shape, text: &str) -> Result<Value, String> {
    match shape {
        Shape::Text(rules) => rules.check(text).map(|()| text.into()),
        Shape::Uuid => Uuid::parse_str(text).map(|id| id.to_string().into()).map_err(|_| "must be a UUID".to_owned()),
        Shape::Timestamp { micros } => {
            let time: Timestamp = text.parse().map_err(|_| format!("must be {}", expected(shape)))?;
            Ok(time.0.div_euclid(*micros).into())
        }
        Shape::Date => {
            let date: jiff::civil::Date = text.parse().map_err(|_| format!("must be {}", expected(shape)))?;
            Ok((date - jiff::civil::date(1970, 1, 1)).get_days().into())
        }
        Shape::Bytes(size) => {
            let bytes = BASE64_STANDARD.decode(text).map_err(|_| format!("must be {}", expected(shape)))?;
            match size {
                Some(size) if bytes.len() != *size => Err(format!("must be {size} bytes in Base64")),
                _ => Ok(bytes.into_iter().map(Value::from).collect()),
            }
        }
        Shape::Symbol(symbols) if symbols.iter().any(|symbol| symbol == text) => Ok(text.into()),
        Shape::Symbol(symbols) => {
            let nearest = nearest(text, symbols.iter().map(String::as_str));
            Err(format!("must be {}{}", expected(shape), did_you_mean(nearest.as_deref())))
        }
        shape => Err(format!("must be {}", expected(shape))),
    }
}

fn read_record(fields: &[Field], given: &Map<String, Value>, path: &Path<'_>) -> Result<Value, Wrong> {
    let known = || fields.iter().map(|field| field.name.as_str());
    if let Some(unknown) = given.keys().find(|key| !known().any(|name| name == key.as_str())) {
        let hint = match nearest(unknown, known().filter(|name| !given.contains_key(*name))) {
            Some(nearest) => did_you_mean(Some(&nearest)),
            None if fields.is_empty() => "; there are none here".to_owned(),
            None => format!("; there is {}", known().collect::<Vec<_>>().join(", ")),
        };
        return Err((Path::Key(path, unknown).pointer(), format!("is no field{hint}")));
    }
    let mut read_fields = Map::new();
    for field in fields {
        let path = Path::Key(path, &field.name);
        let value = match (given.get(&field.name), &field.default, &field.shape) {
            (Some(value), ..) => read(&field.shape, value, &path)?,
            (None, Some(default), _) => default.clone(),
            (None, None, Shape::Optional(_)) => Value::Null,
            (None, None, shape) => return Err((path.pointer(), format!("is missing; it must be {}", expected(shape)))),
        };
        read_fields.insert(field.name.clone(), value);
    }
    Ok(Value::Object(read_fields))
}

fn read_branch(branches: &[(String, Shape)], given: &Map<String, Value>, path: &Path<'_>) -> Result<Value, Wrong> {
    let names = || branches.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let mut given = given.iter();
    let (Some((name, value)), None) = (given.next(), given.next()) else {
        return Err((path.pointer(), format!("must be an object with one key, one of {}", names())));
    };
    let Some((_, shape)) = branches.iter().find(|(branch, _)| branch == name) else {
        return Err((Path::Key(path, name).pointer(), format!("must be one of {}", names())));
    };
    let value = read(shape, value, &Path::Key(path, name))?;
    Ok(Value::Object(Map::from_iter([(name.clone(), value)])))
}

impl TextRules {
    pub fn check(&self, text: &str) -> Result<(), String> {
        let length = text.chars().count();
        if self.min_length.is_some_and(|least| length < least) || self.max_length.is_some_and(|most| length > most) {
            return Err(match (self.min_length, self.max_length) {
                (Some(least), Some(most)) => format!("must have {least} to {most} characters"),
                (Some(least), None) => format!("must have at least {least} characters"),
                (_, most) => format!("must have at most {} characters", most.unwrap_or_default()),
            });
        }
        match &self.pattern {
            Some(pattern) if !pattern.is_match(text) => Err(format!("must match {}", pattern.as_str())),
            _ => Ok(()),
        }
    }
}

fn within(number: i64, minimum: i64, maximum: i64, show: impl Fn(&i64) -> String) -> Result<Value, String> {
    if number < minimum {
        return Err(format!("must be at least {}", show(&minimum)));
    }
    if number > maximum {
        return Err(format!("must be at most {}", show(&maximum)));
    }
    Ok(number.into())
}

fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Null => "null".to_owned(),
        Shape::Boolean => "true or false".to_owned(),
        Shape::Integer { .. } => "a whole number".to_owned(),
        Shape::Decimal { places, .. } => {
            format!("text such as {:?}, since a JSON number may be rounded", decimal::show(1234, *places))
        }
        Shape::Float => "a number".to_owned(),
        Shape::Text(_) => "text".to_owned(),
        Shape::Uuid => "a UUID".to_owned(),
        Shape::Timestamp { .. } => "RFC 3339 text such as \"2026-01-31T12:00:00Z\"".to_owned(),
        Shape::Date => "a date such as \"2026-01-31\"".to_owned(),
        Shape::Bytes(_) => "Base64 text".to_owned(),
        Shape::Symbol(symbols) => format!("one of {}", symbols.join(", ")),
        Shape::List(_) => "a list".to_owned(),
        Shape::Map(_) | Shape::Record(_) | Shape::Either(_) => "an object".to_owned(),
        Shape::Optional(inner) => expected(inner),
    }
}

/// What is near enough to be a slip of the keys.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    let lower = name.to_lowercase();
    let distances = known.map(|it| (strsim::damerau_levenshtein(&lower, &it.to_lowercase()), it));
    let near = distances.filter(|(distance, it)| *distance <= 1 + it.chars().count() / 4);
    near.min_by_key(|(distance, _)| *distance).map(|(_, it)| it.to_owned())
}
