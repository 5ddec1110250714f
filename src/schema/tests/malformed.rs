//! Whatever stands on a topic, decoding answers; it never panics and never swallows memory.

use super::*;
use crate::command::{Outcomes, Reply};

fn value() -> Vec<u8> {
    let command = JarCommand::PutIn(PutIn { amount: 1_000_000, note: Some("for later".to_owned()) });
    commands().encode(&head(), Data::User(&command)).expect("encodes").to_vec()
}

fn undecodable(value: &[u8]) -> String {
    match commands().decode(value).expect_err("undecodable") {
        DecodeError::Undecodable(reason) => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn an_empty_value_says_what_a_value_is() {
    assert!(undecodable(b"").contains("a zero byte, a schema id"));
}

#[test]
fn a_value_that_does_not_begin_with_zero_is_undecodable() {
    let mut value = value();
    value[0] = 1;
    undecodable(&value);
}

#[test]
fn a_value_cut_anywhere_is_undecodable() {
    let value = value();
    for length in 0..value.len() {
        undecodable(&value[..length]);
    }
}

#[test]
fn bytes_after_the_datum_are_refused() {
    assert_eq!(undecodable(&[&value()[..], &[0]].concat()), "1 bytes follow the datum");
}

#[test]
fn a_branch_number_out_of_range_is_undecodable() {
    let value = value();
    let start = commands().decode(&value).expect("decodes").payload.start;
    for branch in [-1, 4, 5, i64::from(i32::MAX), i64::MAX, i64::MIN] {
        let mut wrong = value[..start].to_vec();
        crate::schema::datum::write_long(&mut wrong, branch);
        wrong.extend_from_slice(&value[start + 1..]);
        undecodable(&wrong);
    }
}

#[test]
fn a_length_larger_than_the_value_is_undecodable() {
    let value = value();
    let start = commands().decode(&value).expect("decodes").payload.start;
    for length in [64, 1 << 20, 1 << 40, i64::MAX, -1, i64::MIN] {
        let mut wrong = value[..start].to_vec();
        wrong.extend_from_slice(&[0, 2, 2]);
        crate::schema::datum::write_long(&mut wrong, length);
        undecodable(&wrong);
    }
}

#[test]
fn text_that_is_no_utf8_is_undecodable() {
    let value = value();
    let start = commands().decode(&value).expect("decodes").payload.start;
    undecodable(&[&value[..start], &[0, 2, 2, 4, 0xff, 0xfe]].concat());
}

#[test]
fn an_id_that_is_no_uuid_is_undecodable() {
    let value = value();
    let text = String::from_utf8_lossy(&value).into_owned();
    let at = text.find("0190").expect("the id is text");
    let mut wrong = value.clone();
    wrong[at] = b'x';
    undecodable(&wrong);
}

struct Codecs {
    commands: Commands<JarCommand>,
    outcomes: RecordCodec<Outcomes>,
    replies: RecordCodec<Reply>,
}

static CODECS: LazyLock<Codecs> = LazyLock::new(|| {
    let registry: Arc<InMemoryRegistry> = Arc::default();
    let outcomes = RecordCodec::new(registry.clone(), "bank.jar.outcomes").expect("sound");
    let replies = RecordCodec::new(registry.clone(), "bank.replies").expect("sound");
    outcomes.register().expect("first");
    replies.register().expect("first");
    Codecs { commands: commands_in(&registry), outcomes, replies }
});

proptest! {
    #[test]
    fn random_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let codecs = &*CODECS;
        for id in [codecs.commands.id(), codecs.outcomes.id(), codecs.replies.id()] {
            let value = [&[0], &id.expect("registered").0.to_be_bytes()[..], &bytes].concat();
            let _ = codecs.commands.decode(&value);
            let _ = codecs.commands.decode_head(&value);
            let _ = codecs.outcomes.decode(&value);
            let _ = codecs.replies.decode(&value);
        }
        let _ = codecs.commands.decode(&bytes);
    }

    #[test]
    fn a_value_with_a_byte_changed_is_answered(at in 5..150_usize, to in any::<u8>(), value in any_value()) {
        let mut value = value;
        let length = value.len();
        value[at % length] = to;
        let _ = commands().decode(&value);
    }
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    (any_head(), any_command())
        .prop_map(|(head, command)| commands().encode(&head, Data::User(&command)).expect("encodes").to_vec())
}
