//! What stands in a row: values and keys.
//!
//! The same on every database: text compares byte by byte, integers have 64 bits, a moment is its
//! microseconds since 1970. There are no floats: an amount is a whole number of minor units.

use std::fmt;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::position::{Offset, Partition, Sequence, Version};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// Text, compared byte by byte.
    Text,
    /// 64 bits, signed.
    Integer,
    /// Yes or no.
    Boolean,
    /// A moment, in microseconds since 1970.
    Timestamp,
    /// A JSON value. Not for keys.
    Json,
}

impl ColumnType {
    /// The name in messages and in the stored shape.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
        }
    }
}

/// A value of a column, or a parameter of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// A moment.
    Timestamp(Timestamp),
    /// A JSON value.
    Json(serde_json::Value),
}

impl Value {
    /// What kind of column can hold it; `None` fits any.
    #[must_use]
    pub const fn column_type(&self) -> Option<ColumnType> {
        match self {
            Self::Null => None,
            Self::Text(_) => Some(ColumnType::Text),
            Self::Integer(_) => Some(ColumnType::Integer),
            Self::Boolean(_) => Some(ColumnType::Boolean),
            Self::Timestamp(_) => Some(ColumnType::Timestamp),
            Self::Json(_) => Some(ColumnType::Json),
        }
    }
}

macro_rules! values_from {
    ($($from:ty => |$value:ident| $into:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $into
            }
        }
    )*};
}

values_from! {
    &str => |value| Self::Text(value.to_owned());
    &String => |value| Self::Text(value.clone());
    String => |value| Self::Text(value);
    i64 => |value| Self::Integer(value);
    i32 => |value| Self::Integer(i64::from(value));
    u32 => |value| Self::Integer(i64::from(value));
    bool => |value| Self::Boolean(value);
    Timestamp => |value| Self::Timestamp(value);
    Version => |value| Self::Integer(value.0);
    Sequence => |value| Self::Integer(value.0);
    Offset => |value| Self::Integer(value.0);
    Partition => |value| Self::Integer(i64::from(value.0));
    Uuid => |value| Self::Text(value.to_string());
    serde_json::Value => |value| Self::Json(value);
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Names a row: each key column with its value, in any order.
///
/// Made from a pair, `("account_id", id)`, or from several,
/// `(("account_id", id), ("version", version))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Key(pub(crate) Vec<(&'static str, Value)>);

impl<A: Into<Value>> From<(&'static str, A)> for Key {
    fn from((name, value): (&'static str, A)) -> Self {
        Self(vec![(name, value.into())])
    }
}

impl<A: Into<Value>, B: Into<Value>> From<((&'static str, A), (&'static str, B))> for Key {
    fn from((a, b): ((&'static str, A), (&'static str, B))) -> Self {
        Self(vec![(a.0, a.1.into()), (b.0, b.1.into())])
    }
}

impl<A, B, C> From<((&'static str, A), (&'static str, B), (&'static str, C))> for Key
where
    A: Into<Value>,
    B: Into<Value>,
    C: Into<Value>,
{
    fn from((a, b, c): ((&'static str, A), (&'static str, B), (&'static str, C))) -> Self {
        Self(vec![(a.0, a.1.into()), (b.0, b.1.into()), (c.0, c.1.into())])
    }
}

/// One column of a key, checked: never null, and comparable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPart {
    /// Text.
    Text(String),
    /// A whole number, or a moment in microseconds since 1970.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => number.fmt(f),
            Self::Boolean(yes) => yes.fmt(f),
        }
    }
}

/// A checked key, in the table's order of columns.
pub type RowKey = Box<[KeyPart]>;
