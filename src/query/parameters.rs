//! What a query may be asked with, learnt from the type itself: a deserializer without data is offered to
//! it, and notes for which fields and which kinds of values it asks.
//!
//! Rules that a value's type keeps to itself (six digits, at most a thousand) are said by
//! [`Query::HINTS`](super::Query::HINTS).

mod offer;

use std::cell::RefCell;

use serde::de::DeserializeOwned;

use offer::{Fields, Noted, Obstacle, Structure};

use super::Query;

/// A field of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What else is known of it.
    pub hint: Hint,
}

/// What a value is in JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Several of a kind.
    List(Box<Kind>),
    /// Something that only the type itself knows.
    Any,
}

/// What is known of a field beyond its type, for the description of the API. What binds is the type.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hint {
    /// The field.
    pub field: &'static str,
    /// The regular expression that its text matches.
    pub pattern: Option<&'static str>,
    /// The least number that it may be.
    pub minimum: Option<i64>,
    /// The greatest number that it may be.
    pub maximum: Option<i64>,
    /// What it says, for people.
    pub doc: Option<&'static str>,
}

impl Hint {
    /// For this field.
    #[must_use]
    pub const fn of(field: &'static str) -> Self {
        Self { field, pattern: None, minimum: None, maximum: None, doc: None }
    }

    /// Its text matches this regular expression.
    #[must_use]
    pub const fn matches(mut self, pattern: &'static str) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// Its number is between these, both included.
    #[must_use]
    pub const fn between(mut self, minimum: i64, maximum: i64) -> Self {
        (self.minimum, self.maximum) = (Some(minimum), Some(maximum));
        self
    }

    /// What it says, for people.
    #[must_use]
    pub const fn says(mut self, doc: &'static str) -> Self {
        self.doc = Some(doc);
        self
    }
}

/// The fields of a query, in its order; none if it is no struct with fields known by name.
#[must_use]
pub fn parameters<Q: Query>() -> Vec<Parameter> {
    parameters_of::<Q>(Q::HINTS)
}

fn parameters_of<T: DeserializeOwned>(hints: &[Hint]) -> Vec<Parameter> {
    let Err(Obstacle::Fields(names)) = T::deserialize(Structure(None)) else { return Vec::new() };
    let learnt: Vec<Learnt> = names.iter().map(|name| learn::<T>(name)).collect();
    let is_required = |name: &'static str| {
        let others = learnt.iter().filter(|other| other.name != name && other.is_accepted);
        let others = others.map(|other| (other.name, other.attempt)).collect();
        matches!(ask::<T>(others).0, Err(Obstacle::Missing(missing)) if missing == name)
    };
    let parameter = |it: &Learnt| {
        let hint = hints.iter().find(|hint| hint.field == it.name).copied().unwrap_or(Hint::of(it.name));
        // Where no example of another field is accepted, one may be missed before this one is.
        let all_known = learnt.iter().all(|other| other.is_accepted || other.name == it.name);
        let required = if all_known { is_required(it.name) } else { !it.noted.is_optional };
        Parameter { name: it.name, kind: it.noted.kind.clone(), required, hint }
    };
    learnt.iter().map(parameter).collect()
}

/// What was learnt of a field.
struct Learnt {
    name: &'static str,
    noted: Noted,
    /// The number of an example, and whether the type accepts it.
    attempt: usize,
    is_accepted: bool,
}

fn learn<T: DeserializeOwned>(name: &'static str) -> Learnt {
    let mut learnt = Learnt { name, noted: Noted::default(), attempt: 0, is_accepted: false };
    for attempt in 0..offer::ATTEMPTS {
        let (outcome, noted) = ask::<T>(vec![(name, attempt)]);
        // Values are read before it is looked what is missing.
        let is_accepted = matches!(outcome, Ok(()) | Err(Obstacle::Missing(_)));
        learnt = Learnt { name, noted, attempt, is_accepted };
        if is_accepted {
            break;
        }
    }
    learnt
}

/// Offers these fields, each with the example of this number; what came of it, and what was noted of the
/// last field.
fn ask<T: DeserializeOwned>(fields: Vec<(&'static str, usize)>) -> (Result<(), Obstacle>, Noted) {
    let noted = RefCell::new(Noted::default());
    let outcome = T::deserialize(Structure(Some(Fields::new(fields, &noted))));
    (outcome.map(drop), noted.into_inner())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct SixDigits;

    impl TryFrom<String> for SixDigits {
        type Error = &'static str;

        fn try_from(text: String) -> Result<Self, Self::Error> {
            let is_one = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_one { Ok(Self) } else { Err("six digits") }
        }
    }

    #[derive(Default, Deserialize)]
    #[serde(try_from = "i64")]
    struct Tens;

    impl TryFrom<i64> for Tens {
        type Error = &'static str;

        fn try_from(number: i64) -> Result<Self, Self::Error> {
            if number > 0 && number % 10 == 0 { Ok(Self) } else { Err("tens") }
        }
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Up,
        Down,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is only read")]
    struct Asked {
        account: SixDigits,
        before: Option<i64>,
        #[serde(default)]
        limit: Tens,
        order: Order,
        tags: Option<Vec<String>>,
        exact: bool,
    }

    #[test]
    fn names_kinds_and_what_must_be_there_are_learnt_from_the_type() {
        let hints = [Hint::of("limit").between(10, 100)];
        let learnt = parameters_of::<Asked>(&hints);
        let seen: Vec<_> = learnt.iter().map(|it| (it.name, it.kind.clone(), it.required)).collect();
        assert_eq!(
            seen,
            [
                ("account", Kind::Text, true),
                ("before", Kind::Integer, false),
                ("limit", Kind::Integer, false),
                ("order", Kind::Choice(&["up", "down"]), true),
                ("tags", Kind::List(Box::new(Kind::Text)), false),
                ("exact", Kind::Boolean, true),
            ]
        );
        assert_eq!(learnt[2].hint.maximum, Some(100));
    }

    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Strange;

    impl TryFrom<String> for Strange {
        type Error = &'static str;

        fn try_from(_: String) -> Result<Self, Self::Error> {
            Err("never")
        }
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is only read")]
    struct Odd {
        strange: Strange,
        maybe: Option<Strange>,
    }

    #[test]
    fn a_type_that_takes_no_example_is_told_by_what_it_asks_for() {
        let seen: Vec<_> = parameters_of::<Odd>(&[]).into_iter().map(|it| (it.kind, it.required)).collect();
        assert_eq!(seen, [(Kind::Text, true), (Kind::Text, false)]);
    }

    #[test]
    fn what_has_no_fields_has_no_parameters() {
        #[derive(Deserialize)]
        struct Empty {}
        assert_eq!(parameters_of::<Empty>(&[]), []);
        assert_eq!(parameters_of::<std::collections::BTreeMap<String, i64>>(&[]), []);
    }
}
