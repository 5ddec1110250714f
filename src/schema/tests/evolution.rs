//! Records of other releases, and of other topics.

use super::*;

/// The jar's commands in a later release: a branch before the others, a renamed field, a new one, a
/// wider type.
mod later {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub struct Label {
        pub text: String,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub struct PutIn {
        pub coins: i64,
        pub note: Option<String>,
        pub colour: Colour,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Colour {
        Gold,
        Silver,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub enum JarCommand {
        Label(Label),
        TakeOut(TakeOut),
        PutIn(PutIn),
    }

    impl Message for JarCommand {
        const SCHEMAS: &'static [MessageSchema] = &[
            MessageSchema::new(
                "Label",
                r#"{"type": "record", "name": "Label", "fields": [{"name": "text", "type": "string"}]}"#,
            ),
            MessageSchema::new("TakeOut", TAKE_OUT),
            MessageSchema::new(
                "PutIn",
                r#"{"type": "record", "name": "PutIn", "fields": [
                    {"name": "coins", "aliases": ["amount"], "type": "long"},
                    {"name": "note", "type": ["null", "string"], "default": null},
                    {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["gold", "silver"]},
                     "default": "silver"}]}"#,
            ),
        ];
    }
}

#[test]
fn a_record_of_an_earlier_release_becomes_this_release_s() {
    let registry = Arc::default();
    let old = commands_in::<JarCommand>(&registry);
    let new = commands_in::<later::JarCommand>(&registry);
    let put_in = JarCommand::PutIn(PutIn { amount: 5, note: Some("a".to_owned()) });
    let value = old.encode(&head(), Data::User(&put_in)).expect("encodes");
    let read = new.decode(&value).expect("decodes");
    assert_eq!(read.head, head());
    let colour = later::Colour::Silver;
    let expected = later::JarCommand::PutIn(later::PutIn { coins: 5, note: Some("a".to_owned()), colour });
    assert_eq!(read.data, Data::User(expected));
    assert_eq!(read.payload, old.decode(&value).expect("decodes").payload);
    assert_eq!(new.decode_head(&value).expect("decodes"), head());
}

#[test]
fn messages_with_the_same_fields_are_never_taken_for_each_other() {
    let registry = Arc::default();
    let old = commands_in::<JarCommand>(&registry);
    let new = commands_in::<later::JarCommand>(&registry);
    let take_out = TakeOut { amount: 5, note: None };
    let value = old.encode(&head(), Data::User(&JarCommand::TakeOut(take_out.clone()))).expect("encodes");
    let read = new.decode(&value).expect("decodes");
    assert_eq!(read.data, Data::User(later::JarCommand::TakeOut(take_out)));
}

#[test]
fn the_engine_s_messages_survive_new_messages_before_them() {
    let registry = Arc::default();
    let old = commands_in::<JarCommand>(&registry);
    let new = commands_in::<later::JarCommand>(&registry);
    let skip = Control::SkipParked(SkipParked { command_id: Uuid::from_u128(9) });
    let value = old.encode(&head(), Data::Engine(&skip)).expect("encodes");
    assert_eq!(new.decode(&value).expect("decodes").data, Data::Engine(skip));
}

#[test]
fn a_message_that_this_release_does_not_know_is_named() {
    let registry = Arc::default();
    let old = commands_in::<JarCommand>(&registry);
    let new = commands_in::<later::JarCommand>(&registry);
    let label = later::JarCommand::Label(later::Label { text: "holidays".to_owned() });
    let value = new.encode(&head(), Data::User(&label)).expect("encodes");
    let error = old.decode(&value).expect_err("unknown");
    assert_eq!(error, DecodeError::Undecodable("Label is no message of this release".to_owned()));
    assert_eq!(old.decode_head(&value).expect("the head is readable"), head());
}

proptest! {
    #[test]
    fn every_record_of_an_earlier_release_is_readable(head in any_head(), command in any_command()) {
        let value = RELEASES.old.encode(&head, Data::User(&command)).expect("encodes");
        let read = RELEASES.new.decode(&value).expect("decodes");
        prop_assert_eq!(read.head, head);
        let (amount, note) = match command {
            JarCommand::PutIn(PutIn { amount, note }) | JarCommand::TakeOut(TakeOut { amount, note }) => (amount, note),
        };
        match read.data {
            Data::User(later::JarCommand::PutIn(it)) => prop_assert_eq!((it.coins, it.note), (amount, note)),
            Data::User(later::JarCommand::TakeOut(it)) => prop_assert_eq!((it.amount, it.note), (amount, note)),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_changed_record_of_an_earlier_release_is_answered(
        head in any_head(),
        command in any_command(),
        at in 5..200_usize,
        to in any::<u8>(),
        cut in 0..200_usize,
    ) {
        let mut value = RELEASES.old.encode(&head, Data::User(&command)).expect("encodes").to_vec();
        let length = value.len();
        value[5 + at % (length - 5)] = to;
        let _ = RELEASES.new.decode(&value);
        let _ = RELEASES.new.decode_head(&value);
        let _ = RELEASES.new.decode(&value[..cut % length]);
    }
}

struct Releases {
    old: Commands<JarCommand>,
    new: Commands<later::JarCommand>,
}

static RELEASES: LazyLock<Releases> = LazyLock::new(|| {
    let registry = Arc::default();
    Releases { old: commands_in(&registry), new: commands_in(&registry) }
});

#[test]
fn a_record_of_an_earlier_release_cut_anywhere_is_undecodable() {
    let command = JarCommand::PutIn(PutIn { amount: 1_000_000, note: Some("for later".to_owned()) });
    let value = RELEASES.old.encode(&head(), Data::User(&command)).expect("encodes");
    for length in 5..value.len() {
        let error = RELEASES.new.decode(&value[..length]).expect_err("cut short");
        assert!(matches!(error, DecodeError::Undecodable(_)), "{length}: {error}");
    }
    let longer = [&value[..], &[0]].concat();
    assert!(matches!(RELEASES.new.decode(&longer), Err(DecodeError::Undecodable(_))));
}

#[test]
fn another_topic_s_record_is_refused_by_name() {
    let registry: Arc<InMemoryRegistry> = Arc::default();
    let codec = commands_in::<JarCommand>(&registry);
    let other: Codec<CommandHead, JarCommand, Control> =
        Codec::new(registry, "bank.purse.commands", "bank.purse").expect("sound");
    let id = other.register().expect("first");
    let command = JarCommand::PutIn(PutIn { amount: 5, note: None });
    let value = other.encode(&head(), Data::User(&command)).expect("encodes");
    let expected = DecodeError::WrongEnvelope {
        id,
        found: "bank.purse.Command".to_owned(),
        expected: "bank.jar.Command".to_owned(),
    };
    assert_eq!(codec.decode(&value).expect_err("another envelope"), expected);
}

#[test]
fn an_id_that_nobody_knows_is_unknown_and_not_undecodable() {
    let codec = commands();
    let command = JarCommand::PutIn(PutIn { amount: 5, note: None });
    let mut value = codec.encode(&head(), Data::User(&command)).expect("encodes").to_vec();
    value[1..5].copy_from_slice(&999_i32.to_be_bytes());
    let error = codec.decode(&value).expect_err("unknown");
    assert_eq!(error, DecodeError::UnknownSchema(SchemaId(999)));
    assert!(error.is_temporary());
}

#[test]
fn nothing_is_written_before_its_schema_is_registered() {
    let codec: Commands<JarCommand> =
        Codec::new(Arc::new(InMemoryRegistry::default()), "bank.jar.commands", "bank.jar").expect("sound");
    let command = JarCommand::PutIn(PutIn { amount: 5, note: None });
    let error = codec.encode(&head(), Data::User(&command)).expect_err("not registered").to_string();
    assert!(error.contains("bank.jar.commands-value") && error.contains("schemas push"), "{error}");
}

#[test]
fn two_meanings_of_one_name_name_both_files() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Clash {
        One(PutIn),
        Two(PutIn),
    }
    const fn with_colour(name: &'static str, avsc: &'static str) -> MessageSchema {
        MessageSchema::new(name, avsc)
    }
    impl Message for Clash {
        const SCHEMAS: &'static [MessageSchema] = &[
            with_colour(
                "One",
                r#"{"type": "record", "name": "One", "fields": [{"name": "colour", "type":
                    {"type": "enum", "name": "Colour", "symbols": ["red"]}}]}"#,
            ),
            with_colour(
                "Two",
                r#"{"type": "record", "name": "Two", "fields": [{"name": "colour", "type":
                    {"type": "enum", "name": "Colour", "symbols": ["red", "blue"]}}]}"#,
            ),
        ];
    }
    let error = Commands::<Clash>::new(Arc::new(InMemoryRegistry::default()), "t", "bank.jar").expect_err("a clash");
    let text = error.to_string();
    assert!(text.starts_with("bank.jar.Colour is defined in One.avsc and otherwise in Two.avsc"), "{text}");
}

#[test]
fn a_type_shared_by_messages_is_written_out_once() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct One {
        colour: later::Colour,
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Two {
        colour: later::Colour,
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Both {
        One(One),
        Two(Two),
    }
    impl Message for Both {
        const SCHEMAS: &'static [MessageSchema] = &[
            MessageSchema::new(
                "One",
                r#"{"type": "record", "name": "One", "fields": [{"name": "colour", "type":
                    {"type": "enum", "name": "Colour", "symbols": ["gold", "silver"]}}]}"#,
            ),
            MessageSchema::new(
                "Two",
                r#"{"type": "record", "name": "Two", "fields": [{"name": "colour", "type":
                    {"type": "enum", "name": "Colour", "symbols": ["gold", "silver"], "doc": "the same"}}]}"#,
            ),
        ];
    }
    let codec = commands_in::<Both>(&Arc::default());
    assert_eq!(codec.schema().matches("symbols").count(), 1);
    assert_eq!(codec.schema().matches("bank.jar.Colour").count(), 1);
    let two = Both::Two(Two { colour: later::Colour::Silver });
    let value = codec.encode(&head(), Data::User(&two)).expect("encodes");
    assert_eq!(codec.decode(&value).expect("decodes").data, Data::User(two));
}

#[test]
fn a_type_that_contains_itself_is_refused() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Nested {
        Box(PutIn),
    }
    impl Message for Nested {
        const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new(
            "Box",
            r#"{"type": "record", "name": "Box", "fields": [{"name": "inner", "type": ["null", "Box"]}]}"#,
        )];
    }
    let error = Commands::<Nested>::new(Arc::new(InMemoryRegistry::default()), "t", "bank.jar").expect_err("recursive");
    assert!(error.to_string().contains("bank.jar.Box contains itself"), "{error}");
}
