//! What every registry promises: the one in memory, the one in the embedded log, and, where
//! `HEADWATER_TEST_REGISTRY` names its address, a real server that speaks Confluent's API.
//! `HEADWATER_TEST_REQUIRE=1` makes its absence a failure.

use std::sync::Arc;

use headwater::clock::{Clock, new_id};
use headwater::log::embedded::{EmbeddedLog, Settings};
use headwater::schema::{ConfluentRegistry, EmbeddedRegistry, InMemoryRegistry, Registry, RegistryError, SchemaId};

const FIRST: &str = r#"{"type":"record","name":"Coin","namespace":"bank","fields":[{"name":"worth","type":"long"}]}"#;
const SECOND: &str = r#"{"type":"record","name":"Coin","namespace":"bank","fields":[{"name":"worth","type":"long"},{"name":"minted","type":["null","int"],"default":null}]}"#;
const INCOMPATIBLE: &str =
    r#"{"type":"record","name":"Coin","namespace":"bank","fields":[{"name":"weight","type":"long"}]}"#;

fn registries() -> Vec<(&'static str, Box<dyn Registry>)> {
    let log = EmbeddedLog::in_memory(Clock::system()).expect("a log");
    let embedded = EmbeddedRegistry::open(Arc::new(log)).expect("a registry");
    let mut registries: Vec<(&'static str, Box<dyn Registry>)> =
        vec![("in memory", Box::<InMemoryRegistry>::default()), ("embedded", Box::new(embedded))];
    if let Ok(url) = std::env::var("HEADWATER_TEST_REGISTRY") {
        registries.push(("confluent", Box::new(ConfluentRegistry::new(&url).expect("an address"))));
    } else {
        assert!(std::env::var("HEADWATER_TEST_REQUIRE").is_err(), "HEADWATER_TEST_REGISTRY is not set");
        eprintln!("without a server: HEADWATER_TEST_REGISTRY is not set");
    }
    registries
}

fn subject() -> String {
    format!("test-{}-value", new_id())
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn what_was_registered_is_found_both_ways() {
    for (name, registry) in registries() {
        let subject = subject();
        assert_eq!(registry.lookup(&subject, FIRST), Ok(None), "{name}");
        let id = registry.register(&subject, FIRST).expect(name);
        assert!(id.0 > 0, "{name}");
        assert_eq!(registry.lookup(&subject, FIRST), Ok(Some(id)), "{name}");
        assert_eq!(json(&registry.schema(id).expect(name).expect("known")), json(FIRST), "{name}");
    }
}

#[test]
fn registering_again_gives_the_same_id() {
    for (name, registry) in registries() {
        let subject = subject();
        let id = registry.register(&subject, FIRST).expect(name);
        assert_eq!(registry.register(&subject, FIRST), Ok(id), "{name}");
    }
}

#[test]
fn versions_count_from_one_and_the_last_is_the_latest() {
    for (name, registry) in registries() {
        let subject = subject();
        assert_eq!(registry.latest(&subject), Ok(None), "{name}");
        let first = registry.register(&subject, FIRST).expect(name);
        assert_eq!(registry.latest(&subject).expect(name).map(|it| (it.id, it.version.0)), Some((first, 1)), "{name}");
        let second = registry.register(&subject, SECOND).expect(name);
        assert_ne!(first, second, "{name}");
        let latest = registry.latest(&subject).expect(name).expect("registered");
        assert_eq!((latest.id, latest.version.0), (second, 2), "{name}");
        assert_eq!(json(&latest.schema), json(SECOND), "{name}");
    }
}

#[test]
fn a_schema_that_cannot_read_what_was_written_is_refused_with_the_reason() {
    for (name, registry) in registries() {
        let subject = subject();
        registry.set_compatibility(&subject).expect(name);
        registry.register(&subject, FIRST).expect(name);
        registry.register(&subject, SECOND).expect(name);
        let reasons = registry.check(&subject, INCOMPATIBLE).expect(name);
        let reason = "Coin.weight is new and has no default";
        assert_eq!(reasons, [format!("version 1: {reason}"), format!("version 2: {reason}")], "{name}");
        let error = registry.register(&subject, INCOMPATIBLE).expect_err(name);
        assert_eq!(error, RegistryError::Incompatible { subject: subject.clone(), reasons }, "{name}");
        assert_eq!(registry.lookup(&subject, INCOMPATIBLE), Ok(None), "{name}");
        assert_eq!(registry.check(&subject, SECOND), Ok(Vec::new()), "{name}");
    }
}

#[test]
fn an_id_that_was_never_given_is_unknown_and_no_error() {
    for (name, registry) in registries() {
        for id in [i32::MAX, 0, -1, i32::MIN] {
            assert_eq!(registry.schema(SchemaId(id)), Ok(None), "{name} {id}");
        }
    }
}

#[test]
fn subjects_do_not_see_each_other() {
    for (name, registry) in registries() {
        let (one, other) = (subject(), subject());
        registry.register(&one, FIRST).expect(name);
        assert_eq!(registry.lookup(&other, FIRST), Ok(None), "{name}");
        registry.register(&other, INCOMPATIBLE).expect(name);
    }
}

#[test]
fn a_text_that_is_no_schema_is_refused() {
    for (name, registry) in registries() {
        let error = registry.register(&subject(), r#"{"type": "gold"}"#).expect_err(name);
        assert!(matches!(error, RegistryError::Refused(_)), "{name}: {error}");
    }
}

#[test]
fn ids_of_the_embedded_log_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || {
        let log = EmbeddedLog::open(folder.path(), Settings::default()).expect("a log");
        EmbeddedRegistry::open(Arc::new(log)).expect("a registry")
    };
    let id = open().register("coins-value", FIRST).expect("first");
    let reopened = open();
    assert_eq!(reopened.lookup("coins-value", FIRST), Ok(Some(id)));
    let second = reopened.register("coins-value", SECOND).expect("compatible");
    assert!(second > id, "an id is never given twice");
    drop(reopened);
    assert_eq!(open().latest("coins-value").expect("read").map(|it| it.id), Some(second));
}

#[test]
fn registries_over_one_log_give_each_id_once() {
    let log = Arc::new(EmbeddedLog::in_memory(Clock::system()).expect("a log"));
    let open = || EmbeddedRegistry::open(log.clone()).expect("a registry");
    let schemas: Vec<String> = (0..8).map(|number| FIRST.replace("Coin", &format!("Coin{number}"))).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let registry = open();
                for schema in &schemas {
                    registry.register(&format!("{schema}-value"), schema).expect("registered");
                }
            });
        }
    });
    let (one, other) = (open(), open());
    let mut ids: Vec<SchemaId> = Vec::new();
    for schema in &schemas {
        let id = one.lookup(&format!("{schema}-value"), schema).expect("read").expect("registered");
        assert_eq!(other.schema(id).expect("read").as_ref(), Some(schema));
        ids.push(id);
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=8).map(SchemaId).collect::<Vec<_>>());
}

#[test]
fn a_server_that_is_not_there_is_away_and_its_credentials_stay_secret() {
    // Nobody listens on the discard port.
    let registry = ConfluentRegistry::new("http://somebody:s3cret@127.0.0.1:9/path").expect("an address");
    for error in [
        registry.schema(SchemaId(1)).map(|_| ()).expect_err("away"),
        registry.lookup("coins-value", FIRST).map(|_| ()).expect_err("away"),
        registry.register("coins-value", FIRST).map(|_| ()).expect_err("away"),
        registry.check("coins-value", FIRST).map(|_| ()).expect_err("away"),
        registry.set_compatibility("coins-value").expect_err("away"),
    ] {
        let text = error.to_string();
        assert!(matches!(error, RegistryError::Away(_)), "{text}");
        assert!(text.contains("127.0.0.1:9/path"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    assert!(!format!("{registry:?}").contains("s3cret"));
}

#[test]
fn a_server_that_answers_like_no_registry_is_away() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        for answer in ["404 Not Found", "500 Internal Server Error", "502 Bad Gateway", "200 OK"] {
            let (mut stream, _) = listener.accept().expect("a request");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).expect("a request");
            write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 5\r\nConnection: close\r\n\r\n<html").expect("sent");
        }
    });
    for _ in 0..4 {
        let registry = ConfluentRegistry::new(&format!("http://127.0.0.1:{port}")).expect("an address");
        let error = registry.schema(SchemaId(1)).expect_err("no registry");
        assert!(matches!(error, RegistryError::Away(_)), "{error}");
    }
    server.join().expect("all requests came");
}

#[test]
fn a_server_that_hangs_is_not_asked_again_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let registry = ConfluentRegistry::new(&format!("http://127.0.0.1:{port}")).expect("an address");
    // Nobody accepts, so the connection stands and no answer comes.
    let error = registry.schema(SchemaId(1)).expect_err("no answer");
    assert!(matches!(error, RegistryError::Away(_)), "{error}");
    assert_eq!(registry.schema(SchemaId(2)), Err(error), "what the first call came to");
    listener.accept().expect("the first call's connection");
    listener.set_nonblocking(true).expect("a socket");
    assert_eq!(listener.accept().map(drop).map_err(|error| error.kind()), Err(std::io::ErrorKind::WouldBlock));
}

#[test]
fn credentials_in_the_address_are_sent_and_what_was_found_is_remembered() {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let mut request = [0; 4096];
        let length = stream.read(&mut request).expect("a request");
        let body = r#"{"schema": "\"string\""}"#;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).expect("sent");
        String::from_utf8_lossy(&request[..length]).to_lowercase()
    });
    let registry = ConfluentRegistry::new(&format!("http://me:p%40ss@127.0.0.1:{port}/path/")).expect("an address");
    assert_eq!(registry.schema(SchemaId(7)), Ok(Some("\"string\"".to_owned())));
    let request = server.join().expect("the request came");
    assert!(request.starts_with("get /path/schemas/ids/7"), "{request}");
    // Base64 of `me:p@ss`, in lower case like the rest.
    assert!(request.contains("authorization: basic bwu6cebzcw=="), "{request}");
    // The server is gone by now.
    assert_eq!(registry.schema(SchemaId(7)), Ok(Some("\"string\"".to_owned())));
}

#[tokio::test]
async fn a_registry_may_be_asked_from_a_runtime_s_thread() {
    let registry = ConfluentRegistry::new("http://127.0.0.1:9").expect("an address");
    assert!(matches!(registry.schema(SchemaId(1)), Err(RegistryError::Away(_))));
}

#[test]
fn an_address_that_is_none_is_refused_without_repeating_it() {
    for address in ["", "registry", "ftp://me:s3cret@host", "http://me:s3cret@"] {
        let error = ConfluentRegistry::new(address).expect_err(address);
        assert!(matches!(error, RegistryError::Refused(_)), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
