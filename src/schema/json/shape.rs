//! What the JSON of a type looks like, from its schema and its hints.

use regex::Regex;
use serde_json::Value;

use super::decimal;
use crate::schema::compatibility::{Kind, kind, list, short_name};

/// A type as it appears in JSON.
#[derive(Debug)]
pub enum Shape {
    Null,
    Boolean,
    /// A whole number within bounds.
    Integer {
        minimum: i64,
        maximum: i64,
    },
    /// Whole minor units, written as a decimal.
    Decimal {
        places: u32,
        minimum: i64,
        maximum: i64,
    },
    Float,
    Text(TextRules),
    Uuid,
    /// Moments, counted in units of this many microseconds.
    Timestamp {
        micros: i64,
    },
    Date,
    /// Of this length, or any.
    Bytes(Option<usize>),
    Symbol(Vec<String>),
    List(Box<Shape>),
    Map(Box<Shape>),
    Record(Vec<Field>),
    Optional(Box<Shape>),
    /// Branches by name.
    Either(Vec<(String, Shape)>),
}

/// What binds a text besides being one.
#[derive(Debug, Default)]
pub struct TextRules {
    pub pattern: Option<Regex>,
    /// In characters.
    pub min_length: Option<usize>,
    /// In characters.
    pub max_length: Option<usize>,
}

/// A field of a record.
#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub shape: Shape,
    /// Whether nobody is to see it who does not ask for it.
    pub secret: bool,
    /// What stands for an absent field, in Avro's terms.
    pub default: Option<Value>,
}

impl Shape {
    /// The shape of a tree.
    pub fn of(tree: &Value) -> Result<Self, String> {
        Self::hinted(tree, &Value::Null)
    }

    /// The shape of a type with hints from the field around it.
    pub fn hinted(tree: &Value, field: &Value) -> Result<Self, String> {
        let hints = Hints { field, tree };
        if !matches!(kind(tree), Kind::Union | Kind::Int | Kind::Long) && hints.get("json").is_some() {
            return Err("\"json\" is a hint for int and long".to_owned());
        }
        match kind(tree) {
            Kind::Null => Ok(Self::Null),
            Kind::Boolean => Ok(Self::Boolean),
            Kind::Int | Kind::Long => Self::number(tree, hints),
            Kind::Float | Kind::Double => Ok(Self::Float),
            Kind::String if logical_type(tree) == "uuid" => Ok(Self::Uuid),
            Kind::String => TextRules::of(hints).map(Self::Text),
            Kind::Bytes => Ok(Self::Bytes(None)),
            Kind::Fixed => Ok(Self::Bytes(tree.get("size").and_then(Value::as_u64).and_then(|it| it.try_into().ok()))),
            Kind::Enum => {
                Ok(Self::Symbol(list(tree, "symbols").iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()))
            }
            Kind::Array => Ok(Self::List(Box::new(Self::hinted(&tree["items"], field)?))),
            Kind::Map => Ok(Self::Map(Box::new(Self::hinted(&tree["values"], field)?))),
            Kind::Record => Ok(Self::Record(list(tree, "fields").iter().map(Field::of).collect::<Result<_, _>>()?)),
            Kind::Union => Self::union(tree.as_array().map_or(&[], Vec::as_slice), field),
        }
    }

    fn number(tree: &Value, hints: Hints<'_>) -> Result<Self, String> {
        let (least, most) = match kind(tree) {
            Kind::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        let bounds = |read: &dyn Fn(&Value) -> Option<i64>| -> Result<(i64, i64), String> {
            let bound = |name: &str, otherwise| match hints.get(name) {
                Some(hint) => read(hint).ok_or_else(|| format!("{name:?}: {hint} is no such number")),
                None => Ok(otherwise),
            };
            Ok((bound("minimum", least)?, bound("maximum", most)?))
        };
        if let Some(hint) = hints.get("json") {
            let places = hint.as_str().and_then(|it| it.strip_prefix("decimal(")?.strip_suffix(')')?.parse().ok());
            let places = places.filter(|places| *places <= decimal::MAX_PLACES);
            let places = places.ok_or_else(|| format!("\"json\": {hint} is not known; write \"decimal(2)\""))?;
            let (minimum, maximum) = bounds(&|hint| decimal::parse(hint.as_str()?, places).ok())?;
            return Ok(Self::Decimal { places, minimum, maximum });
        }
        match logical_type(tree) {
            "timestamp-micros" => Ok(Self::Timestamp { micros: 1 }),
            "timestamp-millis" => Ok(Self::Timestamp { micros: 1000 }),
            "date" => Ok(Self::Date),
            _ => bounds(&Value::as_i64).map(|(minimum, maximum)| Self::Integer { minimum, maximum }),
        }
    }

    fn union(branches: &[Value], field: &Value) -> Result<Self, String> {
        let others: Vec<&Value> = branches.iter().filter(|branch| kind(branch) != Kind::Null).collect();
        match others[..] {
            [only] if branches.len() == 2 => Ok(Self::Optional(Box::new(Self::hinted(only, field)?))),
            _ => {
                let branch = |tree: &Value| Ok((branch_name(tree), Self::hinted(tree, &Value::Null)?));
                branches.iter().map(branch).collect::<Result<_, String>>().map(Self::Either)
            }
        }
    }
}

impl Field {
    fn of(field: &Value) -> Result<Self, String> {
        let name = short_name(field).to_owned();
        let shape = Shape::hinted(&field["type"], field).map_err(|reason| format!("{name}: {reason}"))?;
        let secret = match field.get("secret") {
            None => false,
            Some(Value::Bool(secret)) => *secret,
            Some(other) => return Err(format!("{name}: \"secret\": {other} is neither true nor false")),
        };
        Ok(Self { name, shape, secret, default: field.get("default").cloned() })
    }
}

impl Shape {
    /// Whether a secret stands somewhere in it.
    pub fn has_secrets(&self) -> bool {
        match self {
            Self::List(inner) | Self::Map(inner) | Self::Optional(inner) => inner.has_secrets(),
            Self::Record(fields) => fields.iter().any(|field| field.secret || field.shape.has_secrets()),
            Self::Either(branches) => branches.iter().any(|(_, branch)| branch.has_secrets()),
            _ => false,
        }
    }
}

impl TextRules {
    fn of(hints: Hints<'_>) -> Result<Self, String> {
        let pattern = hints.get("pattern").map(|hint| {
            let pattern = hint.as_str().ok_or_else(|| format!("\"pattern\": {hint} is no text"))?;
            Regex::new(pattern).map_err(|error| format!("\"pattern\": {error}"))
        });
        let length = |name: &str| match hints.get(name) {
            Some(hint) => match hint.as_u64().and_then(|it| it.try_into().ok()) {
                Some(length) => Ok(Some(length)),
                None => Err(format!("{name:?}: {hint} is no length")),
            },
            None => Ok(None),
        };
        Ok(Self { pattern: pattern.transpose()?, min_length: length("minLength")?, max_length: length("maxLength")? })
    }
}

/// Hints stand next to a field's type, or in the type itself.
#[derive(Clone, Copy)]
struct Hints<'t> {
    field: &'t Value,
    tree: &'t Value,
}

impl<'t> Hints<'t> {
    fn get(self, name: &str) -> Option<&'t Value> {
        self.field.get(name).or_else(|| self.tree.get(name))
    }
}

fn logical_type(tree: &Value) -> &str {
    tree.get("logicalType").and_then(Value::as_str).unwrap_or_default()
}

fn branch_name(tree: &Value) -> String {
    match short_name(tree) {
        "" => format!("{:?}", kind(tree)).to_lowercase(),
        name => name.to_owned(),
    }
}
