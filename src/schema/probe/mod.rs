//! A deserializer that has no data: it offers a Rust type what a schema promises, and notes where the
//! type asks for something else.
//!
//! One pass goes to one place of the schema. There it offers one of the choices that there are (a
//! union's branch, an enum's symbol), elsewhere the first, and a record's field on the way comes
//! first: a value type that refuses the example of another field cannot hide it. [`Script`] counts
//! through all places.

mod access;

use std::cell::RefCell;
use std::fmt::{self, Display};

use serde::de::{Deserializer, Error, IntoDeserializer, Unexpected, Visitor};
use serde_json::Value;

use access::{Branch, Entries, Fields, Items};

use super::compatibility::{Kind, kind, list, short_name};
use super::json::example;

/// Why a pass ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The type and the schema disagree.
    Disagreement(String),
    /// The type understood, and refused the example.
    Refused,
}

impl Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disagreement(reason) => f.write_str(reason),
            Self::Refused => f.write_str("an example was refused"),
        }
    }
}

impl std::error::Error for Obstacle {}

impl Error for Obstacle {
    fn custom<T: Display>(_: T) -> Self {
        Self::Refused
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::Disagreement(format!("the schema gives {unexpected}, the Rust type wants {expected}"))
    }
}

/// The choices of one pass.
#[derive(Debug, Default)]
pub struct Script {
    /// What to choose, and of how many.
    choices: Vec<(usize, usize)>,
    next: usize,
}

impl Script {
    fn choose(&mut self, of: usize) -> usize {
        if self.next == self.choices.len() {
            self.choices.push((0, of));
        }
        let (choice, _) = self.choices[self.next];
        self.next += 1;
        choice
    }

    /// Goes on to the next pass; `false` after the last.
    pub fn advance(&mut self) -> bool {
        self.choices.truncate(self.next);
        self.next = 0;
        while let Some((choice, of)) = self.choices.pop() {
            if choice + 1 < of {
                self.choices.push((choice + 1, of));
                return true;
            }
        }
        false
    }
}

/// One place of a schema.
#[derive(Clone)]
pub struct Probe<'p> {
    tree: &'p Value,
    /// The field around it, which may hold hints.
    field: &'p Value,
    place: String,
    /// `None` off the pass's way.
    script: Option<&'p RefCell<Script>>,
}

impl<'p> Probe<'p> {
    /// The root of a schema.
    pub fn new(tree: &'p Value, script: &'p RefCell<Script>) -> Self {
        Self { tree, field: &Value::Null, place: String::new(), script: Some(script) }
    }

    fn choose(&self, of: usize) -> usize {
        self.script.map_or(0, |script| script.borrow_mut().choose(of))
    }

    fn inner(&self, tree: &'p Value) -> Self {
        Self { tree, ..self.clone() }
    }

    fn is(&self, expected: Kind) -> bool {
        kind(self.tree) == expected
    }

    fn disagree(&self, wants: &str) -> Obstacle {
        let place = if self.place.is_empty() { String::new() } else { format!("{}: ", self.place) };
        let found = match kind(self.tree) {
            Kind::Union => Value::Array(self.branches().iter().map(|it| kind_name(it).into()).collect()).to_string(),
            _ => kind_name(self.tree),
        };
        Obstacle::Disagreement(format!("{place}the schema says {found}, the Rust type wants {wants}"))
    }

    fn branches(&self) -> &'p [Value] {
        self.tree.as_array().map_or(&[], Vec::as_slice)
    }

    /// What is in a union of it and null.
    fn optional(&self) -> Option<&'p Value> {
        let [one, other] = self.branches() else { return None };
        match (kind(one), kind(other)) {
            (Kind::Null, _) => Some(other),
            (_, Kind::Null) => Some(one),
            _ => None,
        }
    }

    /// Offers what the schema says.
    fn give<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        match kind(self.tree) {
            Kind::Null => visitor.visit_unit(),
            Kind::Boolean => visitor.visit_bool(true),
            Kind::Int => visitor.visit_i32(example::number(self.tree, self.field).try_into().unwrap_or(1)),
            Kind::Long => visitor.visit_i64(example::number(self.tree, self.field)),
            Kind::Float => visitor.visit_f32(1.0),
            Kind::Double => visitor.visit_f64(1.0),
            Kind::String => visitor.visit_string(example::text(self.tree, self.field)),
            Kind::Bytes => visitor.visit_byte_buf(Vec::new()),
            Kind::Fixed => {
                let size = self.tree.get("size").and_then(Value::as_u64).and_then(|size| size.try_into().ok());
                visitor.visit_byte_buf(vec![0; size.unwrap_or(0)])
            }
            Kind::Enum => {
                let symbols = list(self.tree, "symbols");
                let symbol = symbols.get(self.choose(symbols.len())).and_then(Value::as_str);
                visitor.visit_enum(symbol.unwrap_or_default().into_deserializer())
            }
            Kind::Array => visitor.visit_seq(Items(self.script.is_some().then(|| self.inner(&self.tree["items"])))),
            Kind::Map => visitor.visit_map(Entries(self.script.is_some().then(|| self.inner(&self.tree["values"])))),
            Kind::Record => visitor.visit_map(Fields::of(&self)),
            Kind::Union => {
                let branches = self.branches();
                match branches.get(self.choose(branches.len())) {
                    Some(branch) => self.inner(branch).give(visitor),
                    None => Err(self.disagree("something")),
                }
            }
        }
    }

    fn check_fields(&self, name: &str, wanted: &[&str]) -> Result<(), Obstacle> {
        if !self.is(Kind::Record) || short_name(self.tree) != name {
            return Err(self.disagree(&format!("a record named {name}")));
        }
        let given = || list(self.tree, "fields").iter().map(short_name);
        let place = if self.place.is_empty() { name } else { &self.place };
        if let Some(missing) = wanted.iter().find(|wanted| given().all(|given| given != **wanted)) {
            return Err(Obstacle::Disagreement(format!("{place}.{missing} is in the Rust type and not in the schema")));
        }
        if let Some(unread) = given().find(|given| !wanted.contains(given)) {
            return Err(Obstacle::Disagreement(format!("{place}.{unread} is in the schema and not in the Rust type")));
        }
        Ok(())
    }
}

fn kind_name(tree: &Value) -> String {
    match short_name(tree) {
        "" => format!("{:?}", kind(tree)).to_lowercase(),
        name => name.to_owned(),
    }
}

macro_rules! wants {
    ($($method:ident: $($kind:ident)|+, $wants:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Obstacle> {
            match kind(self.tree) {
                $(Kind::$kind)|+ => self.give(visitor),
                _ => Err(self.disagree($wants)),
            }
        }
    )*};
}

macro_rules! has_no_schema {
    ($($method:ident, $wants:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Obstacle> {
            Err(self.disagree($wants))
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Obstacle;

    wants! {
        deserialize_bool: Boolean, "boolean";
        deserialize_i8: Int, "int";
        deserialize_i16: Int, "int";
        deserialize_i32: Int, "int";
        deserialize_i64: Long, "long";
        deserialize_u8: Int, "int";
        deserialize_u16: Int, "int";
        deserialize_u32: Long, "long";
        deserialize_f32: Float, "float";
        deserialize_f64: Double, "double";
        deserialize_char: String, "string";
        deserialize_str: String, "string";
        deserialize_string: String, "string";
        deserialize_identifier: String, "string";
        deserialize_bytes: Bytes | Fixed, "bytes or fixed";
        deserialize_byte_buf: Bytes | Fixed, "bytes or fixed";
        deserialize_unit: Null, "null";
        deserialize_seq: Array, "an array";
        deserialize_map: Map, "a map";
    }

    has_no_schema! {
        deserialize_u64, "a u64, which has no Avro type: use i64";
        deserialize_u128, "a u128, which has no Avro type";
        deserialize_i128, "an i128, which has no Avro type";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.give(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.give(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        let inner = self.optional().ok_or_else(|| self.disagree("an Option, which is [\"null\", X]"))?;
        // Off the pass's way there is none; on it, first some.
        if self.script.is_none() || self.choose(2) == 1 {
            return visitor.visit_none();
        }
        visitor.visit_some(self.inner(inner))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, _: V) -> Result<V::Value, Obstacle> {
        Err(self.disagree(&format!("the unit struct {name}; write {name} {{}}")))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, _: V) -> Result<V::Value, Obstacle> {
        Err(self.disagree(&format!("the newtype {name}; make it #[serde(transparent)] or try_from and into")))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Obstacle> {
        Err(self.disagree("a tuple or an array of fixed length; use a struct or a Vec"))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Obstacle> {
        Err(self.disagree(&format!("the tuple struct {name}; use a struct with named fields")))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Obstacle> {
        if let [only] = self.branches() {
            return self.inner(only).deserialize_struct(name, fields, visitor);
        }
        self.check_fields(name, fields)?;
        visitor.visit_map(Fields::of(&self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Obstacle> {
        let wants = || format!("an enum of {}", variants.join(", "));
        match kind(self.tree) {
            Kind::Enum => {
                let symbols = list(self.tree, "symbols");
                let known = symbols.iter().all(|it| variants.iter().any(|variant| it == variant));
                if !known || symbols.len() != variants.len() {
                    let symbols = symbols.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
                    return Err(self.disagree(&format!("{}, where the schema has {symbols}", wants())));
                }
                self.give(visitor)
            }
            Kind::Union if self.branches().iter().map(kind_name).eq(variants.iter().copied().map(str::to_owned)) => {
                visitor.visit_enum(Branch(self))
            }
            _ => Err(self.disagree(&wants())),
        }
    }

    fn is_human_readable(&self) -> bool {
        true
    }
}
