//! A schema registry that speaks Confluent's REST API: Confluent's own, Apicurio's
//! `/apis/ccompat/v7`, Karapace.
//!
//! What ids and texts stand for never changes, so both ways are remembered. Whether a schema may follow
//! its subject's is judged here, version by version, so that the answer is the same whatever the server
//! is set to; the server is set to `BACKWARD_TRANSITIVE` all the same, for everyone else who registers.
//!
//! Nothing here repeats the credentials, neither in errors nor in `Debug`.

use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use reqwest::Url;
use reqwest::blocking::Client;
use schema_registry_converter::blocking::schema_registry::{SrSettings, get_all_versions, perform_sr_call};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, RawRegisteredSchema, SrCall};
use serde_json::json;

use super::{Registered, Registry, RegistryError, SchemaId, SubjectVersion};
use crate::clock;
use crate::schema::{avsc, compatibility};

const TIMEOUT: Duration = Duration::from_secs(5);
/// How many schemas are remembered, and how many ids that were unknown; beyond, they are asked for again.
const MAX_REMEMBERED: usize = 1024;
/// An unknown id is not asked for again within this time: a waiting partition asks all the time.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);
/// A server that was away while an id was looked up is left alone for so many times as long as that call took:
/// who reads records waits for the answer, and one that hangs would hold them for its timeout at every record.
const REST_AFTER_AWAY: u32 = 2;

/// A client of a registry server.
pub struct ConfluentRegistry {
    server: SrSettings,
    client: Client,
    /// Without credentials.
    url: Url,
    credentials: Option<(String, Option<String>)>,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    schemas: HashMap<SchemaId, String>,
    ids: HashMap<(String, String), SchemaId>,
    unknown: HashMap<SchemaId, Instant>,
    away: Option<Away>,
}

struct Away {
    until: Instant,
    error: RegistryError,
}

/// What a server said.
enum Answer<T> {
    Found(T),
    /// It has no such subject, version or schema.
    NotFound,
}

impl ConfluentRegistry {
    /// A client of the server at `url`, which may hold credentials: `https://user:password@host/path`.
    pub fn new(url: &str) -> Result<Self, RegistryError> {
        let wrong = |reason: &str| RegistryError::Refused(format!("the registry's address {reason}"));
        let mut url: Url = url.parse().map_err(|_| wrong("is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong("must begin with http:// or https:// and a host"));
        }
        let credentials = credentials(&url)?;
        // The setters fail only for addresses without a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        let base = url.as_str().trim_end_matches('/').to_owned();
        let (client, server) = off_the_runtime(|| {
            let client = Client::builder().timeout(TIMEOUT).build().map_err(|error| away(&url, &error))?;
            let mut server = SrSettings::new_builder(base.clone());
            server.set_timeout(TIMEOUT);
            if let Some((user, password)) = &credentials {
                server.set_basic_authorization(user, password.as_deref());
            }
            Ok((client, server.build().map_err(|error| away(&url, &error))?))
        })?;
        let url = base.parse().map_err(|_| wrong("is no URL"))?;
        Ok(Self { server, client, url, credentials, remembered: Mutex::default() })
    }

    fn call(&self, call: SrCall<'_>) -> Result<Answer<RawRegisteredSchema>, RegistryError> {
        self.answer(off_the_runtime(|| perform_sr_call(&self.server, call)))
    }

    fn answer<T>(&self, result: Result<T, SRCError>) -> Result<Answer<T>, RegistryError> {
        let error = match result {
            Ok(found) => return Ok(Answer::Found(found)),
            Err(error) => error,
        };
        match error.source().and_then(|source| source.downcast_ref::<RawError>()) {
            Some(raw) => match raw.error_code {
                404 | 40401..=40499 => Ok(Answer::NotFound),
                409 | 40901..=40999 => {
                    let reasons = vec![raw.message.clone()];
                    Err(RegistryError::Incompatible { subject: String::new(), reasons })
                }
                400..=499 | 40001..=49999 => {
                    Err(RegistryError::Refused(format!("{} ({})", raw.message, raw.error_code)))
                }
                // Not the JSON of a registry's error, or an error of the server's own.
                _ => Err(RegistryError::Away(format!("{}: {}: {}", self.url, error.error, raw.message))),
            },
            None => Err(away(&self.url, &error)),
        }
    }

    fn version(&self, subject: &str, version: u32) -> Result<Option<String>, RegistryError> {
        match self.call(SrCall::GetBySubjectAndVersion(subject, version))? {
            Answer::Found(found) => Ok(found.schema),
            Answer::NotFound => Ok(None),
        }
    }

    fn id_of(&self, found: &RawRegisteredSchema) -> Result<SchemaId, RegistryError> {
        let id = found.id.and_then(|id| i32::try_from(id).ok()).filter(|id| *id > 0);
        let id = id.ok_or_else(|| RegistryError::Away(format!("{}: an answer without an id", self.url)))?;
        Ok(SchemaId(id))
    }

    fn remembered<T>(&self, look: impl FnOnce(&mut Remembered) -> T) -> T {
        look(&mut self.remembered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn remember_id(&self, subject: &str, schema: &str, id: SchemaId) {
        self.remembered(|known| {
            make_room(&mut known.ids);
            known.ids.insert((subject.to_owned(), schema.to_owned()), id);
        });
    }
}

impl Registry for ConfluentRegistry {
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        if let Some(id) = self.lookup(subject, schema)? {
            return Ok(id);
        }
        let reasons = self.check(subject, schema)?;
        if !reasons.is_empty() {
            return Err(RegistryError::Incompatible { subject: subject.to_owned(), reasons });
        }
        let registered = self.call(SrCall::PostNew(subject, &body(schema))).map_err(|error| match error {
            RegistryError::Incompatible { reasons, .. } => {
                RegistryError::Incompatible { subject: subject.to_owned(), reasons }
            }
            other => other,
        });
        match registered? {
            Answer::Found(found) => {
                let id = self.id_of(&found)?;
                self.remember_id(subject, schema, id);
                Ok(id)
            }
            Answer::NotFound => Err(RegistryError::Refused(format!("{} is no schema registry", self.url))),
        }
    }

    fn lookup(&self, subject: &str, schema: &str) -> Result<Option<SchemaId>, RegistryError> {
        let key = (subject.to_owned(), schema.to_owned());
        if let Some(id) = self.remembered(|known| known.ids.get(&key).copied()) {
            return Ok(Some(id));
        }
        match self.call(SrCall::PostForVersion(subject, &body(schema)))? {
            Answer::Found(found) => {
                let id = self.id_of(&found)?;
                self.remember_id(subject, schema, id);
                Ok(Some(id))
            }
            Answer::NotFound => Ok(None),
        }
    }

    fn schema(&self, id: SchemaId) -> Result<Option<String>, RegistryError> {
        let Ok(number) = u32::try_from(id.0) else { return Ok(None) };
        let known = self.remembered(|known| {
            known.unknown.retain(|_, asked_at| asked_at.elapsed() < UNKNOWN_FOR);
            known.schemas.get(&id).cloned().map(Some).or_else(|| known.unknown.contains_key(&id).then_some(None))
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let is_away = self.remembered(|known| {
            known.away.take_if(|away| away.until <= clock::instant());
            known.away.as_ref().map(|away| away.error.clone())
        });
        if let Some(error) = is_away {
            return Err(error);
        }
        let asked_at = clock::instant();
        let found = match self.call(SrCall::GetById(number)) {
            Ok(Answer::Found(found)) => found.schema,
            Ok(Answer::NotFound) => None,
            Err(error) => {
                if matches!(error, RegistryError::Away(_)) {
                    let until = clock::instant() + asked_at.elapsed() * REST_AFTER_AWAY;
                    self.remembered(|known| known.away = Some(Away { until, error: error.clone() }));
                }
                return Err(error);
            }
        };
        self.remembered(|known| {
            if let Some(schema) = &found {
                make_room(&mut known.schemas);
                known.schemas.insert(id, schema.clone());
            } else {
                make_room(&mut known.unknown);
                known.unknown.insert(id, clock::instant());
            }
        });
        Ok(found)
    }

    fn latest(&self, subject: &str) -> Result<Option<Registered>, RegistryError> {
        let Answer::Found(found) = self.call(SrCall::GetLatest(subject))? else { return Ok(None) };
        let id = self.id_of(&found)?;
        let version = found.version.and_then(|version| i32::try_from(version).ok()).unwrap_or(1);
        let schema = found.schema.unwrap_or_default();
        Ok(Some(Registered { id, version: SubjectVersion(version), schema }))
    }

    fn check(&self, subject: &str, schema: &str) -> Result<Vec<String>, RegistryError> {
        let tree = |text: &str| avsc::expand("the schema", text, "").map_err(|error| error.to_string());
        let reader = tree(schema).map_err(RegistryError::Refused)?;
        let versions = off_the_runtime(|| get_all_versions(&self.server, subject.replace('/', "%2F")));
        let Answer::Found(versions) = self.answer(versions)? else { return Ok(Vec::new()) };
        let mut reasons = Vec::new();
        for version in versions {
            let Some(written) = self.version(subject, version)? else { continue };
            match tree(&written) {
                Ok(writer) => {
                    let found = compatibility::obstacles(&writer, &reader);
                    reasons.extend(found.into_iter().map(|obstacle| format!("version {version}: {obstacle}")));
                }
                Err(error) => reasons.push(format!("version {version} cannot be read: {error}")),
            }
        }
        Ok(reasons)
    }

    fn set_compatibility(&self, subject: &str) -> Result<(), RegistryError> {
        let url = format!("{}/config/{}", self.url.as_str().trim_end_matches('/'), subject.replace('/', "%2F"));
        let response = off_the_runtime(|| {
            let mut request = self.client.put(url).json(&json!({ "compatibility": "BACKWARD_TRANSITIVE" }));
            if let Some((user, password)) = &self.credentials {
                request = request.basic_auth(user, password.as_deref());
            }
            request.send().map(|response| response.status())
        });
        match response {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) if status.is_client_error() => {
                Err(RegistryError::Refused(format!("{}: setting {subject} to BACKWARD_TRANSITIVE: {status}", self.url)))
            }
            Ok(status) => Err(RegistryError::Away(format!("{}: {status}", self.url))),
            Err(error) => Err(away(&self.url, &error.without_url())),
        }
    }
}

impl fmt::Debug for ConfluentRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfluentRegistry").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

fn credentials(url: &Url) -> Result<Option<(String, Option<String>)>, RegistryError> {
    if url.username().is_empty() {
        return Ok(None);
    }
    let plain = |text: &str| {
        unescape(text)
            .ok_or_else(|| RegistryError::Refused("the credentials in the registry's address are no text".to_owned()))
    };
    Ok(Some((plain(url.username())?, url.password().map(plain).transpose()?)))
}

/// Text with `%40` and the like as what they stand for.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn body(schema: &str) -> String {
    json!({ "schema": schema, "schemaType": "AVRO" }).to_string()
}

fn make_room<K, V>(remembered: &mut HashMap<K, V>) {
    if remembered.len() >= MAX_REMEMBERED {
        remembered.clear();
    }
}

fn away(url: &Url, error: &dyn Error) -> RegistryError {
    let mut text = format!("{url}: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    RegistryError::Away(text)
}

/// The blocking client must not be used on a tokio thread, where it would panic; a thread of its own
/// may be blocked from anywhere. Calls are rare: answers are remembered.
fn off_the_runtime<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(call).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
