//! The deserializer that is offered to a query.

use std::cell::RefCell;
use std::fmt::{self, Display};

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::Kind;

/// Texts that common value types take: words, digits of some length, ids, times, decimals.
const TEXTS: [&str; 12] = [
    "a",
    "1",
    "000001",
    "aaaaaa",
    "01900000-0000-7000-8000-000000000001",
    "2026-01-31T12:00:00Z",
    "2026-01-31",
    "10.00",
    "0ujtsYcgvSTl8PAuAdqWYSMnLOv",
    "",
    "AAAAAAAAAAAA",
    "000000000001",
];
const NUMBERS: [i64; 6] = [1, 0, 10, 100, 1000, -1];

/// How many examples there are to try.
pub const ATTEMPTS: usize = TEXTS.len();

/// Why the type did not take what it was offered.
#[derive(Debug)]
pub enum Obstacle {
    /// It told its fields.
    Fields(&'static [&'static str]),
    /// A field is not there.
    Missing(&'static str),
    /// It refused.
    Refused,
}

impl Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an example was refused")
    }
}

impl std::error::Error for Obstacle {}

impl Error for Obstacle {
    fn custom<T: Display>(_: T) -> Self {
        Self::Refused
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

/// What a type asked for.
#[derive(Debug)]
pub struct Noted {
    pub kind: Kind,
    pub is_optional: bool,
}

impl Default for Noted {
    fn default() -> Self {
        Self { kind: Kind::Any, is_optional: false }
    }
}

/// The query itself: without fields it is only asked which it has.
pub struct Structure<'n>(pub Option<Fields<'n>>);

impl<'de> Deserializer<'de> for Structure<'_> {
    type Error = Obstacle;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Obstacle> {
        Err(Obstacle::Refused)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Obstacle> {
        match self.0 {
            None => Err(Obstacle::Fields(fields)),
            Some(offered) => visitor.visit_map(offered),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Some fields, each with the example of a number.
pub struct Fields<'n> {
    rest: std::vec::IntoIter<(&'static str, usize)>,
    noted: &'n RefCell<Noted>,
    attempt: usize,
}

impl<'n> Fields<'n> {
    pub fn new(fields: Vec<(&'static str, usize)>, noted: &'n RefCell<Noted>) -> Self {
        Self { rest: fields.into_iter(), noted, attempt: 0 }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Obstacle;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Obstacle> {
        let Some((name, attempt)) = self.rest.next() else { return Ok(None) };
        self.attempt = attempt;
        let name: StrDeserializer<'_, Obstacle> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Obstacle> {
        *self.noted.borrow_mut() = Noted::default();
        seed.deserialize(Example { attempt: self.attempt, noted: self.noted })
    }
}

/// A value: whatever is asked for, as an example.
struct Example<'n> {
    attempt: usize,
    noted: &'n RefCell<Noted>,
}

impl Example<'_> {
    /// What is in a list was noted when the list was: it is put into it.
    fn note(&self, kind: Kind) {
        let mut noted = self.noted.borrow_mut();
        match &mut noted.kind {
            Kind::List(inner) => **inner = kind,
            any => *any = kind,
        }
    }

    const fn text(&self) -> &'static str {
        TEXTS[self.attempt % TEXTS.len()]
    }

    const fn number(&self) -> i64 {
        NUMBERS[self.attempt % NUMBERS.len()]
    }
}

macro_rules! gives {
    ($($kind:expr => $visit:ident($value:ident): $($method:ident)+;)*) => {$($(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Obstacle> {
            self.note($kind);
            visitor.$visit(self.$value())
        }
    )+)*};
}

impl<'de> Deserializer<'de> for Example<'_> {
    type Error = Obstacle;

    gives! {
        Kind::Text => visit_str(text): deserialize_str deserialize_string deserialize_char deserialize_identifier;
        Kind::Any => visit_str(text): deserialize_any;
        Kind::Integer => visit_i64(number): deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128;
        Kind::Number => visit_i64(number): deserialize_f32 deserialize_f64;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.note(Kind::Boolean);
        visitor.visit_bool(true)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.noted.borrow_mut().is_optional = true;
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Obstacle> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Obstacle> {
        self.note(Kind::List(Box::new(Kind::Any)));
        visitor.visit_seq(One(Some(self)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Obstacle> {
        self.note(Kind::Choice(variants));
        visitor.visit_enum(variants.first().copied().unwrap_or_default().into_deserializer())
    }

    forward_to_deserialize_any! { bytes byte_buf unit unit_struct tuple tuple_struct map struct ignored_any }

    fn is_human_readable(&self) -> bool {
        true
    }
}

/// A list of one.
struct One<'n>(Option<Example<'n>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Obstacle;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Obstacle> {
        self.0.take().map(|example| seed.deserialize(example)).transpose()
    }
}
