//! Values of another writer's schema, rewritten as this release's: Avro's resolution rules.
//!
//! The slow way, only for records of older or newer releases. The library's own resolution picks a
//! union's branch by likeness, so that a deposit could be read as a withdrawal with the same fields;
//! here named types are matched by name and nothing else.

use apache_avro::types::Value;
use serde_json::Value as Tree;

use super::compatibility::{self, Kind, kind, list, short_name};
use super::datum::{self, Datum};
use super::envelope::{DATA, Envelope};

/// From one writer's type to one reader's type.
#[derive(Debug)]
pub struct Resolution {
    writer_tree: Tree,
    reader_tree: Tree,
    writer: Datum,
    reader: Datum,
}

impl Resolution {
    /// Prepares to rewrite.
    pub fn new(writer: &Tree, reader: &Tree) -> Result<Self, String> {
        // Resolution knows no logical types: they only say how a value is to be understood.
        let (writer_tree, reader_tree) = (without_logical_types(writer), without_logical_types(reader));
        let (writer, reader) = (Datum::new(&writer_tree)?, Datum::new(&reader_tree)?);
        Ok(Self { writer_tree, reader_tree, writer, reader })
    }

    /// Reads a datum of the writer's, moves `bytes` past it and appends it as the reader's.
    pub fn rewrite(&self, bytes: &mut &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let value = self.writer.read_value(bytes)?;
        self.reader.write_value(out, &convert(value, &self.writer_tree, &self.reader_tree)?)
    }
}

/// From another release's envelope to this one's.
#[derive(Debug)]
pub struct EnvelopeResolution {
    head: Resolution,
    branches: Vec<Branch>,
}

#[derive(Debug)]
enum Branch {
    /// Becomes this branch of the reader's union.
    Known(i64, Box<Resolution>),
    /// This release has no such message.
    Unknown(String),
}

impl EnvelopeResolution {
    /// Prepares to rewrite values of the envelope `writer`.
    pub fn new(writer: &Tree, reader: &Envelope) -> Result<Self, String> {
        let Some((data, head_fields)) =
            list(writer, "fields").split_last().filter(|(last, _)| short_name(last) == DATA)
        else {
            return Err(format!("its last field is not {DATA}"));
        };
        let Some(Tree::Array(writer_branches)) = data.get("type") else {
            return Err(format!("its field {DATA} is no union"));
        };
        let mut head = writer.clone();
        head["fields"] = Tree::Array(head_fields.to_vec());
        let branches: Vec<Tree> = reader.user.iter().chain(&reader.engine).cloned().collect();
        let branch = |writer: &Tree| match compatibility::branch_for(writer, &branches) {
            Some(index) => {
                let number = i64::try_from(index).map_err(|error| error.to_string())?;
                Ok(Branch::Known(number, Box::new(Resolution::new(writer, &branches[index])?)))
            }
            None => Ok(Branch::Unknown(short_name(writer).to_owned())),
        };
        Ok(Self {
            head: Resolution::new(&head, &reader.head)?,
            branches: writer_branches.iter().map(branch).collect::<Result<_, String>>()?,
        })
    }

    /// The head of a value, as the reader's; moves `bytes` to the data.
    pub fn rewrite_head(&self, bytes: &mut &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        self.head.rewrite(bytes, &mut out)?;
        Ok(out)
    }

    /// The data of a value, as the reader's; moves `bytes` past it.
    pub fn rewrite_data(&self, bytes: &mut &[u8]) -> Result<Vec<u8>, String> {
        let number = datum::read_long(bytes)?;
        let branch = usize::try_from(number).ok().and_then(|number| self.branches.get(number));
        match branch.ok_or_else(|| format!("message number {number} of {}", self.branches.len()))? {
            Branch::Unknown(name) => Err(format!("{name} is no message of this release")),
            Branch::Known(number, resolution) => {
                let mut out = Vec::new();
                datum::write_long(&mut out, *number);
                resolution.rewrite(bytes, &mut out)?;
                Ok(out)
            }
        }
    }
}

fn without_logical_types(tree: &Tree) -> Tree {
    match tree {
        Tree::Array(branches) => branches.iter().map(without_logical_types).collect(),
        Tree::Object(attributes) => {
            let mut bare = attributes.clone();
            bare.remove("logicalType");
            for key in ["items", "values", "type"] {
                if let Some(inner) = attributes.get(key) {
                    bare.insert(key.to_owned(), without_logical_types(inner));
                }
            }
            if let Some(Tree::Array(fields)) = attributes.get("fields") {
                bare.insert("fields".to_owned(), fields.iter().map(without_logical_types).collect());
            }
            Tree::Object(bare)
        }
        other => other.clone(),
    }
}

fn convert(value: Value, writer: &Tree, reader: &Tree) -> Result<Value, String> {
    match (value, kind(writer), kind(reader)) {
        (Value::Union(index, value), Kind::Union, _) => {
            let branch = usize::try_from(index).ok().and_then(|index| writer.get(index));
            convert(*value, branch.ok_or_else(|| format!("no branch {index}"))?, reader)
        }
        (value, _, Kind::Union) => {
            let branches = reader.as_array().map_or(&[][..], Vec::as_slice);
            let index = compatibility::branch_for(writer, branches);
            let index = index.ok_or_else(|| format!("{} is none of the types it may have", short_name(writer)))?;
            let inner = convert(value, writer, &branches[index])?;
            Ok(Value::Union(u32::try_from(index).map_err(|error| error.to_string())?, Box::new(inner)))
        }
        (Value::Record(fields), Kind::Record, Kind::Record) => record(fields, writer, reader),
        (Value::Enum(_, symbol), Kind::Enum, Kind::Enum) => enumerated(&symbol, reader),
        (Value::Array(items), Kind::Array, Kind::Array) => {
            let items = items.into_iter().map(|item| convert(item, &writer["items"], &reader["items"]));
            items.collect::<Result<_, _>>().map(Value::Array)
        }
        (Value::Map(items), Kind::Map, Kind::Map) => {
            let items = items.into_iter();
            let items = items.map(|(key, item)| Ok((key, convert(item, &writer["values"], &reader["values"])?)));
            items.collect::<Result<_, String>>().map(Value::Map)
        }
        (value, writer, reader) if writer == reader && is_of(&value, writer) => Ok(value),
        (value, _, reader) => promote(value, reader),
    }
}

/// The library reads a text or a boolean that is cut off as null; taken for an absent optional, it would
/// silently lose what was written.
fn is_of(value: &Value, kind: Kind) -> bool {
    matches!(
        (value, kind),
        (Value::Null, Kind::Null)
            | (Value::Boolean(_), Kind::Boolean)
            | (Value::Int(_), Kind::Int)
            | (Value::Long(_), Kind::Long)
            | (Value::Float(_), Kind::Float)
            | (Value::Double(_), Kind::Double)
            | (Value::Bytes(_), Kind::Bytes)
            | (Value::String(_), Kind::String)
            | (Value::Fixed(..), Kind::Fixed)
    )
}

#[expect(clippy::cast_precision_loss, reason = "Avro promotes int and long to float and double as they are")]
fn promote(value: Value, reader: Kind) -> Result<Value, String> {
    match (value, reader) {
        (Value::Int(number), Kind::Long) => Ok(Value::Long(number.into())),
        (Value::Int(number), Kind::Float) => Ok(Value::Float(number as f32)),
        (Value::Int(number), Kind::Double) => Ok(Value::Double(number.into())),
        (Value::Long(number), Kind::Float) => Ok(Value::Float(number as f32)),
        (Value::Long(number), Kind::Double) => Ok(Value::Double(number as f64)),
        (Value::Float(number), Kind::Double) => Ok(Value::Double(number.into())),
        (Value::String(text), Kind::Bytes) => Ok(Value::Bytes(text.into_bytes())),
        (Value::Bytes(bytes), Kind::String) => {
            String::from_utf8(bytes).map(Value::String).map_err(|error| error.to_string())
        }
        (value, reader) => Err(format!("{value:?} cannot be read as {reader:?}")),
    }
}

fn record(fields: Vec<(String, Value)>, writer: &Tree, reader: &Tree) -> Result<Value, String> {
    let mut written: Vec<Option<Value>> = fields.into_iter().map(|(_, value)| Some(value)).collect();
    let mut resolved = Vec::new();
    for field in list(reader, "fields") {
        let name = short_name(field);
        let place = |reason: String| format!("{}.{name}: {reason}", short_name(reader));
        let index = compatibility::field_for(writer, field);
        let value = match index.and_then(|index| Some((index, written.get_mut(index)?.take()?))) {
            Some((index, value)) => convert(value, &list(writer, "fields")[index]["type"], &field["type"]),
            None => match field.get("default") {
                Some(default) => default_value(default, &field["type"]),
                None => Err("is not in the record and has no default".to_owned()),
            },
        };
        resolved.push((name.to_owned(), value.map_err(place)?));
    }
    Ok(Value::Record(resolved))
}

fn enumerated(symbol: &str, reader: &Tree) -> Result<Value, String> {
    let symbols = list(reader, "symbols");
    let place = |wanted: &str| symbols.iter().position(|symbol| symbol.as_str() == Some(wanted));
    let default = || reader.get("default").and_then(Tree::as_str);
    let found = place(symbol).map(|index| (index, symbol)).or_else(|| default().and_then(|it| Some((place(it)?, it))));
    let (index, symbol) = found.ok_or_else(|| format!("{symbol} is no symbol of {}", short_name(reader)))?;
    Ok(Value::Enum(u32::try_from(index).map_err(|error| error.to_string())?, symbol.to_owned()))
}

/// The value of a field's default, as Avro writes defaults in JSON.
fn default_value(default: &Tree, reader: &Tree) -> Result<Value, String> {
    let wrong = || format!("its default {default} is no {:?}", kind(reader));
    match kind(reader) {
        Kind::Union => {
            let branches = reader.as_array().into_iter().flatten().enumerate();
            let mut fitting =
                branches.filter_map(|(index, branch)| Some((index, default_value(default, branch).ok()?)));
            let (index, value) = fitting.next().ok_or_else(wrong)?;
            Ok(Value::Union(u32::try_from(index).map_err(|error| error.to_string())?, Box::new(value)))
        }
        Kind::Null => default.as_null().map(|()| Value::Null).ok_or_else(wrong),
        Kind::Boolean => default.as_bool().map(Value::Boolean).ok_or_else(wrong),
        Kind::Int => default.as_i64().and_then(|it| it.try_into().ok()).map(Value::Int).ok_or_else(wrong),
        Kind::Long => default.as_i64().map(Value::Long).ok_or_else(wrong),
        #[expect(clippy::cast_possible_truncation, reason = "a float's default is written as the nearest decimal")]
        Kind::Float => default.as_f64().map(|number| Value::Float(number as f32)).ok_or_else(wrong),
        Kind::Double => default.as_f64().map(Value::Double).ok_or_else(wrong),
        Kind::String => default.as_str().map(|text| Value::String(text.to_owned())).ok_or_else(wrong),
        Kind::Bytes => latin1(default).map(Value::Bytes).ok_or_else(wrong),
        Kind::Fixed => latin1(default).map(|bytes| Value::Fixed(bytes.len(), bytes)).ok_or_else(wrong),
        Kind::Enum => enumerated(default.as_str().ok_or_else(wrong)?, reader),
        Kind::Array => {
            let items = default.as_array().ok_or_else(wrong)?.iter();
            items.map(|item| default_value(item, &reader["items"])).collect::<Result<_, _>>().map(Value::Array)
        }
        Kind::Map => {
            let items = default.as_object().ok_or_else(wrong)?.iter();
            let items = items.map(|(key, item)| Ok((key.clone(), default_value(item, &reader["values"])?)));
            items.collect::<Result<_, String>>().map(Value::Map)
        }
        Kind::Record => {
            let given = default.as_object().ok_or_else(wrong)?;
            let fields = list(reader, "fields").iter().map(|field| {
                let value = given.get(short_name(field)).or_else(|| field.get("default")).ok_or_else(wrong)?;
                Ok((short_name(field).to_owned(), default_value(value, &field["type"])?))
            });
            fields.collect::<Result<_, String>>().map(Value::Record)
        }
    }
}

/// Avro writes bytes in JSON as text, one character for each byte.
fn latin1(default: &Tree) -> Option<Vec<u8>> {
    default.as_str()?.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}
