//! The exact bytes of the engine's own records: other languages and earlier releases wrote them.

use std::fmt::Write;

use super::*;
use crate::command::{Accepted, Failed, Failure, Outcome, OutcomeEntry, Outcomes, PayloadHash, Refused, Reply};
use crate::event::{Checkpoint, EventHead, SnapshotControl, SnapshotHead};
use crate::position::{Offset, Sequence};

const ID: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
const OTHER_ID: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002);

/// The bytes after the schema id, printable text left as it is.
fn shown(value: &[u8]) -> String {
    assert_eq!(value[0], 0, "a zero byte");
    let mut shown = String::new();
    for byte in &value[5..] {
        if byte.is_ascii_alphanumeric() || b"-.{}:\"".contains(byte) {
            shown.push(char::from(*byte));
        } else {
            write!(shown, "<{byte:02x}>").expect("text");
        }
    }
    shown
}

fn codec<T: Record>() -> RecordCodec<T> {
    let codec = RecordCodec::new(Arc::new(InMemoryRegistry::default()), "bank.records").expect("sound");
    codec.register().expect("first");
    codec
}

fn record<T: Record + PartialEq>(record: &T) -> String {
    let codec = codec::<T>();
    let value = codec.encode(record).expect("encodes");
    assert_eq!(&codec.decode(&value).expect("decodes"), record);
    shown(&value)
}

fn envelope<H, D, E>(head: &H, data: Data<&D, &E>) -> String
where
    H: Head + PartialEq,
    D: Message + PartialEq,
    E: Message + PartialEq,
{
    let codec = Codec::<H, D, E>::new(Arc::new(InMemoryRegistry::default()), "bank.jar", "bank.jar").expect("sound");
    codec.register().expect("first");
    let value = codec.encode(head, data).expect("encodes");
    let read = codec.decode(&value).expect("decodes");
    assert_eq!(&read.head, head);
    match (&read.data, data) {
        (Data::User(read), Data::User(written)) => assert_eq!(read, written),
        (Data::Engine(read), Data::Engine(written)) => assert_eq!(read, written),
        (read, written) => panic!("{read:?} instead of {written:?}"),
    }
    shown(&value)
}

fn put_in() -> JarCommand {
    JarCommand::PutIn(PutIn { amount: 1050, note: None })
}

fn accepted() -> Outcome {
    Outcome::Accepted(Accepted {
        version: Version(8),
        partition: Partition(3),
        sequence: Sequence(1042),
        data: Some("{\"n\":1}".to_owned()),
    })
}

#[test]
fn a_command() {
    let bytes = envelope::<_, _, Control>(&head(), Data::User(&put_in()));
    assert_eq!(
        bytes,
        concat!(
            "H01900000-0000-7000-8000-000000000001",
            "<80><80><f2><81><83><89><85><06>",
            "<02><0e>",
            "<00>",
            "H01900000-0000-7000-8000-000000000002",
            "<02><18>bank.replies<06><02>k",
            "<00><b4><10><00>",
        )
    );
}

#[test]
fn a_command_without_what_is_optional() {
    let head = CommandHead { expected_version: None, reply_to: None, causation_id: Some(OTHER_ID), ..head() };
    let bytes = envelope::<_, _, Control>(&head, Data::User(&put_in()));
    assert_eq!(
        bytes,
        concat!(
            "H01900000-0000-7000-8000-000000000001",
            "<80><80><f2><81><83><89><85><06>",
            "<00>",
            "<02>H01900000-0000-7000-8000-000000000002",
            "H01900000-0000-7000-8000-000000000002",
            "<00>",
            "<00><b4><10><00>",
        )
    );
}

#[test]
fn the_engine_s_commands() {
    let head_bytes = concat!(
        "H01900000-0000-7000-8000-000000000001",
        "<80><80><f2><81><83><89><85><06>",
        "<02><0e>",
        "<00>",
        "H01900000-0000-7000-8000-000000000002",
        "<02><18>bank.replies<06><02>k",
    );
    let retry = Control::RetryParked(RetryParked {});
    assert_eq!(envelope::<_, JarCommand, _>(&head(), Data::Engine(&retry)), format!("{head_bytes}<04>"));
    let skip = Control::SkipParked(SkipParked { command_id: OTHER_ID });
    assert_eq!(
        envelope::<_, JarCommand, _>(&head(), Data::Engine(&skip)),
        format!("{head_bytes}<06>H01900000-0000-7000-8000-000000000002")
    );
}

#[test]
fn an_event() {
    let head = EventHead {
        id: ID,
        version: Version(8),
        sequence: Sequence(1042),
        occurred_at: Timestamp(1_700_000_000_000_001),
        causation_id: OTHER_ID,
        correlation_id: OTHER_ID,
    };
    assert_eq!(
        envelope::<_, _, Never>(&head, Data::User(&put_in())),
        concat!(
            "H01900000-0000-7000-8000-000000000001",
            "<10><a4><10>",
            "<82><80><f2><81><83><89><85><06>",
            "H01900000-0000-7000-8000-000000000002",
            "H01900000-0000-7000-8000-000000000002",
            "<00><b4><10><00>",
        )
    );
}

#[test]
fn a_parked_command() {
    use crate::command::{Judged, Parked, ParkedChange, ParkedCommand, Retried, Skipped};

    let of = |change| record(&ParkedCommand { command_id: ID, offset: Offset(7), change });
    let head = "H01900000-0000-7000-8000-000000000001<0e>";
    let parked = Parked {
        appended_at: Timestamp(1_700_000_000_000_001),
        reason: Some("bad".to_owned()),
        value: bytes::Bytes::from_static(b"value"),
        traceparent: None,
    };
    assert_eq!(
        of(ParkedChange::Parked(parked)),
        format!("{head}<00><82><80><f2><81><83><89><85><06><02><06>bad<0a>value<00>")
    );
    let by = Offset(9);
    assert_eq!(of(ParkedChange::Retried(Retried { by, reason: "bad".to_owned() })), format!("{head}<02><12><06>bad"));
    assert_eq!(of(ParkedChange::Judged(Judged { by })), format!("{head}<04><12>"));
    assert_eq!(of(ParkedChange::Skipped(Skipped { by })), format!("{head}<06><12>"));
}

#[test]
fn a_checkpoint() {
    let head = SnapshotHead { version: Version(0), partition: Partition(3), sequence: Sequence(1042), state: 1 };
    let checkpoint = SnapshotControl::Checkpoint(Checkpoint {
        events_offset: Offset(2000),
        sequence: Sequence(1042),
        partition_time: Timestamp(1_700_000_000_000_001),
        commands_offset: Offset(3000),
        outcomes_offset: Offset(40),
        parked_offset: Offset(0),
        forgotten: Timestamp::MIN,
        parked: vec!["000001".to_owned(), "000002".to_owned()],
    });
    assert_eq!(
        envelope::<_, JarCommand, _>(&head, Data::Engine(&checkpoint)),
        concat!(
            "<00><06><a4><10><02>",
            "<04><a0><1f><a4><10>",
            "<82><80><f2><81><83><89><85><06>",
            "<f0>.P<00>",
            "<ff><ff><ff><ff><ff><ff><ff><ff><ff><01>",
            "<04><0c>000001<0c>000002<00>",
        )
    );
}

#[test]
fn outcomes() {
    let entry = |offset, about_copy, outcome| OutcomeEntry {
        aggregate_id: "000001".into(),
        command_id: ID,
        appended_at: Timestamp(1_700_000_000_000_001),
        offset: Offset(offset),
        schema_id: 5,
        payload_hash: PayloadHash(0x6162_6364_6566_6768_696a_6b6c_6d6e_6f70),
        about_copy,
        outcome,
    };
    let refused = Outcome::Refused(Refused {
        code: "insufficient".to_owned(),
        message: "no".to_owned(),
        version: Version(7),
        data: None,
    });
    let failed = Outcome::Failed(Failed { code: Failure::ClockSkew, message: "later".to_owned() });
    let outcomes = Outcomes {
        first_offset: Offset(10),
        next_offset: Offset(13),
        sequence: Sequence(1042),
        entries: vec![entry(10, false, accepted()), entry(11, false, refused), entry(12, true, failed)],
    };
    assert_eq!(
        record(&outcomes),
        concat!(
            "<14><1a><a4><10>",
            "<06>",
            "<0c>000001H01900000-0000-7000-8000-000000000001<82><80><f2><81><83><89><85><06><14><0a>abcdefghijklmnop<00>",
            r#"<00><10><06><a4><10><02><0e>{"n":1}"#,
            "<0c>000001H01900000-0000-7000-8000-000000000001<82><80><f2><81><83><89><85><06><16><0a>abcdefghijklmnop<00>",
            "<02><18>insufficient<04>no<0e><00>",
            "<0c>000001H01900000-0000-7000-8000-000000000001<82><80><f2><81><83><89><85><06><18><0a>abcdefghijklmnop<01>",
            "<04><04><0a>later",
            "<00>",
        )
    );
}

#[test]
fn a_reply() {
    let reply = Reply { aggregate_id: "000001".into(), command_id: ID, outcome: accepted() };
    assert_eq!(
        record(&reply),
        concat!("<0c>000001", "H01900000-0000-7000-8000-000000000001", r#"<00><10><06><a4><10><02><0e>{"n":1}"#,)
    );
}

#[test]
fn every_failure_has_its_symbol() {
    let failures = [
        Failure::Conflict,
        Failure::TooOld,
        Failure::ClockSkew,
        Failure::TooLarge,
        Failure::Undecodable,
        Failure::Misplaced,
        Failure::Skipped,
    ];
    for (number, failure) in failures.into_iter().enumerate() {
        let outcome = Outcome::failed(failure, "m");
        let bytes = record(&Reply { aggregate_id: "".into(), command_id: ID, outcome });
        let end = format!("<04><{:02x}><02>m", number * 2);
        assert!(bytes.ends_with(&end), "{} is symbol {number}: {bytes}", failure.as_str());
    }
}

proptest! {
    #[test]
    fn outcomes_are_read_as_they_were_written(outcomes in any_outcomes()) {
        static CODEC: LazyLock<RecordCodec<Outcomes>> = LazyLock::new(codec);
        let value = CODEC.encode(&outcomes).expect("encodes");
        prop_assert_eq!(CODEC.decode(&value).expect("decodes"), outcomes);
    }
}

fn any_outcomes() -> impl Strategy<Value = Outcomes> {
    let accepted = (any::<i64>(), any::<i32>(), any::<i64>(), any::<Option<String>>());
    let accepted = accepted.prop_map(|(version, partition, sequence, data)| {
        let (version, partition, sequence) = (Version(version), Partition(partition), Sequence(sequence));
        Outcome::Accepted(Accepted { version, partition, sequence, data })
    });
    let refused = (any::<String>(), any::<String>(), any::<i64>(), any::<Option<String>>());
    let refused = refused.prop_map(|(code, message, version, data)| {
        Outcome::Refused(Refused { code, message, version: Version(version), data })
    });
    let failed = any::<String>().prop_map(|message| Outcome::failed(Failure::TooOld, message));
    let outcome = prop_oneof![accepted, refused, failed];
    let entry = (any::<String>(), any_id(), any::<[i64; 2]>(), any::<i32>(), any::<u128>(), any::<bool>(), outcome);
    let entry = entry.prop_map(|(aggregate_id, command_id, [time, offset], schema_id, hash, about_copy, outcome)| {
        let (appended_at, offset, payload_hash) = (Timestamp(time), Offset(offset), PayloadHash(hash));
        OutcomeEntry {
            aggregate_id: aggregate_id.into(),
            command_id,
            appended_at,
            offset,
            schema_id,
            payload_hash,
            about_copy,
            outcome,
        }
    });
    (any::<[i64; 3]>(), proptest::collection::vec(entry, 0..5)).prop_map(|([first, next, sequence], entries)| {
        Outcomes { first_offset: Offset(first), next_offset: Offset(next), sequence: Sequence(sequence), entries }
    })
}
