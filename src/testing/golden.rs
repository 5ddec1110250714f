//! What was once released stays readable, for ever: events are never written anew, and clients are upgraded
//! when they like.
//!
//! A folder holds, for each topic and each schema of it that was ever released, that schema and values in the
//! bytes of that release: `<aggregate>.events.1.json`, `.2.json` … Every release reads all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::clock::Timestamp;
use crate::command::{CommandHead, Control};
use crate::event::EventHead;
use crate::position::{Sequence, Version};
use crate::saga::{Saga, StateControl, StateHead, UnderWay};
use crate::schema::json::{self, Secrets};
use crate::schema::{Codec, Data, Head, InMemoryRegistry, Message, Never, Registry};

/// The releases of an application, in a folder. A test calls it with samples of every message, in every shape
/// that it may take.
///
/// ```ignore
/// #[test]
/// fn events_stay_readable() {
///     let golden = Golden::new("bank", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/released"));
///     golden.events::<Account>(&[opened(), deposited("10.00")]);
/// }
/// ```
#[derive(Debug)]
pub struct Golden {
    app: &'static str,
    folder: PathBuf,
}

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

const ID: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
const TIME: Timestamp = Timestamp(1_767_225_600_000_000);

impl Golden {
    /// With this in the environment a schema that is not among the releases yet is stored there.
    pub const UPDATE: &'static str = "UPDATE_RELEASED";

    /// The releases of application `app`.
    pub fn new(app: &'static str, folder: impl Into<PathBuf>) -> Self {
        Self { app, folder: folder.into() }
    }

    /// Commands of every release are read as what they said, and the present schema is among the releases.
    ///
    /// # Panics
    /// If not.
    pub fn commands<A: Aggregate>(&self, samples: &[A::Command]) {
        let head = CommandHead {
            id: ID,
            issued_at: TIME,
            expected_version: Some(Version(7)),
            causation_id: None,
            correlation_id: ID,
            reply_to: None,
        };
        self.hold::<_, _, Control>((A::NAME, "commands"), &head, samples);
    }

    /// The same of events.
    ///
    /// # Panics
    /// If not.
    pub fn events<A: Aggregate>(&self, samples: &[A::Event]) {
        let head = EventHead {
            id: ID,
            version: Version(8),
            sequence: Sequence(1042),
            occurred_at: TIME,
            causation_id: ID,
            correlation_id: ID,
        };
        self.hold::<_, _, Never>((A::NAME, "events"), &head, samples);
    }

    /// The same of the states of a saga.
    ///
    /// # Panics
    /// If not.
    pub fn saga_states<S: Saga>(&self, samples: &[S]) {
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
        let head =
            StateHead { deadline: Some(TIME), steps: 1, under_way: vec![under_way], ..StateHead::new(1, TIME, ID) };
        self.hold::<_, _, StateControl>((S::NAME, "state"), &head, samples);
    }

    fn hold<H: Head, D: Message, E: Message>(&self, (of, kind): (&str, &str), head: &H, samples: &[D]) {
        let topic = format!("{of}.{kind}");
        let codec = |registry: &Arc<InMemoryRegistry>| -> Codec<H, D, E> {
            let (topic, namespace) = (format!("{}.{topic}", self.app), format!("{}.{of}", self.app));
            Codec::new(registry.clone(), &topic, &namespace).expect("sound schemas")
        };
        let releases = self.releases(&topic);
        for (number, release) in &releases {
            let registry = Arc::new(InMemoryRegistry::default());
            let codec = codec(&registry);
            let id = registry.register(codec.subject(), &release.schema.to_string()).expect("a schema");
            codec.register().unwrap_or_else(|error| panic!("{topic}, release {number}: {error}"));
            for sample in &release.values {
                let value = [&[0], &id.0.to_be_bytes()[..], &unhex(&sample.bytes)].concat();
                let decoded = codec.decode(&value).unwrap_or_else(|error| panic!("{topic}, release {number}: {error}"));
                let Data::User(message) = decoded.data else { panic!("{topic}, release {number}: the engine's own") };
                let read = json::to_json(&message, Secrets::Shown).expect("JSON");
                assert_eq!((read.name, &read.data), (sample.name.as_str(), &sample.data), "{topic}, release {number}");
            }
        }
        let present = present(&codec(&Arc::default()), head, samples);
        if releases.values().any(|release| meaning(&release.schema) == meaning(&present.schema)) {
            return;
        }
        let next = releases.last_key_value().map_or(1, |(number, _)| number + 1);
        let file = self.folder.join(format!("{topic}.{next}.json"));
        assert!(
            std::env::var_os(Self::UPDATE).is_some(),
            "the schema of {topic} is new; if it is as it shall be, run with {}=1 to store it as {}",
            Self::UPDATE,
            file.display()
        );
        let text = serde_json::to_string_pretty(&present).expect("JSON") + "\n";
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// The releases of a topic by their numbers.
    fn releases(&self, topic: &str) -> BTreeMap<u32, Release> {
        let files = std::fs::read_dir(&self.folder).expect("the folder").map(|file| file.expect("a file").path());
        let releases = files.filter_map(|path| {
            let number = path.file_stem()?.to_str()?.strip_prefix(topic)?.strip_prefix('.')?.parse().ok()?;
            let text = std::fs::read_to_string(&path).expect("readable");
            let release = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Some((number, release))
        });
        releases.collect()
    }
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
