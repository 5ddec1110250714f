//! Topics as they are, and their creation.

use std::thread::sleep;
use std::time::Duration;

use futures::executor::block_on;
use hashbrown::HashMap;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use super::config::Configs;
use super::context::Plain;
use super::error::{is_missing, is_temporary, log_error};
use super::inquiry::Inquiry;
use crate::clock;
use crate::log::{LogError, Retention, TimeKind, Topic, TopicSpec};

const SPREAD_PAUSE: Duration = Duration::from_millis(20);
const FOR_EVER: &str = "-1";

/// Describes and creates topics.
pub(super) struct Topics {
    admin: AdminClient<Plain>,
    wait: Duration,
    replication: i32,
}

impl Topics {
    pub(super) fn new(configs: &Configs) -> Result<Self, LogError> {
        let created = configs.inquiry("read_committed").create_with_context(Plain::default());
        let admin = created.map_err(|error| log_error("making a Kafka admin client", &error, None))?;
        Ok(Self {
            admin,
            wait: configs.settings().answer_timeout(),
            replication: configs.settings().replication_factor,
        })
    }

    pub(super) fn describe(&self, topics: &[Topic], inquiry: &Inquiry) -> Result<Vec<Option<TopicSpec>>, LogError> {
        let mut counts = HashMap::with_capacity(topics.len());
        for topic in topics {
            if let Some(count) = partition_count(topic, inquiry)? {
                counts.insert(topic, count);
            }
        }
        // The broker takes a topic that is asked about twice for a malformed request.
        let asked: Vec<_> = counts.keys().map(|topic| ResourceSpecifier::Topic(topic.as_str())).collect();
        let configs = self.configs("asking for the configuration of topics", &asked)?;
        let of = |topic: &Topic| {
            configs
                .iter()
                .find(|it| matches!(&it.specifier, OwnedResourceSpecifier::Topic(name) if name == topic.as_str()))
        };
        let described = topics.iter().map(|topic| {
            let Some(count) = counts.get(topic) else { return Ok(None) };
            let config = of(topic)
                .ok_or_else(|| LogError::Unavailable(format!("{topic}: the cluster did not give its configuration")))?;
            let (retention, time) = (retention(config), time_kind(config));
            Ok(Some(TopicSpec { topic: topic.clone(), partitions: *count, retention, time }))
        });
        described.collect()
    }

    /// The configurations of topics or brokers, in no particular order.
    pub(super) fn configs(
        &self,
        doing: &str,
        asked: &[ResourceSpecifier<'_>],
    ) -> Result<Vec<ConfigResource>, LogError> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let answer = block_on(self.admin.describe_configs(asked, &self.options()));
        let resources = answer.map_err(|error| log_error(doing, &error, Some(self.voice())))?;
        let taken = resources.into_iter().map(|resource| {
            resource.map_err(|code| log_error(doing, &rdkafka::error::KafkaError::AdminOp(code), Some(self.voice())))
        });
        taken.collect()
    }

    pub(super) fn create(&self, topics: &[TopicSpec], inquiry: &Inquiry) -> Result<(), LogError> {
        if topics.is_empty() {
            return Ok(());
        }
        let retentions: Vec<_> = topics.iter().map(|spec| retention_ms(spec.retention)).collect();
        let new = topics.iter().zip(&retentions).map(|(spec, retention)| self.new_topic(spec, retention));
        let new: Vec<_> = new.collect();
        let answer = block_on(self.admin.create_topics(&new, &self.options()));
        let results = answer.map_err(|error| log_error("creating topics", &error, Some(self.voice())))?;
        for result in results {
            match result {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((topic, code)) if is_temporary(code) => {
                    return Err(LogError::Unavailable(format!("creating topic {topic}: {code}")));
                }
                Err((topic, code)) => return Err(LogError::Fatal(format!("creating topic {topic}: {code}"))),
            }
        }
        self.await_leaders(topics, inquiry)
    }

    /// The controller answers before the brokers know: until then a new topic reads as missing.
    fn await_leaders(&self, topics: &[TopicSpec], inquiry: &Inquiry) -> Result<(), LogError> {
        let deadline = clock::instant() + self.wait;
        for spec in topics {
            while !has_leaders(&spec.topic, inquiry)? {
                if clock::instant() >= deadline {
                    let topic = &spec.topic;
                    return Err(LogError::Unavailable(format!("topic {topic} was created but has no leaders yet")));
                }
                sleep(SPREAD_PAUSE);
            }
        }
        Ok(())
    }

    fn new_topic<'a>(&self, spec: &'a TopicSpec, retention_ms: &'a str) -> NewTopic<'a> {
        let new = NewTopic::new(spec.topic.as_str(), spec.partitions, TopicReplication::Fixed(self.replication)).set(
            "message.timestamp.type",
            match spec.time {
                TimeKind::Append => "LogAppendTime",
                TimeKind::Create => "CreateTime",
            },
        );
        match spec.retention {
            Retention::Compacted => new.set("cleanup.policy", "compact"),
            Retention::Forever => {
                new.set("cleanup.policy", "delete").set("retention.ms", FOR_EVER).set("retention.bytes", FOR_EVER)
            }
            Retention::For(_) => new.set("cleanup.policy", "delete").set("retention.ms", retention_ms),
        }
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.wait)).operation_timeout(Some(self.wait))
    }

    fn voice(&self) -> &super::context::Voice {
        &self.admin.inner().context().voice
    }
}

fn retention_ms(retention: Retention) -> String {
    match retention {
        Retention::For(time) => i64::try_from(time.as_millis()).unwrap_or(i64::MAX).to_string(),
        Retention::Forever | Retention::Compacted => FOR_EVER.to_owned(),
    }
}

fn retention(config: &ConfigResource) -> Retention {
    let value = |name| config.get(name).and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    if value("cleanup.policy").contains("compact") {
        return Retention::Compacted;
    }
    match value("retention.ms").parse() {
        Ok(millis) => Retention::For(Duration::from_millis(millis)),
        Err(_) => Retention::Forever,
    }
}

fn time_kind(config: &ConfigResource) -> TimeKind {
    match config.get("message.timestamp.type").and_then(|entry| entry.value.as_deref()) {
        Some("LogAppendTime") => TimeKind::Append,
        _ => TimeKind::Create,
    }
}

fn partition_count(topic: &Topic, inquiry: &Inquiry) -> Result<Option<i32>, LogError> {
    let metadata = match inquiry.metadata(topic) {
        Ok(metadata) => metadata,
        Err(LogError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(found) = metadata.topics().iter().find(|it| it.name() == topic.as_str()) else { return Ok(None) };
    match found.error().map(Code::from) {
        None => Ok(i32::try_from(found.partitions().len()).ok()),
        Some(code) if is_missing(code) => Ok(None),
        // Its partitions are known already.
        Some(Code::LeaderNotAvailable) => Ok(i32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)),
        Some(code) => Err(LogError::Unavailable(format!("asking about topic {topic}: {code}"))),
    }
}

fn has_leaders(topic: &Topic, inquiry: &Inquiry) -> Result<bool, LogError> {
    let metadata = match inquiry.metadata(topic) {
        Ok(metadata) => metadata,
        Err(LogError::Missing(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_led = |error: Option<RDKafkaRespErr>| error.is_none();
    let found = metadata.topics().iter().find(|it| it.name() == topic.as_str());
    Ok(found.is_some_and(|it| {
        is_led(it.error())
            && !it.partitions().is_empty()
            && it.partitions().iter().all(|partition| is_led(partition.error()) && partition.leader() >= 0)
    }))
}
