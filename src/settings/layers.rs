//! Puts the settings together: flags over environment over file over defaults.
//!
//! Each layer is checked against the keys there are before it is merged, so that an error can name the
//! very flag, variable or file that holds the mistake.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

use super::Settings;
use super::kafka::KafkaKey;

/// The prefix of environment variables; levels are separated by `__`.
const PREFIX: &str = "HEADWATER_";

/// Names the settings file, and is no setting itself.
const FILE_VARIABLE: &str = "HEADWATER_CONFIG";

/// Why the settings are not usable.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The settings file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{}: {message}", file.display())]
    Syntax {
        /// The settings file.
        file: PathBuf,
        /// Where and why.
        message: String,
    },
    /// There is no such setting.
    #[error("{origin}: there is no setting `{key}`{}", suggest(nearest.as_deref()))]
    UnknownKey {
        /// The flag, variable or file.
        origin: String,
        /// The key that nothing is known of.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// The setting cannot have this value.
    #[error("{origin}: `{key}`: {problem}")]
    Value {
        /// The flag, variable or file.
        origin: String,
        /// The setting.
        key: String,
        /// The rule that it breaks.
        problem: String,
    },
}

fn suggest(nearest: Option<&str>) -> String {
    nearest.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

/// The layers of the settings, to be filled and then [loaded](Self::load).
#[derive(Debug, Default)]
pub struct Layers {
    file: Option<PathBuf>,
    /// Not read from the process here, so that tests need not change it.
    environment: Vec<(String, String)>,
    flags: Vec<Flag>,
}

#[derive(Debug)]
struct Flag {
    name: String,
    key: String,
    value: String,
}

impl Layers {
    /// The settings file and the variables of this process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let file = file.or_else(|| std::env::var_os(FILE_VARIABLE).filter(|it| !it.is_empty()).map(PathBuf::from));
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { file, environment, flags: Vec::new() }
    }

    /// A setting given by a flag, which is over all others.
    #[must_use]
    pub fn flag(mut self, name: &str, key: &str, value: impl Into<String>) -> Self {
        self.flags.push(Flag { name: name.to_owned(), key: key.to_owned(), value: value.into() });
        self
    }

    /// All layers as one.
    pub fn load(self) -> Result<Settings, SettingsError> {
        let known = Known::new();
        let mut layers = Vec::new();
        if let Some((path, table)) = read_file(self.file.as_deref())? {
            let mut layer = Layer::default();
            let origin = path.display().to_string();
            layer.add_table(&known, &origin, &mut Vec::new(), table)?;
            layers.push(layer);
        }
        let mut environment = Layer::default();
        for (name, value) in self.environment {
            let Some(key) = name.strip_prefix(PREFIX).filter(|_| name != FILE_VARIABLE && !value.is_empty()) else {
                continue;
            };
            let path = key.to_lowercase().split("__").map(str::to_owned).collect();
            environment.add(&known, &format!("environment variable {name}"), path, value.into())?;
        }
        layers.push(environment);
        let mut flags = Layer::default();
        for Flag { name, key, value } in self.flags {
            let path = key.splitn(2, '.').map(str::to_owned).collect();
            flags.add(&known, &format!("flag {name}"), path, value.into())?;
        }
        layers.push(flags);
        merge(layers)
    }
}

/// The file asked for must be there; the default one may be.
fn read_file(asked: Option<&Path>) -> Result<Option<(PathBuf, toml::Table)>, SettingsError> {
    let file = asked.unwrap_or(Path::new("headwater.toml")).to_owned();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if asked.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SettingsError::Unreadable { file, source }),
    };
    match text.parse() {
        Ok(table) => Ok(Some((file, table))),
        Err(error) => Err(SettingsError::Syntax { file, message: without_excerpt(&error, &text) }),
    }
}

/// The parser's own display quotes the line, which may hold a secret.
fn without_excerpt(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    line.map_or_else(|| error.message().to_owned(), |line| format!("line {line}: {}", error.message()))
}

fn merge(layers: Vec<Layer>) -> Result<Settings, SettingsError> {
    let origins: BTreeMap<String, String> = layers
        .iter()
        .flat_map(|layer| &layer.values)
        .map(|value| (value.path.join("."), value.origin.clone()))
        .collect();
    let mut builder = Config::builder();
    for layer in layers {
        builder = builder.add_source(layer);
    }
    builder.build().and_then(Config::try_deserialize).map_err(|error| {
        let (key, problem) = key_and_problem(error);
        let origin = origins.get(&key).cloned().unwrap_or_else(|| "the settings".to_owned());
        SettingsError::Value { origin, key, problem }
    })
}

fn key_and_problem(error: ConfigError) -> (String, String) {
    match error {
        ConfigError::Type { unexpected, expected, key, .. } => {
            (key.unwrap_or_default(), format!("{unexpected} is not {expected}"))
        }
        ConfigError::At { error, key, .. } => (key.unwrap_or_default(), key_and_problem(*error).1),
        other => (String::new(), other.to_string()),
    }
}

/// The keys there are, from the defaults themselves.
struct Known(Vec<Vec<String>>);

impl Known {
    fn new() -> Self {
        let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
        let mut leaves = Vec::new();
        collect(&defaults, &mut Vec::new(), &mut leaves);
        Self(leaves)
    }

    /// The path under which a setting is kept, or why there is none.
    fn resolve(&self, origin: &str, path: Vec<String>) -> Result<Vec<String>, SettingsError> {
        let below = |name: &str| vec!["kafka".to_owned(), name.to_owned()];
        if self.0.contains(&path) && !path.ends_with(&["properties".to_owned()]) {
            return Ok(path);
        }
        if let [first, rest @ ..] = path.as_slice()
            && first == "kafka"
            && !rest.is_empty()
        {
            let rest = rest.join(".");
            let rest = rest.strip_prefix("properties.").unwrap_or(&rest);
            return match KafkaKey::find(rest) {
                KafkaKey::BootstrapServers => Ok(below("bootstrap_servers")),
                KafkaKey::Property(name) => Ok(vec!["kafka".to_owned(), "properties".to_owned(), name]),
                KafkaKey::Owned(reason) => Err(SettingsError::Value {
                    origin: origin.to_owned(),
                    key: path.join("."),
                    problem: format!("the engine sets this itself: {reason}"),
                }),
                KafkaKey::Unknown => Err(self.unknown(origin, path.join("."))),
            };
        }
        Err(self.unknown(origin, path.join(".")))
    }

    fn unknown(&self, origin: &str, key: String) -> SettingsError {
        let names = self.0.iter().map(|path| path.join("."));
        let all = names.chain(KafkaKey::names().map(|name| format!("kafka.{name}")));
        let nearest = all
            .map(|name| (strsim::jaro_winkler(&name, &key), name))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, name)| name);
        SettingsError::UnknownKey { origin: origin.to_owned(), key, nearest }
    }

    fn is_inner(&self, path: &[String]) -> bool {
        path.first().is_some_and(|first| first == "kafka") || self.0.iter().any(|leaf| leaf.starts_with(path))
    }
}

fn collect(value: &serde_json::Value, path: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
    let Some(fields) = value.as_object() else {
        leaves.push(path.clone());
        return;
    };
    for (name, field) in fields {
        path.push(name.clone());
        collect(field, path, leaves);
        path.pop();
    }
}

/// The settings of one layer, each with where it stands.
#[derive(Clone, Debug, Default)]
struct Layer {
    values: Vec<Placed>,
}

#[derive(Clone, Debug)]
struct Placed {
    path: Vec<String>,
    value: ValueKind,
    origin: String,
}

impl Layer {
    fn add(&mut self, known: &Known, origin: &str, path: Vec<String>, value: ValueKind) -> Result<(), SettingsError> {
        let path = known.resolve(origin, path)?;
        self.values.push(Placed { path, value, origin: origin.to_owned() });
        Ok(())
    }

    fn add_table(
        &mut self,
        known: &Known,
        origin: &str,
        path: &mut Vec<String>,
        table: toml::Table,
    ) -> Result<(), SettingsError> {
        for (name, value) in table {
            path.push(name);
            match value {
                toml::Value::Table(inner) if known.is_inner(path) => self.add_table(known, origin, path, inner)?,
                other => {
                    let kind = scalar(other).ok_or_else(|| SettingsError::Value {
                        origin: origin.to_owned(),
                        key: path.join("."),
                        problem: "a list, table or date cannot stand here".to_owned(),
                    });
                    let resolved = known.resolve(origin, path.clone())?;
                    self.values.push(Placed { path: resolved, value: kind?, origin: origin.to_owned() });
                }
            }
            path.pop();
        }
        Ok(())
    }
}

fn scalar(value: toml::Value) -> Option<ValueKind> {
    match value {
        toml::Value::String(text) => Some(text.into()),
        toml::Value::Integer(number) => Some(number.into()),
        toml::Value::Float(number) => Some(number.into()),
        toml::Value::Boolean(truth) => Some(truth.into()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let mut root = Map::new();
        for Placed { path, value, origin } in &self.values {
            place(&mut root, path, Value::new(Some(origin), value.clone()));
        }
        Ok(root)
    }
}

fn place(table: &mut Map<String, Value>, path: &[String], value: Value) {
    let [name, rest @ ..] = path else { return };
    if rest.is_empty() {
        table.insert(name.clone(), value);
        return;
    }
    let inner = table.entry(name.clone()).or_insert_with(|| Value::new(None, ValueKind::Table(Map::new())));
    if let ValueKind::Table(inner) = &mut inner.kind {
        place(inner, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{LogSetting, ViewsSetting};

    fn layers(file: &str, environment: &[(&str, &str)]) -> (tempfile::TempDir, Layers) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("headwater.toml");
        std::fs::write(&path, file).expect("written");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        (folder, Layers { file: Some(path), environment, flags: Vec::new() })
    }

    fn error(file: &str, environment: &[(&str, &str)]) -> String {
        let (_folder, layers) = layers(file, environment);
        layers.load().expect_err("a mistake").to_string()
    }

    #[test]
    fn flags_are_over_environment_over_file_over_defaults() {
        let file = "registry = 'http://file'\nviews = 'sqlite:/file'\nlog = 'kafka'\n[topology]\npartitions = 16";
        let environment = [("HEADWATER_REGISTRY", "http://env"), ("HEADWATER_VIEWS", "sqlite:/env"), ("HOME", "/root")];
        let (_folder, layers) = layers(file, &environment);
        let settings = layers.flag("--views", "views", "sqlite:/flag").load().expect("settings");
        assert_eq!(settings.log, LogSetting::Kafka);
        assert_eq!(settings.registry, Some("http://env".into()));
        assert_eq!(settings.views, Some(ViewsSetting::Sqlite("/flag".into())));
        assert_eq!(settings.topology("bank").partitions, 16);
        assert_eq!(settings.topology("bank").reply_partitions, 8);
    }

    #[test]
    fn any_property_of_the_client_library_passes_through_every_layer() {
        let file = "[kafka]\nlinger.ms = 7\n'ssl.ca.location' = '/file'\n";
        let environment = [
            ("HEADWATER_KAFKA__BOOTSTRAP_SERVERS", "kafka:1"),
            ("HEADWATER_KAFKA__SECURITY_PROTOCOL", "SASL_SSL"),
            ("HEADWATER_KAFKA__SSL_CA_LOCATION", "/env"),
        ];
        let (_folder, layers) = layers(file, &environment);
        let settings = layers.flag("-X", "kafka.ssl.ca.location", "/flag").load().expect("settings");
        assert_eq!(settings.kafka.bootstrap_servers, "kafka:1");
        let properties: Vec<_> = settings.kafka.properties.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(properties, [("linger.ms", "7"), ("security.protocol", "SASL_SSL"), ("ssl.ca.location", "/flag")]);
    }

    #[test]
    fn a_wrong_key_names_where_it_stands_and_the_nearest() {
        let file = error("[topology]\npartitons = 3", &[]);
        assert!(file.contains("headwater.toml: there is no setting `topology.partitons`"), "{file}");
        assert!(file.contains("did you mean `topology.partitions`?"), "{file}");
        let variable = error("", &[("HEADWATER_KAFKA__SECURITY_PROTOCL", "x")]);
        assert!(variable.contains("environment variable HEADWATER_KAFKA__SECURITY_PROTOCL"), "{variable}");
        assert!(variable.contains("did you mean `kafka.security.protocol`?"), "{variable}");
        let table = error("[topologie]\npartitions = 3", &[]);
        assert!(table.contains("`topologie`"), "{table}");
    }

    #[test]
    fn a_wrong_value_names_where_it_stands_and_the_rule() {
        let number = error("[topology]\npartitions = 'many'", &[]);
        assert!(number.contains("headwater.toml: `topology.partitions`: "), "{number}");
        let zero = error("", &[("HEADWATER_TOPOLOGY__PARTITIONS", "0")]);
        assert!(zero.contains("HEADWATER_TOPOLOGY__PARTITIONS: `topology.partitions`: "), "{zero}");
        let period = error("[topology]\nreply_retention = '5'", &[]);
        assert!(period.contains("number and a unit"), "{period}");
        let log = error("", &[("HEADWATER_LOG", "pulsar")]);
        assert!(
            log.contains("environment variable HEADWATER_LOG: `log`: write embedded, embedded:PATH or kafka"),
            "{log}"
        );
        let list = error("registry = ['a']", &[]);
        assert!(list.contains("`registry`"), "{list}");
        let owned = error("", &[("HEADWATER_KAFKA__ISOLATION_LEVEL", "read_uncommitted")]);
        assert!(owned.contains("the engine sets this itself"), "{owned}");
    }

    #[test]
    fn an_error_repeats_no_secret() {
        let views = error("", &[("HEADWATER_VIEWS", "mysql://me:geheim@db")]);
        assert!(!views.contains("geheim"), "{views}");
        let syntax = error("[kafka]\nsasl.password = geheim", &[]);
        assert!(syntax.contains("line 2") && !syntax.contains("geheim"), "{syntax}");
    }

    #[test]
    fn a_file_that_was_asked_for_must_be_there() {
        let missing = Layers { file: Some("/nowhere/headwater.toml".into()), ..Layers::default() };
        assert!(matches!(missing.load(), Err(SettingsError::Unreadable { .. })));
    }
}
