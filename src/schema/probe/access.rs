//! What a probe offers inside of records, lists, maps and unions.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{Obstacle, Probe, kind_name};
use crate::schema::compatibility::{Kind, list, short_name};

/// The fields of a record, the pass's way first.
pub struct Fields<'p> {
    rest: std::vec::IntoIter<Probe<'p>>,
    present: Option<Probe<'p>>,
}

impl<'p> Fields<'p> {
    /// The fields of a record.
    pub fn of(record: &Probe<'p>) -> Self {
        let fields = list(record.tree, "fields");
        let around = if record.place.is_empty() { short_name(record.tree) } else { &record.place };
        let mut probes: Vec<Probe<'p>> = fields
            .iter()
            .map(|field| Probe {
                tree: &field["type"],
                field,
                place: format!("{around}.{}", short_name(field)),
                script: None,
            })
            .collect();
        if !probes.is_empty() {
            let way = record.choose(probes.len());
            probes[way].script = record.script;
            probes.swap(0, way);
        }
        Self { rest: probes.into_iter(), present: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Obstacle;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Obstacle> {
        self.present = self.rest.next();
        let Some(field) = &self.present else { return Ok(None) };
        let name: StrDeserializer<'_, Obstacle> = short_name(field.field).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Obstacle> {
        match self.present.take() {
            Some(field) => seed.deserialize(field),
            None => Err(Obstacle::Refused),
        }
    }
}

/// At most one item.
pub struct Items<'p>(pub Option<Probe<'p>>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Obstacle;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Obstacle> {
        self.0.take().map(|item| seed.deserialize(item)).transpose()
    }
}

/// At most one entry.
pub struct Entries<'p>(pub Option<Probe<'p>>);

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Obstacle;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Obstacle> {
        let key: StrDeserializer<'_, Obstacle> = "key".into_deserializer();
        self.0.is_some().then(|| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Obstacle> {
        match self.0.take() {
            Some(value) => seed.deserialize(value),
            None => Err(Obstacle::Refused),
        }
    }
}

/// A branch of a union that is an enum in Rust.
pub struct Branch<'p>(pub Probe<'p>);

impl<'de, 'p> EnumAccess<'de> for Branch<'p> {
    type Error = Obstacle;
    type Variant = Inner<'p>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Inner<'p>), Obstacle> {
        let branches = self.0.branches();
        let Some(branch) = branches.get(self.0.choose(branches.len())) else {
            return Err(self.0.disagree("something"));
        };
        let name: serde::de::value::StringDeserializer<Obstacle> = kind_name(branch).into_deserializer();
        Ok((seed.deserialize(name)?, Inner(self.0.inner(branch))))
    }
}

/// What is in a branch.
pub struct Inner<'p>(Probe<'p>);

impl<'de> VariantAccess<'de> for Inner<'_> {
    type Error = Obstacle;

    fn unit_variant(self) -> Result<(), Obstacle> {
        if self.0.is(Kind::Null) { Ok(()) } else { Err(self.0.disagree("a variant without fields; give it a struct")) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Obstacle> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Obstacle> {
        Err(self.0.disagree("a variant of several values; give it a struct"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Obstacle> {
        Err(self.0.disagree("a variant with fields of its own; give it a struct"))
    }
}
