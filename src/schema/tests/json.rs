//! Messages as people write them, and what is said when they write them wrong.

use serde_json::{Value, json};

use super::*;
use crate::schema::json::{InputError, Secrets, command_from_json, find, to_json};

/// More than zero, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Price(i64);

impl TryFrom<i64> for Price {
    type Error = String;

    fn try_from(units: i64) -> Result<Self, String> {
        if units == 1313 { Err("must not be unlucky".to_owned()) } else { Ok(Self(units)) }
    }
}

impl From<Price> for i64 {
    fn from(price: Price) -> Self {
        price.0
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub item: String,
    pub price: Price,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    pub number: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cash {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payment {
    Card(Card),
    Cash(Cash),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speed {
    Normal,
    Express,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaceOrder {
    pub customer: String,
    pub lines: Vec<Line>,
    pub tip: Option<i64>,
    pub count: i32,
    pub speed: Speed,
    pub payment: Payment,
    pub wanted_at: Timestamp,
    pub token: bytes::Bytes,
    pub reference: Uuid,
    pub gift: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelOrder {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    PlaceOrder(Box<PlaceOrder>),
    CancelOrder(CancelOrder),
}

impl Message for Order {
    const SCHEMAS: &'static [MessageSchema] = &[
        MessageSchema::new(
            "PlaceOrder",
            r#"{"type": "record", "name": "PlaceOrder", "fields": [
                {"name": "customer", "type": "string", "pattern": "^[0-9]{3}$"},
                {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
                    {"name": "item", "type": "string", "minLength": 2, "maxLength": 5},
                    {"name": "price", "type": "long", "json": "decimal(2)", "minimum": "0.01", "maximum": "1000000.00"}]}}},
                {"name": "tip", "type": ["null", "long"], "default": null, "json": "decimal(2)"},
                {"name": "count", "type": "int", "default": 1, "minimum": 1, "maximum": 9},
                {"name": "speed", "type": {"type": "enum", "name": "Speed", "symbols": ["normal", "express"]}},
                {"name": "payment", "type": [
                    {"type": "record", "name": "Card", "fields": [{"name": "number", "type": "string"}]},
                    {"type": "record", "name": "Cash", "fields": []}]},
                {"name": "wanted_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
                {"name": "token", "type": "bytes"},
                {"name": "reference", "type": {"type": "string", "logicalType": "uuid"}},
                {"name": "gift", "type": "boolean"}]}"#,
        ),
        MessageSchema::new("CancelOrder", r#"{"type": "record", "name": "CancelOrder", "fields": []}"#),
    ];
}

fn input() -> Value {
    json!({
        "customer": "007",
        "lines": [{"item": "tea", "price": "12.3"}, {"item": "cups", "price": "4"}],
        "tip": "-0.05",
        "count": 2,
        "speed": "express",
        "payment": {"Card": {"number": "4711"}},
        "wanted_at": "2026-01-31T12:00:00.000001Z",
        "token": "AP8=",
        "reference": "01900000-0000-7000-8000-000000000001",
        "gift": true
    })
}

fn order() -> Order {
    Order::PlaceOrder(Box::new(PlaceOrder {
        customer: "007".to_owned(),
        lines: vec![
            Line { item: "tea".to_owned(), price: Price(1230) },
            Line { item: "cups".to_owned(), price: Price(400) },
        ],
        tip: Some(-5),
        count: 2,
        speed: Speed::Express,
        payment: Payment::Card(Card { number: "4711".to_owned() }),
        wanted_at: "2026-01-31T12:00:00.000001Z".parse().expect("a time"),
        token: bytes::Bytes::from_static(&[0, 255]),
        reference: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
        gift: true,
    }))
}

/// The refusal when the value at `pointer` is replaced; removed for `Null` in `with`.
fn refusal(pointer: &str, with: Value) -> (String, String) {
    let mut wrong = input();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = wrong.pointer_mut(parent).expect("it is there");
    match parent {
        Value::Object(fields) => drop(fields.insert(key.to_owned(), with)),
        Value::Array(items) => items[key.parse::<usize>().expect("an index")] = with,
        other => panic!("{other}"),
    }
    match command_from_json::<Order>("PlaceOrder", &wrong).expect_err("refused") {
        InputError::Invalid { pointer, message } => (pointer, message),
        other @ InputError::UnknownMessage { .. } => panic!("{other}"),
    }
}

fn refused(pointer: &str, with: Value, message: &str) {
    assert_eq!(refusal(pointer, with), (pointer.to_owned(), message.to_owned()));
}

#[test]
fn json_becomes_the_message_that_it_says() {
    check::<Order>().expect("type and schema agree");
    assert_eq!(command_from_json::<Order>("PlaceOrder", &input()), Ok(order()));
    round_trips(&order()).expect("the same again");
    round_trips(&Order::CancelOrder(CancelOrder {})).expect("the same again");
}

#[test]
fn a_message_is_shown_as_people_write_it() {
    let shown = to_json(&order(), Secrets::Hidden).expect("shown");
    assert_eq!(shown.name, "PlaceOrder");
    let mut expected = input();
    expected["lines"][0]["price"] = "12.30".into();
    expected["lines"][1]["price"] = "4.00".into();
    assert_eq!(shown.data, expected);
    let fields: Vec<_> = shown.data.as_object().expect("fields").keys().map(String::as_str).collect();
    assert_eq!(&fields[..3], ["customer", "lines", "tip"], "in the schema's order");
}

#[test]
fn a_state_is_shown_like_a_message() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Till {
        balance: i64,
    }
    impl Message for Till {
        const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new(
            "Till",
            r#"{"type": "record", "name": "Till", "fields": [{"name": "balance", "type": "long", "json": "decimal(2)"}]}"#,
        )];
    }
    let shown = to_json(&Till { balance: -1 }, Secrets::Hidden).expect("shown");
    assert_eq!((shown.name, shown.data), ("Till", json!({"balance": "-0.01"})));
}

#[test]
fn what_is_optional_or_has_a_default_may_be_absent() {
    let mut short = input();
    let fields = short.as_object_mut().expect("an object");
    fields.remove("tip");
    fields.remove("count");
    let Ok(Order::PlaceOrder(order)) = command_from_json::<Order>("PlaceOrder", &short) else { panic!("accepted") };
    assert_eq!((order.tip, order.count), (None, 1));
    short["tip"] = Value::Null;
    assert!(command_from_json::<Order>("PlaceOrder", &short).is_ok());
}

#[test]
fn money_is_text_because_a_json_number_may_be_rounded() {
    let rule = r#"must be text such as "12.34", since a JSON number may be rounded"#;
    for number in [json!(12), json!(12.34), json!(1e308)] {
        refused("/lines/1/price", number, rule);
    }
    refused("/lines/1/price", json!("12.345"), "must have at most 2 decimal places");
    refused("/lines/1/price", json!("NaN"), r#"must be a decimal such as "12.34""#);
    refused("/lines/1/price", json!("0"), "must be at least 0.01");
    refused("/lines/1/price", json!("1000000.01"), "must be at most 1000000.00");
}

#[test]
fn a_value_type_s_own_rule_is_reported_with_the_place() {
    refused("/lines/1/price", json!("13.13"), "must not be unlucky");
}

#[test]
fn a_value_of_the_wrong_type_is_told_the_right_one() {
    refused("/customer", json!(7), "must be text");
    refused("/lines", json!({}), "must be a list");
    refused("/lines/0", json!("tea"), "must be an object");
    refused("/count", json!("2"), "must be a whole number");
    refused("/count", json!(2.0), "must be a whole number");
    refused("/gift", json!("yes"), "must be true or false");
    refused("/gift", Value::Null, "must be true or false");
    refused("/wanted_at", json!("tomorrow"), r#"must be RFC 3339 text such as "2026-01-31T12:00:00Z""#);
    refused("/wanted_at", json!(1_769_860_800), r#"must be RFC 3339 text such as "2026-01-31T12:00:00Z""#);
    refused("/token", json!("%%%"), "must be Base64 text");
    refused("/reference", json!("4711"), "must be a UUID");
}

#[test]
fn hints_bind_and_say_their_rule() {
    refused("/customer", json!("7"), "must match ^[0-9]{3}$");
    refused("/lines/0/item", json!("t"), "must have 2 to 5 characters");
    refused("/lines/0/item", json!("teapot"), "must have 2 to 5 characters");
    assert!(
        command_from_json::<Order>("PlaceOrder", &{
            let mut umlauts = input();
            umlauts["lines"][0]["item"] = json!("äöüßé");
            umlauts
        })
        .is_ok()
    );
    refused("/count", json!(0), "must be at least 1");
    refused("/count", json!(10), "must be at most 9");
    refused("/count", json!(3_000_000_000_i64), "must be at most 9");
}

#[test]
fn a_slip_of_the_keys_is_answered_with_what_was_meant() {
    let mut wrong = input();
    let fields = wrong.as_object_mut().expect("an object");
    let customer = fields.remove("customer").expect("it is there");
    fields.insert("custmer".to_owned(), customer);
    let error = command_from_json::<Order>("PlaceOrder", &wrong).expect_err("unknown field");
    assert_eq!(error.to_string(), r#"/custmer: is no field; did you mean "customer"?"#);
    refused("/speed", json!("expres"), r#"must be one of normal, express; did you mean "express"?"#);
    refused(
        "/colour",
        json!("red"),
        "is no field; there is customer, lines, tip, count, speed, payment, wanted_at, token, reference, gift",
    );
    let error = find::<Order>("PlaceOdrer").expect_err("unknown");
    assert_eq!(error.to_string(), r#""PlaceOdrer" is unknown; did you mean "PlaceOrder"?"#);
    assert_eq!(find::<Order>("Xyz").expect_err("unknown").to_string(), r#""Xyz" is unknown"#);
}

#[test]
fn a_missing_field_is_named() {
    let mut wrong = input();
    wrong["lines"][0].as_object_mut().expect("an object").remove("price");
    let error = command_from_json::<Order>("PlaceOrder", &wrong).expect_err("missing");
    assert_eq!(error.pointer(), "/lines/0/price");
    assert!(error.to_string().contains("is missing"), "{error}");
}

#[test]
fn a_branch_is_an_object_with_one_known_key() {
    refused("/payment", json!({}), "must be an object with one key, one of Card, Cash");
    refused(
        "/payment",
        json!({"Card": {"number": "1"}, "Cash": {}}),
        "must be an object with one key, one of Card, Cash",
    );
    let (pointer, message) = refusal("/payment", json!({"Cheque": {}}));
    assert_eq!((pointer.as_str(), message.as_str()), ("/payment/Cheque", "must be one of Card, Cash"));
    let (pointer, _) = refusal("/payment", json!({"Card": {"number": 7}}));
    assert_eq!(pointer, "/payment/Card/number");
}

#[test]
fn a_pointer_escapes_what_json_pointers_escape() {
    let (pointer, _) = refusal("/a~b", json!(1));
    assert_eq!(pointer, "/a~0b");
    let mut wrong = input();
    wrong["a/b"] = json!(1);
    let error = command_from_json::<Order>("PlaceOrder", &wrong).expect_err("unknown field");
    assert_eq!(error.pointer(), "/a~1b");
}

#[test]
fn fields_that_are_no_object_are_refused_as_a_whole() {
    for wrong in [Value::Null, json!([]), json!("x"), json!(1)] {
        let error = command_from_json::<Order>("CancelOrder", &wrong).expect_err("no object");
        assert_eq!((error.pointer(), error.to_string().as_str()), ("", "must be an object"));
    }
    let error = command_from_json::<Order>("CancelOrder", &json!({"a": 1})).expect_err("no fields");
    assert_eq!(error.to_string(), "/a: is no field; there are none here");
}

proptest! {
    #[test]
    fn whatever_json_comes_is_answered(text in "[\\[\\]{}\":,0-9a-z.]{0,40}", at in 0..10_usize) {
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let _ = command_from_json::<Order>("PlaceOrder", &value);
        let mut whole = input();
        let fields = whole.as_object_mut().expect("an object");
        *fields.values_mut().nth(at).expect("ten fields") = value;
        let _ = command_from_json::<Order>("PlaceOrder", &whole);
    }
}
