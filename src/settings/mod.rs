//! Every setting there is, as one tree of values.
//!
//! A setting comes from a flag, else the environment (`HEADWATER_KAFKA__BOOTSTRAP_SERVERS`), else
//! `headwater.toml`, else its default; [`Layers`] puts them together. A wrong key or value is an error
//! that names where it stands and the nearest key there is. Settings are plain values: whatever is
//! made from them (a log, a database) is made elsewhere. Secrets are never shown: `Debug` hides them.

mod health;
mod http;
mod kafka;
mod layers;
mod origins;
mod period;
mod telemetry;

use std::fmt;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use health::HealthSettings;
pub use http::HttpSettings;
pub use layers::{Layers, SettingsError};
pub use origins::Origins;
pub use period::{Period, PeriodError};
pub use telemetry::TelemetrySettings;

use crate::aggregate::processor::ProcessorSettings;
use crate::log::kafka::KafkaSettings;
use crate::saga::SagaSettings;
use crate::topology::Topology;

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which log.
    pub log: LogSetting,
    /// Of the embedded log: whether every commit waits for the disk, so that it survives a power cut.
    /// It survives a crash of the process either way.
    pub sync: bool,
    /// Address of the schema registry, which speaks Confluent's API. The embedded log keeps its
    /// schemas itself.
    pub registry: Option<Secret>,
    /// Where the views are kept; by default beside the embedded log.
    pub views: Option<ViewsSetting>,
    /// Folder of local state; by default beside the embedded log. It can be lost at any time: it is
    /// made anew from the log.
    pub state: Option<PathBuf>,
    /// The first part of every topic's name, if not the application's own name: several of the same
    /// application can then stand side by side on one cluster.
    pub app: Option<AppName>,
    /// Names this worker across restarts, so that its partitions wait for it; unique among workers.
    pub instance: Option<String>,
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// How commands are judged.
    pub processor: ProcessorSettings,
    /// How sagas run.
    pub saga: SagaSettings,
    /// What a process tells of itself.
    pub telemetry: TelemetrySettings,
    /// Where a worker without a gateway is asked how it is.
    pub health: HealthSettings,
    /// The HTTP face.
    pub http: HttpSettings,
    /// The shape of the topics. Fixed for the application's life once they are created.
    pub topology: TopologySettings,
}

/// The folder of everything that has no other place.
const FOLDER: &str = "./.headwater";

impl Settings {
    /// Where the views are kept.
    #[must_use]
    pub fn views(&self) -> ViewsSetting {
        self.views.clone().unwrap_or_else(|| ViewsSetting::Sqlite(self.folder().join("views")))
    }

    /// Folder of local state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| self.folder().join("state"))
    }

    fn folder(&self) -> &Path {
        match &self.log {
            LogSetting::Embedded(folder) => folder,
            LogSetting::Kafka => Path::new(FOLDER),
        }
    }
}

/// Which log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSetting {
    /// The embedded one, in this folder.
    Embedded(PathBuf),
    /// A Kafka cluster.
    Kafka,
}

impl Default for LogSetting {
    fn default() -> Self {
        Self::Embedded(PathBuf::from(FOLDER))
    }
}

impl FromStr for LogSetting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "kafka" => Ok(Self::Kafka),
            None if text == "embedded" => Ok(Self::default()),
            Some(("embedded", path)) if !path.is_empty() => Ok(Self::Embedded(PathBuf::from(path))),
            _ => Err("write embedded, embedded:PATH or kafka"),
        }
    }
}

impl fmt::Display for LogSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(path) => write!(f, "embedded:{}", path.display()),
            Self::Kafka => f.write_str("kafka"),
        }
    }
}

/// Where the views are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum ViewsSetting {
    /// SQLite files in this folder.
    Sqlite(PathBuf),
    /// A PostgreSQL database, by its URL.
    Postgres(Secret),
}

impl FromStr for ViewsSetting {
    type Err = &'static str;

    /// The error never repeats the text: it may hold a password.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(Self::Postgres(text.into())),
            _ => Err("write sqlite:PATH or postgres://USER@HOST/DATABASE"),
        }
    }
}

impl fmt::Debug for ViewsSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

impl fmt::Display for ViewsSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(url.expose()),
        }
    }
}

macro_rules! is_text_in_files {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
is_text_in_files!(AppName, LogSetting, Origins, ViewsSetting);

/// A text that may hold a password, as an address with `user:password@` does. Never shown whole.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, to be handed to whom it is meant for and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.split_once("://"), self.0.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://***@{}", without_query(host)),
            (Some(_), None) => f.write_str(without_query(&self.0)),
            (None, _) => f.write_str("***"),
        }
    }
}

/// PostgreSQL takes a password as `?password=` too.
fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(before, _)| before)
}

/// The name that an application has in its topics and schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppName(String);

impl FromStr for AppName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let sound = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_')
            && text.len() <= 40;
        if sound {
            Ok(Self(text.to_owned()))
        } else {
            Err("write at most 40 lower case letters, digits and _, a letter first")
        }
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// See [`Topology`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopologySettings {
    /// Partitions of each aggregate's topics. Unless set: 8 on an embedded log, 64 on Kafka.
    pub partitions: Option<NonZeroU16>,
    /// Partitions of the replies topic.
    pub reply_partitions: NonZeroU16,
    /// How long commands and outcomes are kept.
    pub command_retention: Period,
    /// How long replies are kept.
    pub reply_retention: Period,
}

impl Default for TopologySettings {
    fn default() -> Self {
        Self {
            partitions: None,
            reply_partitions: REPLY_PARTITIONS,
            command_retention: Period(Duration::from_hours(7 * 24)),
            reply_retention: Period(Duration::from_mins(15)),
        }
    }
}

/// The count is fixed for the application's life: enough to grow into.
const KAFKA_PARTITIONS: NonZeroU16 = NonZeroU16::new(64).expect("not zero");
const EMBEDDED_PARTITIONS: NonZeroU16 = NonZeroU16::new(8).expect("not zero");
const REPLY_PARTITIONS: NonZeroU16 = NonZeroU16::new(8).expect("not zero");

impl Settings {
    /// The shape of this application's topics.
    #[must_use]
    pub fn topology(&self, app: &str) -> Topology {
        let default = match self.log {
            LogSetting::Embedded(_) => EMBEDDED_PARTITIONS,
            LogSetting::Kafka => KAFKA_PARTITIONS,
        };
        Topology {
            app: self.app.as_ref().map_or_else(|| app.to_owned(), ToString::to_string),
            partitions: self.topology.partitions.unwrap_or(default).get().into(),
            reply_partitions: self.topology.reply_partitions.get().into(),
            command_retention: self.topology.command_retention.0,
            reply_retention: self.topology.reply_retention.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("postgres://me:pass@db:5432/bank", "postgres://***@db:5432/bank"),
            ("postgres://db/bank?password=pass", "postgres://db/bank"),
            ("http://registry:8081", "http://registry:8081"),
            ("pass", "***"),
        ] {
            assert_eq!(format!("{:?}", Secret::from(url)), shown);
        }
        let views: ViewsSetting = "postgres://me:pass@db/bank".parse().expect("views");
        let settings = Settings { views: Some(views), ..Settings::default() };
        assert!(!format!("{settings:?}").contains("pass"));
    }

    #[test]
    fn an_application_can_stand_beside_another_of_its_kind_under_a_name_of_its_own() {
        let named = Settings { app: Some("bank_2".parse().expect("a name")), ..Settings::default() };
        assert_eq!(Settings::default().topology("bank").app, "bank");
        assert_eq!(named.topology("bank").app, "bank_2");
        for text in ["", "2", "Bank", "bank.2", "bank-2", "bänk"] {
            assert!(text.parse::<AppName>().is_err(), "{text}");
        }
    }

    #[test]
    fn views_and_state_lie_beside_the_embedded_log() {
        let settings = Settings { log: "embedded:/data".parse().expect("a log"), ..Settings::default() };
        assert_eq!(settings.views().to_string(), "sqlite:/data/views");
        assert_eq!(settings.state(), PathBuf::from("/data/state"));
    }
}
