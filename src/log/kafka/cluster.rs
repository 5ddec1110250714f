//! What a cluster says of itself, and what the clients will do with it: for people who look for what is
//! wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::ResourceSpecifier;

use super::config::Configs;
use super::inquiry::Inquiry;
use super::topics::Topics;
use crate::log::LogError;

/// A cluster and the clients' timeouts towards it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterFacts {
    /// Its id.
    pub cluster: String,
    /// `host:port` of each of its brokers.
    pub brokers: Vec<String>,
    /// The version of the client library. Brokers do not say theirs.
    pub client_library: String,
    /// The settings of one of the brokers, by name; empty if it does not tell.
    pub broker_settings: BTreeMap<String, String>,
    /// Why it does not tell.
    pub untold: Option<String>,
    /// `session.timeout.ms` of the group members.
    pub session_timeout: Duration,
    /// `transaction.timeout.ms` of the writers.
    pub transaction_timeout: Duration,
}

pub(super) fn facts(
    cluster: &str,
    configs: &Configs,
    inquiry: &Inquiry,
    topics: &Topics,
) -> Result<ClusterFacts, LogError> {
    let brokers = inquiry.brokers()?;
    let told = brokers.first().map(|(id, _)| broker_settings(topics, *id));
    let (broker_settings, untold) = match told {
        Some(Ok(settings)) => (settings, None),
        Some(Err(error)) => (BTreeMap::new(), Some(error.to_string())),
        None => (BTreeMap::new(), Some("the cluster names no broker".to_owned())),
    };
    Ok(ClusterFacts {
        cluster: cluster.to_owned(),
        brokers: brokers.into_iter().map(|(_, address)| address).collect(),
        client_library: rdkafka::util::get_rdkafka_version().1,
        broker_settings,
        untold,
        session_timeout: configs.session_timeout(),
        transaction_timeout: configs.transaction_timeout(),
    })
}

fn broker_settings(topics: &Topics, broker: i32) -> Result<BTreeMap<String, String>, LogError> {
    let described = topics.configs("asking for the configuration of a broker", &[ResourceSpecifier::Broker(broker)])?;
    let entries = described.into_iter().flat_map(|resource| resource.entries);
    Ok(entries.filter_map(|entry| Some((entry.name, entry.value?))).collect())
}
