//! What is `"secret": true` in its schema is told only to those who ask for it.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::schema::json::{InputError, Secrets, command_from_json, to_json};

/// Four digits; its error repeats what it was given, as many do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pin(String);

impl TryFrom<String> for Pin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_one = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_one { Ok(Self(text)) } else { Err(format!("{text:?} is no PIN")) }
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.0
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    pub name: Pin,
    pub answer: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetPin {
    pub pin: Pin,
    pub old: Option<Pin>,
    pub digits: Pin,
    pub holders: Vec<Holder>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CardCommand {
    SetPin(SetPin),
}

const AVSC: &str = r#"{"type": "record", "name": "SetPin", "fields": [
    {"name": "pin", "type": "string", "secret": true},
    {"name": "old", "type": ["null", "string"], "secret": true},
    {"name": "digits", "type": "string"},
    {"name": "holders", "type": {"type": "array", "items": {"type": "record", "name": "Holder", "fields": [
        {"name": "name", "type": "string"},
        {"name": "answer", "type": ["null", "string"], "secret": true}
    ]}}}
]}"#;

impl Message for CardCommand {
    const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new("SetPin", AVSC)];
}

fn command() -> CardCommand {
    let pin = |text: &str| Pin(text.to_owned());
    let holders = vec![Holder { name: pin("1111"), answer: Some("my cat".to_owned()) }];
    CardCommand::SetPin(SetPin { pin: pin("4711"), old: None, digits: pin("0000"), holders })
}

#[test]
fn a_secret_is_shown_as_stars_unless_it_is_asked_for() {
    let hidden = to_json(&command(), Secrets::Hidden).expect("JSON").data;
    let holders = json!([{"name": "1111", "answer": "***"}]);
    assert_eq!(hidden, json!({"pin": "***", "old": null, "digits": "0000", "holders": holders}));
    let shown = to_json(&command(), Secrets::Shown).expect("JSON").data;
    let holders = json!([{"name": "1111", "answer": "my cat"}]);
    assert_eq!(shown, json!({"pin": "4711", "old": null, "digits": "0000", "holders": holders}));
}

#[test]
fn a_refusal_of_input_repeats_no_secret() {
    let refused = |fields: serde_json::Value| command_from_json::<CardCommand>("SetPin", &fields).expect_err("refused");
    let secret = refused(json!({"pin": "geheim", "digits": "0000", "holders": []}));
    let InputError::Invalid { pointer, message } = &secret else { panic!("{secret}") };
    assert_eq!(pointer, "/pin");
    assert!(!message.contains("geheim") && message.contains("secret"), "{message}");
    // What is none is told, as ever.
    let open = refused(json!({"pin": "4711", "digits": "open", "holders": []})).to_string();
    assert!(open.contains("\"open\" is no PIN"), "{open}");
    let beside = refused(json!({"pin": "4711", "digits": "0000", "holders": [{"name": "near", "answer": "geheim"}]}));
    assert!(!beside.to_string().contains("geheim"), "{beside}");
}

/// What is said of a record goes into logs, dead letters and replies.
#[test]
fn a_refusal_of_a_record_repeats_nothing_of_a_message_that_may_hold_secrets() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename = "SetPin")]
    pub struct Any {
        pub pin: String,
        pub old: Option<String>,
        pub digits: String,
        pub holders: Vec<Holder>,
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub enum Careless {
        SetPin(Any),
    }
    impl Message for Careless {
        const SCHEMAS: &'static [MessageSchema] = CardCommand::SCHEMAS;
    }
    let registry = Arc::default();
    let (careless, careful) = (commands_in::<Careless>(&registry), commands_in::<CardCommand>(&registry));
    let any = Any { pin: "geheim".to_owned(), old: None, digits: "0000".to_owned(), holders: Vec::new() };
    let bytes = careless.encode(&head(), Data::User(&Careless::SetPin(any))).expect("bytes");
    let refused = careful.decode(&bytes).expect_err("no PIN").to_string();
    assert!(!refused.contains("geheim") && refused.contains("secrets"), "{refused}");
}
