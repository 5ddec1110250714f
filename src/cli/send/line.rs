//! A line of `send --from`: an input as JSON.

use std::str::FromStr;

use serde_json::{Map, Value};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use crate::clock::Timestamp;
use crate::engine::{BadInput, CommandInput, suggest};
use crate::position::Version;

const FIELDS: [&str; 7] = ["aggregate", "id", "command", "data", "command_id", "issued_at", "expect"];

/// What applies to each line that says nothing else.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) aggregate: String,
    /// Of lines whose command id does not say it. It makes an id for those that have none: the same whenever
    /// the same file is sent with the same time.
    pub(super) issued_at: Option<Timestamp>,
    pub(super) internal: bool,
}

/// The input of the line of this number.
pub(super) fn parse(line: &str, number: u64, defaults: &Defaults) -> Result<CommandInput, BadInput> {
    let value: Value =
        serde_json::from_str(line).map_err(|error| BadInput::at("", format!("malformed JSON: {error}")))?;
    let Value::Object(mut fields) = value else {
        return Err(BadInput::at("", "a line is one JSON object"));
    };
    if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        let rule = format!("there is no such field{}", suggest(unknown, FIELDS));
        return Err(BadInput::at(format!("/{}", escape(unknown)), rule));
    }
    let id = required(&fields, "id")?;
    let command = required(&fields, "command")?;
    let aggregate = text(&fields, "aggregate")?.map_or_else(|| defaults.aggregate.clone(), str::to_owned);
    let given = parsed(&fields, "issued_at", "a time such as 2026-01-31T12:00:00Z")?;
    let derived = || given.or(defaults.issued_at).map(|issued_at| derived_id(issued_at, number, line));
    let command_id = parsed(&fields, "command_id", "a UUID")?.or_else(derived);
    let timeless = command_id.is_some_and(|id| crate::clock::time_of_id(id).is_none());
    let input = CommandInput {
        aggregate,
        id: id.to_owned(),
        command: command.to_owned(),
        command_id,
        issued_at: given.or(defaults.issued_at.filter(|_| timeless)),
        expect: expect(&fields)?,
        internal: defaults.internal,
        data: Value::Null,
    };
    let data = fields.remove("data").unwrap_or_else(|| Value::Object(Map::new()));
    Ok(CommandInput { data, ..input })
}

/// A UUID of version 8 from xxh3-128 of time, number and text of a line.
fn derived_id(issued_at: Timestamp, number: u64, line: &str) -> Uuid {
    let parts = [&issued_at.0.to_le_bytes()[..], &number.to_le_bytes(), line.as_bytes()].concat();
    uuid::Builder::from_custom_bytes(xxh3_128(&parts).to_be_bytes()).into_uuid()
}

fn required<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, BadInput> {
    text(fields, name)?.ok_or_else(|| BadInput::at(format!("/{name}"), "is required"))
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, BadInput> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(BadInput::at(format!("/{name}"), "must be text")),
    }
}

fn parsed<T: FromStr>(fields: &Map<String, Value>, name: &str, what: &str) -> Result<Option<T>, BadInput> {
    let parse = |text: &str| text.parse().map_err(|_| BadInput::at(format!("/{name}"), format!("must be {what}")));
    text(fields, name)?.map(parse).transpose()
}

fn expect(fields: &Map<String, Value>) -> Result<Option<Version>, BadInput> {
    match fields.get("expect") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64().filter(|version| *version >= 0) {
            Some(version) => Ok(Some(Version(version))),
            None => Err(BadInput::at("/expect", "must be a version: 0, 1, 2 …")),
        },
    }
}

/// As in RFC 6901.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults { aggregate: "account".to_owned(), issued_at: Some(Timestamp(7)), internal: false }
    }

    #[test]
    fn a_line_is_a_command() {
        let line = r#"{"id":"000001","command":"DepositFunds","data":{"amount":"1.00"},"expect":3}"#;
        let input = parse(line, 1, &Defaults { issued_at: None, ..defaults() }).expect("an input");
        assert_eq!((input.aggregate.as_str(), input.id.as_str()), ("account", "000001"));
        assert_eq!((input.command.as_str(), input.expect), ("DepositFunds", Some(Version(3))));
        assert_eq!((input.command_id, input.issued_at), (None, None));
        assert_eq!(input.data, serde_json::json!({"amount": "1.00"}));
    }

    #[test]
    fn the_time_of_the_whole_file_is_that_of_ids_that_carry_none() {
        let line = |id: Uuid| format!(r#"{{"id":"1","command":"C","command_id":"{id}"}}"#);
        let issued = |id| parse(&line(id), 1, &defaults()).expect("an input").issued_at;
        assert_eq!(issued(Uuid::new_v5(&Uuid::NAMESPACE_OID, b"1")), Some(Timestamp(7)));
        assert_eq!(issued(crate::clock::new_id()), None);
    }

    #[test]
    fn a_line_without_an_id_has_the_same_whenever_the_file_is_sent_with_the_same_time() {
        let line = r#"{"id":"000001","command":"DepositFunds","data":{"amount":"1.00"}}"#;
        let sent = |number, at| {
            let defaults = Defaults { issued_at: Some(Timestamp(at)), ..defaults() };
            let input = parse(line, number, &defaults).expect("an input");
            assert_eq!(input.issued_at, Some(Timestamp(at)));
            input.command_id.expect("it has one")
        };
        assert_eq!(sent(1, 7), sent(1, 7));
        assert_ne!(sent(1, 7), sent(2, 7));
        assert_ne!(sent(1, 7), sent(1, 8));
    }

    #[test]
    fn a_line_may_name_another_aggregate() {
        let line = r#"{"aggregate":"account_registry","id":"1","command":"C"}"#;
        let input = parse(line, 1, &defaults()).expect("an input");
        assert_eq!(input.aggregate, "account_registry");
    }

    #[test]
    fn a_bad_line_is_answered_with_the_place_and_the_rule() {
        let cases = [
            ("{", "", "malformed JSON"),
            ("[]", "", "one JSON object"),
            (r#"{"command":"C"}"#, "/id", "is required"),
            (r#"{"id":1,"command":"C"}"#, "/id", "must be text"),
            (r#"{"id":"1","command":"C","dta":{}}"#, "/dta", "did you mean \"data\"?"),
            (r#"{"id":"1","command":"C","a/b":{}}"#, "/a~1b", "no such field"),
            (r#"{"id":"1","command":"C","command_id":"x"}"#, "/command_id", "must be a UUID"),
            (r#"{"id":"1","command":"C","issued_at":"today"}"#, "/issued_at", "must be a time"),
            (r#"{"id":"1","command":"C","expect":-1}"#, "/expect", "must be a version"),
        ];
        for (line, pointer, rule) in cases {
            let error = parse(line, 1, &defaults()).expect_err(line);
            assert_eq!(error.pointer, pointer, "{line}");
            assert!(error.rule.contains(rule), "{line}: {}", error.rule);
        }
    }
}
