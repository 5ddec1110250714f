//! What was once released stays readable, for ever: the events are never written anew, and clients are
//! upgraded when they like.
//!
//! `tests/data/released` holds, for each topic and each schema that was ever released, the schema and
//! values in the bytes of that release. Every release reads all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater::Saga;
use headwater::clock::Timestamp;
use headwater::command::{CommandHead, Control};
use headwater::event::EventHead;
use headwater::position::{Sequence, Version};
use headwater::saga::{Input, SagaContext, StateControl, StateHead, UnderWay};
use headwater::schema::json::{self, Secrets};
use headwater::schema::{Codec, Data, Head, InMemoryRegistry, Message, Never, Registry};
use headwater::testing::history;
use headwater::testing::outcomes::{accepted, refused};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::account::fixtures::*;
use crate::account::{
    Account, AccountCommand, AccountEvent, DeleteAccount, DepositFunds, ForgiveDebt, OpenAccount, WithdrawFunds,
};
use crate::registry::{
    AccountIdProvisioned, AccountIdsReserved, CreateAccount, RegistryCommand, RegistryEvent, ReserveAccountIds,
};
use crate::sagas::{Request, RequestStep, Transfer, TransferStep};
use crate::values::AccountId;

/// A schema that was released, and values in its bytes.
#[derive(Serialize, Deserialize)]
struct Release {
    schema: Value,
    values: Vec<Sample>,
}

/// A value: its bytes after the schema's id, and what they say.
#[derive(Serialize, Deserialize)]
struct Sample {
    bytes: String,
    name: String,
    data: Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/released")
}

/// The releases of a topic by their numbers.
fn releases(topic: &str) -> BTreeMap<u32, Release> {
    let files = std::fs::read_dir(folder()).expect("the folder").map(|file| file.expect("a file").path());
    let releases = files.filter_map(|path| {
        let number = path.file_stem()?.to_str()?.strip_prefix(topic)?.strip_prefix('.')?.parse().ok()?;
        let text = std::fs::read_to_string(&path).expect("readable");
        let release = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Some((number, release))
    });
    releases.collect()
}

fn assert_readable<H: Head, D: Message, E: Message>(topic: &str, head: &H, samples: &[D]) {
    let (aggregate, _) = topic.split_once('.').expect("an aggregate's topic");
    let codec = |registry: &Arc<InMemoryRegistry>| -> Codec<H, D, E> {
        Codec::new(registry.clone(), &format!("bank.{topic}"), &format!("bank.{aggregate}")).expect("sound schemas")
    };
    let releases = releases(topic);
    for (number, release) in &releases {
        let registry = Arc::new(InMemoryRegistry::default());
        let codec = codec(&registry);
        let id = registry.register(codec.subject(), &release.schema.to_string()).expect("a schema");
        codec.register().unwrap_or_else(|error| panic!("{topic}, release {number}: {error}"));
        for sample in &release.values {
            let value = [&[0], &id.0.to_be_bytes()[..], &unhex(&sample.bytes)].concat();
            let decoded = codec.decode(&value).unwrap_or_else(|error| panic!("{topic}, release {number}: {error}"));
            let Data::User(message) = decoded.data else { panic!("{topic}, release {number}: not the bank's") };
            let read = json::to_json(&message, Secrets::Shown).expect("JSON");
            assert_eq!((read.name, &read.data), (sample.name.as_str(), &sample.data), "{topic}, release {number}");
        }
    }
    let present = present(&codec(&Arc::default()), head, samples);
    let next = releases.last_key_value().map_or(1, |(number, _)| number + 1);
    assert!(
        releases.values().any(|release| meaning(&release.schema) == meaning(&present.schema)),
        "the schema of {topic} is new; if it is as it shall be, store this as {}/{topic}.{next}.json:\n{}",
        folder().display(),
        serde_json::to_string_pretty(&present).expect("JSON")
    );
}

/// The schema of this release with samples in its bytes.
fn present<H: Head, D: Message, E: Message>(codec: &Codec<H, D, E>, head: &H, samples: &[D]) -> Release {
    codec.register().expect("the first of its subject");
    let sample = |message: &D| {
        let value = codec.encode(head, Data::User(message)).expect("writable");
        let shown = json::to_json(message, Secrets::Shown).expect("JSON");
        Sample { bytes: hex(&value[5..]), name: shown.name.to_owned(), data: shown.data }
    };
    Release {
        schema: serde_json::from_str(codec.schema()).expect("JSON"),
        values: samples.iter().map(sample).collect(),
    }
}

/// A schema without its words.
fn meaning(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(meaning).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, value)| *key != "doc" || !value.is_string());
            kept.map(|(key, value)| (key.clone(), meaning(value))).collect()
        }
        other => other.clone(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes what is written to it");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digits).collect()
}

/// What a saga has come to after each of these inputs.
fn stages<S: Saga>(inputs: impl IntoIterator<Item = Input<S>>) -> Vec<S> {
    let mut saga = S::default();
    let at = SagaContext { id: "000001/t1#1", time: TIME };
    let taken = inputs.into_iter().map(|input| {
        drop(saga.react(input, &at));
        saga.clone()
    });
    taken.collect()
}

/// An instance that waits for a command of its own and for its deadline.
fn state_head() -> StateHead {
    let under_way = UnderWay {
        number: 1,
        step: "\"Credit\"".to_owned(),
        is_compensation: false,
        aggregate: "account".to_owned(),
        aggregate_id: "000002".to_owned(),
        attempt: 2,
        command_id: ID,
        retry_at: Some(TIME),
        command: bytes::Bytes::from_static(b"a command"),
    };
    StateHead { deadline: Some(TIME), steps: 1, under_way: vec![under_way], ..StateHead::new(1, TIME, ID) }
}

const ID: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
const TIME: Timestamp = Timestamp(1_767_225_600_000_000);

fn command_head() -> CommandHead {
    CommandHead {
        id: ID,
        issued_at: TIME,
        expected_version: Some(Version(7)),
        causation_id: None,
        correlation_id: ID,
        reply_to: None,
    }
}

fn event_head() -> EventHead {
    EventHead {
        id: ID,
        version: Version(8),
        sequence: Sequence(1042),
        occurred_at: TIME,
        causation_id: ID,
        correlation_id: ID,
    }
}

#[test]
fn commands_to_an_account_stay_readable() {
    let (name, amount) = (name(), amount("12.34"));
    let commands: [AccountCommand; 17] = [
        OpenAccount { name: name.clone(), initial_deposit: None }.into(),
        OpenAccount { name, initial_deposit: Some(amount) }.into(),
        DepositFunds { amount }.into(),
        WithdrawFunds { amount }.into(),
        ForgiveDebt {}.into(),
        DeleteAccount {}.into(),
        transfer("4.00").into(),
        credit_transfer(3, "4.00").into(),
        roll_transfer_back(3, "4.00").into(),
        request("4.00").into(),
        ask("4.00").into(),
        accept().into(),
        reject().into(),
        notify(3).into(),
        debit_request().into(),
        credit_request(3).into(),
        roll_request_back(5, "4.00").into(),
    ];
    assert_readable::<_, _, Control>("account.commands", &command_head(), &commands);
}

#[test]
fn events_of_an_account_stay_readable() {
    let events: [AccountEvent; 16] = [
        opened(),
        deposited("10.00", "10.00"),
        withdrawn("25.05", "-15.05"),
        forgiven("15.05"),
        deleted(),
        transfer_debited("4.00", "6.00"),
        transfer_credited(3, "4.00", "14.00"),
        transfer_rolled_back(3, "4.00", "10.00"),
        request_created("4.00"),
        request_received("4.00"),
        request_approved(),
        request_rejected(),
        rejection_received(3),
        request_debited("4.00", "6.00"),
        request_credited(3, "4.00", "14.00"),
        request_rolled_back("4.00", "10.00"),
    ];
    assert_readable::<_, _, Never>("account.events", &event_head(), &events);
}

#[test]
fn commands_to_the_registry_stay_readable() {
    let commands: [RegistryCommand; 2] = [
        CreateAccount { name: name(), initial_deposit: Some(amount("0.01")) }.into(),
        ReserveAccountIds { up_to: AccountId::LAST }.into(),
    ];
    assert_readable::<_, _, Control>("account_registry.commands", &command_head(), &commands);
}

#[test]
fn events_of_the_registry_stay_readable() {
    let events: [RegistryEvent; 2] = [
        AccountIdProvisioned { account_id: AccountId::FIRST, name: name() }.into(),
        AccountIdsReserved { up_to: AccountId::LAST }.into(),
    ];
    assert_readable::<_, _, Never>("account_registry.events", &event_head(), &events);
}

#[test]
fn states_of_a_transfer_stay_readable() {
    let debited = history::<Account>("000001", [transfer_debited("4.00", "6.00")]).remove(0);
    let refused = Input::Outcome { of: TransferStep::Credit, outcome: refused("account_deleted") };
    let states = stages::<Transfer>([Input::Event(debited), refused]);
    assert_readable::<_, _, StateControl>("transfer.state", &state_head(), &states);
}

#[test]
fn states_of_a_request_stay_readable() {
    let outcome = |of, outcome| Input::Outcome { of, outcome };
    let created = history::<Account>("000001", [request_created("4.00")]).remove(0);
    let approved = history::<Account>("000002", [request_approved()]).remove(0);
    let inputs = [
        Input::Event(created),
        Input::Event(approved),
        outcome(RequestStep::Debit, accepted()),
        outcome(RequestStep::Credit, refused("account_deleted")),
        outcome(RequestStep::RollBack, accepted()),
    ];
    assert_readable::<_, _, StateControl>("request.state", &state_head(), &stages::<Request>(inputs));
}
