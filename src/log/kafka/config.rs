//! The librdkafka configurations that the clients are made with.
//!
//! Every property of the settings overrides what is chosen here; those that the engine's promises rest on
//! are refused by name.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::settings::KafkaSettings;
use crate::log::LogError;

// Chosen values, in milliseconds; each can be overridden in `properties`.
const SESSION_TIMEOUT: (&str, u64) = ("session.timeout.ms", 15_000);
// A member learns of a rebalance by its next heartbeat, and a cooperative one takes two: with 3 s the second
// of two lanes idles for seconds while the first works alone.
const HEARTBEAT_INTERVAL: (&str, u64) = ("heartbeat.interval.ms", 1_000);
const MAX_POLL_INTERVAL: (&str, u64) = ("max.poll.interval.ms", 60_000);
const TRANSACTION_TIMEOUT: (&str, u64) = ("transaction.timeout.ms", 10_000);
// With 100 ms, one in some hundred transactions of a machine at four times its capacity is slow enough to
// have its writer replaced; with 20 ms one in fifty, which costs a third of the throughput.
const RETRY_BACKOFF: (&str, u64) = ("retry.backoff.ms", 100);

/// Makes client configurations.
#[derive(Clone, Debug)]
pub(super) struct Configs(KafkaSettings);

impl Configs {
    /// Fails if these settings cannot work.
    pub(super) fn new(settings: KafkaSettings) -> Result<Self, LogError> {
        if let Some((property, reason)) = settings.owned_property() {
            return Err(LogError::Fatal(format!("the engine sets the Kafka property {property} itself: {reason}")));
        }
        let configs = Self(settings);
        let (transaction, session) = (configs.transaction_timeout(), configs.session_timeout());
        if transaction >= session {
            return Err(LogError::Fatal(format!(
                "transaction.timeout.ms ({transaction:?}) must be below session.timeout.ms ({session:?}): an orphaned \
                 transaction would block readers after its partition has a new owner"
            )));
        }
        Ok(configs)
    }

    /// What the configurations are made of.
    pub(super) const fn settings(&self) -> &KafkaSettings {
        &self.0
    }

    /// For questions about topics and offsets, as seen with `isolation` (`read_committed` or not).
    pub(super) fn inquiry(&self, isolation: &str) -> ClientConfig {
        self.config(&[("isolation.level", isolation)])
    }

    /// For a client that asks for or sets the offsets of a group which it does not join.
    pub(super) fn outsider(&self, group: &str) -> ClientConfig {
        // Only a read-committed consumer asks for stable offsets, that is, waits for open transactions.
        self.config(&[("group.id", group), ("enable.auto.commit", "false"), ("isolation.level", "read_committed")])
    }

    /// For a member of a group.
    pub(super) fn member(&self, group: &str, instance: Option<&str>) -> ClientConfig {
        let mut config = self.consumer(group);
        // A partition that is resumed joins the next fetch only, and one that waits for records of others
        // is not cut short: this bounds the wait, and with it how long a rewind takes.
        config.set("fetch.wait.max.ms", "50");
        config.set("partition.assignment.strategy", "cooperative-sticky");
        for (key, value) in [MAX_POLL_INTERVAL, SESSION_TIMEOUT, HEARTBEAT_INTERVAL] {
            config.set(key, value.to_string());
        }
        if let Some(instance) = instance {
            config.set("group.instance.id", instance);
        }
        self.override_in(&mut config);
        config
    }

    /// For a reader that follows partitions.
    pub(super) fn follower(&self) -> ClientConfig {
        let mut config = self.consumer(READER_GROUP);
        config.set("fetch.wait.max.ms", "100");
        self.override_in(&mut config);
        config
    }

    /// For a reader of stretches of one partition after another.
    pub(super) fn range_reader(&self) -> ClientConfig {
        let mut config = self.consumer(READER_GROUP);
        // The end of a partition is reported by an empty fetch, and going on to the next partition waits
        // for the fetch under way: both last this long.
        config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "5");
        self.override_in(&mut config);
        config
    }

    /// For a transactional writer.
    pub(super) fn writer(&self, id: &str) -> ClientConfig {
        // The socket timeout must not exceed the transaction timeout; librdkafka sees to it if it is not set.
        let mut config = self.producer();
        config.set("transactional.id", id).set("linger.ms", "0");
        for (key, value) in [TRANSACTION_TIMEOUT, RETRY_BACKOFF] {
            config.set(key, value.to_string());
        }
        self.override_in(&mut config);
        config
    }

    /// For a sender outside of transactions.
    pub(super) fn sender(&self) -> ClientConfig {
        let mut config = self.producer();
        config.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "1");
        config.set("message.timeout.ms", "30000");
        self.override_in(&mut config);
        config
    }

    fn consumer(&self, group: &str) -> ClientConfig {
        self.config(&[
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // An offset that is no longer held must be an error: silence would skip history.
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("queued.max.messages.kbytes", "16384"),
            // The default of 1000 ms stalls a replay each time the queue is full.
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "50"),
        ])
    }

    fn producer(&self) -> ClientConfig {
        self.config(&[
            // zstd can stall a consumer (librdkafka #5260).
            ("compression.type", "lz4"),
            ("queue.buffering.max.messages", "500000"),
            ("queue.buffering.max.kbytes", "131072"),
        ])
    }

    fn config(&self, chosen: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        config.set("bootstrap.servers", &self.0.bootstrap_servers).set("client.id", "headwater");
        // After an outage the default of 10 s delays the recovery of everything.
        config.set("reconnect.backoff.max.ms", "1000");
        for (key, value) in chosen {
            config.set(*key, *value);
        }
        self.override_in(&mut config);
        config
    }

    fn override_in(&self, config: &mut ClientConfig) {
        for (key, value) in &self.0.properties {
            config.set(key, value);
        }
    }

    fn millis(&self, (key, otherwise): (&str, u64)) -> Duration {
        Duration::from_millis(self.0.properties.get(key).and_then(|value| value.parse().ok()).unwrap_or(otherwise))
    }

    /// After this long without a sign of life the group gives a member up.
    pub(super) fn session_timeout(&self) -> Duration {
        self.millis(SESSION_TIMEOUT)
    }

    /// After this long the broker aborts a transaction that nobody ends.
    pub(super) fn transaction_timeout(&self) -> Duration {
        self.millis(TRANSACTION_TIMEOUT)
    }

    /// How long the client waits before it repeats a request, but for a fifth that it may be early.
    pub(super) fn retry_backoff(&self) -> Duration {
        self.millis(RETRY_BACKOFF)
    }
}

/// librdkafka assigns partitions only to a consumer with a group. Nothing is ever committed to it.
const READER_GROUP: &str = "headwater-reader";

#[cfg(test)]
mod tests {
    use super::*;

    fn with(property: &str, value: &str) -> Result<Configs, LogError> {
        let mut settings = KafkaSettings::default();
        settings.properties.insert(property.to_owned(), value.to_owned());
        Configs::new(settings)
    }

    #[test]
    fn a_property_that_promises_rest_on_is_refused_by_name() {
        for property in ["isolation.level", "enable.auto.commit", "acks", "transactional.id"] {
            let said = with(property, "x").expect_err(property).to_string();
            assert!(said.contains(property), "{said}");
        }
    }

    #[test]
    fn a_property_overrides_what_is_chosen() {
        let configs = with("retry.backoff.ms", "33").expect("configs");
        assert_eq!(configs.writer("id").get("retry.backoff.ms"), Some("33"));
        assert_eq!(configs.retry_backoff(), Duration::from_millis(33));
        assert_eq!(
            with("fetch.wait.max.ms", "7").expect("configs").member("g", None).get("fetch.wait.max.ms"),
            Some("7")
        );
    }

    #[test]
    fn a_transaction_that_outlives_the_session_is_refused() {
        let said = with("transaction.timeout.ms", "15000").expect_err("too long").to_string();
        assert!(said.contains("session.timeout.ms"), "{said}");
    }
}
