//! A Rust type and its schema that do not say the same are found before anything is written.

use super::*;
use crate::command::{DeadLetter, InboxInput, Outcomes, Reply};
use crate::event::{EventHead, SnapshotControl, SnapshotHead};
use crate::saga::{StateControl, StateHead};

/// A message type with one schema.
macro_rules! message {
    ($name:ident, $fields:expr) => {
        impl Message for $name {
            const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new(
                stringify!($name),
                concat!(r#"{"type": "record", "name": ""#, stringify!($name), r#"", "fields": ["#, $fields, "]}"),
            )];
        }
    };
}

fn disagreement<M: Message>() -> String {
    match check::<M>().expect_err("they disagree") {
        SchemaError::Disagreement { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn the_engine_s_own_types_agree_with_their_schemas() {
    check_head::<CommandHead>().expect("agree");
    check_head::<EventHead>().expect("agree");
    check_head::<SnapshotHead>().expect("agree");
    check::<Control>().expect("agree");
    check::<SnapshotControl>().expect("agree");
    check::<Never>().expect("nothing to disagree about");
    check_record::<Outcomes>().expect("agree");
    check_record::<Reply>().expect("agree");
    check_record::<DeadLetter>().expect("agree");
    check_record::<InboxInput>().expect("agree");
    check_head::<StateHead>().expect("agree");
    check::<StateControl>().expect("agree");
    check::<JarCommand>().expect("agree");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    colour: Option<String>,
    sizes: Vec<i32>,
}

#[test]
fn a_field_that_only_the_rust_type_has_is_named() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Missing {
        amount: i64,
        note: String,
    }
    message!(Missing, r#"{"name": "amount", "type": "long"}"#);
    assert_eq!(disagreement::<Missing>(), "Missing.note is in the Rust type and not in the schema");
}

#[test]
fn a_field_that_only_the_schema_has_is_named() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Unread {
        amount: i64,
    }
    message!(Unread, r#"{"name": "amount", "type": "long"}, {"name": "note", "type": "string"}"#);
    assert_eq!(disagreement::<Unread>(), "Unread.note is in the schema and not in the Rust type");
}

#[test]
fn a_field_of_another_type_is_named_with_both_types() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Narrow {
        amount: i32,
    }
    message!(Narrow, r#"{"name": "amount", "type": "long"}"#);
    assert_eq!(disagreement::<Narrow>(), "Narrow.amount: the schema says long, the Rust type wants int");
}

#[test]
fn a_field_that_only_the_schema_has_as_optional_is_named() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Bare {
        note: String,
    }
    message!(Bare, r#"{"name": "note", "type": ["null", "string"]}"#);
    assert_eq!(disagreement::<Bare>(), r#"Bare.note: the schema says ["null","string"], the Rust type wants string"#);
}

#[test]
fn a_field_that_only_the_rust_type_has_as_optional_is_named() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Optional {
        note: Option<String>,
    }
    message!(Optional, r#"{"name": "note", "type": "string"}"#);
    assert!(
        disagreement::<Optional>().starts_with("Optional.note: the schema says string, the Rust type wants an Opt")
    );
}

#[test]
fn disagreement_is_found_at_every_depth() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Outer {
        first: Vec<Option<Inner>>,
    }
    message!(
        Outer,
        r#"{"name": "first", "type": {"type": "array", "items": ["null", {"type": "record", "name": "Inner", "fields": [
            {"name": "colour", "type": ["null", "string"]},
            {"name": "sizes", "type": {"type": "array", "items": "long"}}]}]}}"#
    );
    assert_eq!(disagreement::<Outer>(), "Outer.first.sizes: the schema says long, the Rust type wants int");
}

/// Three digits, as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Code(String);

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "x-1" { Ok(Self(text)) } else { Err("must be x-1".to_owned()) }
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.0
    }
}

#[test]
fn a_value_type_that_refuses_the_example_hides_no_other_field() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Hidden {
        code: Code,
        again: Code,
        amount: i32,
    }
    message!(
        Hidden,
        r#"{"name": "code", "type": "string"}, {"name": "again", "type": "string"}, {"name": "amount", "type": "long"}"#
    );
    assert_eq!(disagreement::<Hidden>(), "Hidden.amount: the schema says long, the Rust type wants int");
}

#[test]
fn variants_in_another_order_than_the_branches_are_named() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Swapped {
        TakeOut(TakeOut),
        PutIn(PutIn),
    }
    impl Message for Swapped {
        const SCHEMAS: &'static [MessageSchema] = JarCommand::SCHEMAS;
    }
    let reason = disagreement::<Swapped>();
    assert_eq!(reason, r#"the schema says ["PutIn","TakeOut"], the Rust type wants an enum of TakeOut, PutIn"#);
}

#[test]
fn a_symbol_that_only_one_side_has_is_named() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    enum Metal {
        Gold,
        Tin,
    }
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Coin {
        metal: Metal,
    }
    message!(Coin, r#"{"name": "metal", "type": {"type": "enum", "name": "Metal", "symbols": ["Gold", "Silver"]}}"#);
    let reason = disagreement::<Coin>();
    assert_eq!(
        reason,
        "Coin.metal: the schema says Metal, the Rust type wants an enum of Gold, Tin, where the schema has Gold, Silver"
    );
}

#[test]
fn a_plain_newtype_says_what_to_use_instead() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Number(i64);
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Wrapped {
        number: Number,
    }
    message!(Wrapped, r#"{"name": "number", "type": "long"}"#);
    assert!(disagreement::<Wrapped>().contains("serde(transparent)"));
}

#[test]
fn an_unsigned_64_bit_number_says_what_to_use_instead() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Unsigned {
        number: u64,
    }
    message!(Unsigned, r#"{"name": "number", "type": "long"}"#);
    assert!(disagreement::<Unsigned>().contains("use i64"));
}

#[test]
fn a_hint_that_says_nothing_is_refused_at_start() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Hinted {
        amount: i64,
    }
    message!(Hinted, r#"{"name": "amount", "type": "long", "json": "decimals"}"#);
    let error = check::<Hinted>().expect_err("no hint").to_string();
    assert_eq!(error, r#"Hinted.avsc: amount: "json": "decimals" is not known; write "decimal(2)""#);
}

#[test]
fn a_type_that_writes_otherwise_than_it_reads_is_found_by_a_sample() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Lossy {
        #[serde(skip_serializing_if = "Option::is_some")]
        note: Option<String>,
    }
    message!(Lossy, r#"{"name": "note", "type": ["null", "string"], "default": null}"#);
    round_trips(&Lossy { note: None }).expect("nothing to lose");
    let error = round_trips(&Lossy { note: Some("a".to_owned()) }).expect_err("lost").to_string();
    assert!(error.contains("it is read as Lossy { note: None }"), "{error}");
}
