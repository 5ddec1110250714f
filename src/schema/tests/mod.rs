//! One small aggregate, and what is promised about its values.

mod agreement;
mod evolution;
mod golden;
mod json;
mod malformed;
mod secrets;
mod upcasting;

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::*;
use crate::clock::Timestamp;
use crate::command::{CommandHead, Control, ReplyTo, RetryParked, SkipParked};
use crate::position::{Partition, Version};

/// Puts coins into a jar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PutIn {
    pub amount: i64,
    pub note: Option<String>,
}

/// Takes coins out of it; the same fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakeOut {
    pub amount: i64,
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum JarCommand {
    PutIn(PutIn),
    TakeOut(TakeOut),
}

const PUT_IN: &str = r#"{"type": "record", "name": "PutIn", "fields": [
    {"name": "amount", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": null}]}"#;
const TAKE_OUT: &str = r#"{"type": "record", "name": "TakeOut", "fields": [
    {"name": "amount", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": null}]}"#;

impl Message for JarCommand {
    const SCHEMAS: &'static [MessageSchema] =
        &[MessageSchema::new("PutIn", PUT_IN), MessageSchema::new("TakeOut", TAKE_OUT)];
}

pub type Commands<D> = Codec<CommandHead, D, Control>;

/// A codec of the jar's commands, registered.
pub fn commands_in<D: Message>(registry: &Arc<InMemoryRegistry>) -> Commands<D> {
    let codec = Codec::new(registry.clone(), "bank.jar.commands", "bank.jar").expect("the schemas are sound");
    codec.register().expect("compatible");
    codec
}

pub fn commands() -> &'static Commands<JarCommand> {
    static COMMANDS: LazyLock<Commands<JarCommand>> = LazyLock::new(|| commands_in(&Arc::default()));
    &COMMANDS
}

pub fn head() -> CommandHead {
    CommandHead {
        id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
        issued_at: Timestamp(1_700_000_000_000_000),
        expected_version: Some(Version(7)),
        causation_id: None,
        correlation_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002),
        reply_to: Some(ReplyTo { topic: "bank.replies".to_owned(), partition: 3, key: "k".to_owned() }),
    }
}

pub fn any_id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

pub fn any_head() -> impl Strategy<Value = CommandHead> {
    let reply_to = (any::<String>(), any::<i32>(), any::<String>());
    let reply_to = reply_to.prop_map(|(topic, partition, key)| ReplyTo { topic, partition, key });
    let parts = (
        any_id(),
        any::<i64>(),
        any::<Option<i64>>(),
        proptest::option::of(any_id()),
        any_id(),
        proptest::option::of(reply_to),
    );
    parts.prop_map(|(id, issued_at, expected, causation_id, correlation_id, reply_to)| CommandHead {
        id,
        issued_at: Timestamp(issued_at),
        expected_version: expected.map(Version),
        causation_id,
        correlation_id,
        reply_to,
    })
}

pub fn any_command() -> impl Strategy<Value = JarCommand> {
    let fields = (any::<i64>(), any::<Option<String>>());
    (any::<bool>(), fields).prop_map(|(put_in, (amount, note))| {
        if put_in { JarCommand::PutIn(PutIn { amount, note }) } else { JarCommand::TakeOut(TakeOut { amount, note }) }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(head in any_head(), command in any_command()) {
        let codec = commands();
        let value = codec.encode(&head, Data::User(&command)).expect("encodes");
        let read = codec.decode(&value).expect("decodes");
        prop_assert_eq!(&read.head, &head);
        prop_assert_eq!(read.data, Data::User(command));
        prop_assert_eq!(codec.decode_head(&value).expect("decodes"), head);
    }
}

#[test]
fn the_engine_s_messages_follow_the_aggregate_s_in_the_union() {
    let codec = commands();
    for (branch, control) in [
        (2, Control::RetryParked(RetryParked {})),
        (3, Control::SkipParked(SkipParked { command_id: Uuid::from_u128(9) })),
    ] {
        let value = codec.encode(&head(), Data::Engine(&control)).expect("encodes");
        let read = codec.decode(&value).expect("decodes");
        assert_eq!(value[read.payload.start], branch * 2, "zigzag of the branch number");
        assert_eq!(read.data, Data::Engine(control));
    }
}

#[test]
fn the_payload_is_the_message_and_nothing_else() {
    let codec = commands();
    let take_out = JarCommand::TakeOut(TakeOut { amount: 5, note: Some("rent".to_owned()) });
    let value = codec.encode(&head(), Data::User(&take_out)).expect("encodes");
    let payload = codec.decode(&value).expect("decodes").payload;
    assert_eq!(&value[payload], b"\x02\x0a\x02\x08rent");
}

#[test]
fn a_state_stands_in_an_envelope_like_a_message() {
    use crate::event::{Checkpoint, SnapshotControl, SnapshotHead};

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Jar {
        balance: i64,
        labels: Vec<String>,
    }
    impl Message for Jar {
        const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new(
            "Jar",
            r#"{"type": "record", "name": "Jar", "fields": [{"name": "balance", "type": "long"},
                {"name": "labels", "type": {"type": "array", "items": "string"}}]}"#,
        )];
    }

    let registry = Arc::new(InMemoryRegistry::default());
    let codec: Codec<SnapshotHead, Jar, SnapshotControl> =
        Codec::new(registry, "bank.jar.snapshots", "bank.jar").expect("sound");
    codec.register().expect("first");
    let head = SnapshotHead { version: Version(3), partition: Partition(1), ..no_snapshot() };
    let jar = Jar { balance: -5, labels: vec!["a".to_owned(), "b".to_owned()] };
    let value = codec.encode(&head, Data::User(&jar)).expect("encodes");
    assert_eq!(codec.decode(&value).expect("decodes").data, Data::User(jar));
    let checkpoint = SnapshotControl::Checkpoint(Checkpoint {
        events_offset: crate::position::Offset(9),
        sequence: crate::position::Sequence(8),
        partition_time: Timestamp(7),
        commands_offset: crate::position::Offset(6),
        outcomes_offset: crate::position::Offset(5),
        parked_offset: crate::position::Offset(4),
        forgotten: Timestamp::MIN,
        parked: vec!["one".to_owned()],
    });
    let value = codec.encode(&head, Data::Engine(&checkpoint)).expect("encodes");
    assert_eq!(codec.decode(&value).expect("decodes").data, Data::Engine(checkpoint));
}

fn no_snapshot() -> crate::event::SnapshotHead {
    crate::event::SnapshotHead {
        version: Version(0),
        partition: Partition(0),
        sequence: crate::position::Sequence(0),
        state: 1,
    }
}
