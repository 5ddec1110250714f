//! How to reach Kafka: its servers, and any property of the client library besides.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// Properties that the engine's promises rest on, with what to do instead of setting them.
pub(crate) const OWNED_PROPERTIES: [(&str, &str); 19] = [
    ("acks", "records must be on all replicas"),
    ("auto.commit.enable", "offsets are committed in transactions only"),
    ("auto.offset.reset", "silence must not skip history"),
    ("delivery.report.only.error", "the engine needs the offsets of what it wrote"),
    ("enable.auto.commit", "offsets are committed in transactions only"),
    ("enable.auto.offset.store", "offsets are committed in transactions only"),
    ("enable.gapless.guarantee", "the engine's writers are transactional"),
    ("enable.idempotence", "the engine's writers are idempotent"),
    ("enable.partition.eof", "the engine's readers find the end by it"),
    ("group.id", "groups are named after the application"),
    ("group.instance.id", "set `instance` instead"),
    ("group.protocol", "the engine relies on static members of a classic group"),
    ("isolation.level", "the engine reads committed records only"),
    ("metadata.broker.list", "set `bootstrap_servers` instead"),
    ("bootstrap.servers", "set `bootstrap_servers` instead"),
    ("partition.assignment.strategy", "partitions move cooperatively"),
    ("partitioner", "the engine computes partitions itself"),
    ("request.required.acks", "records must be on all replicas"),
    ("transactional.id", "transactional ids are named after the worker"),
];

/// How to reach Kafka.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// `host:port` of one or more brokers, separated by commas.
    pub bootstrap_servers: String,
    /// How long a question to the cluster may take before it counts as not reachable, in milliseconds.
    pub answer_timeout_ms: u64,
    /// Replicas of topics that are created; -1 is the broker's own default.
    pub replication_factor: i32,
    /// Further properties of the client library. They may hold secrets.
    #[serde(deserialize_with = "texts")]
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            bootstrap_servers: "localhost:9092".to_owned(),
            answer_timeout_ms: 10_000,
            replication_factor: -1,
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaSettings {
    /// How long a question to the cluster may take before it counts as not reachable.
    #[must_use]
    pub const fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms)
    }

    /// One of the properties that the engine sets itself, with the reason, if there is such a one.
    #[must_use]
    pub fn owned_property(&self) -> Option<(&'static str, &'static str)> {
        OWNED_PROPERTIES.into_iter().find(|(owned, _)| self.properties.contains_key(*owned))
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("answer_timeout_ms", &self.answer_timeout_ms)
            .field("replication_factor", &self.replication_factor)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

/// A property may be written as a number or a truth value too.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Text(String),
        Truth(bool),
        Whole(i64),
        Fraction(f64),
    }
    let scalars = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
    let text = |scalar| match scalar {
        Scalar::Text(text) => text,
        Scalar::Truth(truth) => truth.to_string(),
        Scalar::Whole(number) => number.to_string(),
        Scalar::Fraction(number) => number.to_string(),
    };
    Ok(scalars.into_iter().map(|(key, scalar)| (key, text(scalar))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_properties_are_never_shown() {
        let properties = BTreeMap::from([("sasl.password".to_owned(), "geheim".to_owned())]);
        let settings = KafkaSettings { properties, ..KafkaSettings::default() };
        let shown = format!("{settings:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("geheim"), "{shown}");
    }

    #[test]
    fn a_property_may_be_a_number_or_a_truth_value() {
        let text = "properties = { \"linger.ms\" = 5, \"log.queue\" = true }";
        let settings: KafkaSettings = toml::from_str(text).expect("settings");
        assert_eq!(
            (settings.properties["linger.ms"].as_str(), settings.properties["log.queue"].as_str()),
            ("5", "true")
        );
    }
}
