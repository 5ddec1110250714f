//! Settings of a cluster and of its clients that do not go together.

use std::time::Duration;

use super::Finding;
use crate::log::kafka::ClusterFacts;

const ABORT_EVERY: &str = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
/// What a record takes besides key and value, with its batch.
const RECORD_OVERHEAD_BYTES: u64 = 512;

pub(super) fn brokers(facts: &ClusterFacts) -> Finding {
    let ClusterFacts { cluster, brokers, client_library, .. } = facts;
    let found = format!(
        "cluster {cluster} answers: {} brokers ({}); client library librdkafka {client_library}",
        brokers.len(),
        brokers.join(", ")
    );
    Finding::ok("brokers", found)
}

/// What does not go together; one line that says so if everything does.
pub(super) fn conflicts(facts: &ClusterFacts, record_bytes: usize) -> Vec<Finding> {
    if let Some(reason) = &facts.untold {
        let found = format!("the brokers' settings cannot be compared with the clients': {reason}");
        return vec![Finding::warning("timeouts", found, "allow this user to describe the cluster's configuration")];
    }
    let looked =
        [orphans(facts), longest_transaction(facts), sessions(facts), sizes(facts, record_bytes), losses(facts)];
    let mut findings: Vec<_> = looked.into_iter().flatten().collect();
    if findings.is_empty() {
        let (session, transaction) = (facts.session_timeout, facts.transaction_timeout);
        let found = format!("sessions {session:?}, transactions {transaction:?}: they go together with the brokers'");
        findings.push(Finding::ok("timeouts", found));
    }
    findings
}

fn number(facts: &ClusterFacts, name: &str) -> Option<u64> {
    facts.broker_settings.get(name)?.parse().ok()
}

fn millis(facts: &ClusterFacts, name: &str) -> Option<Duration> {
    number(facts, name).map(Duration::from_millis)
}

/// An orphaned transaction blocks every reader of the partitions it touched until the broker ends it: that
/// must be over when its partitions have a new owner.
fn orphans(facts: &ClusterFacts) -> Option<Finding> {
    let (session, transaction) = (facts.session_timeout, facts.transaction_timeout);
    let every = millis(facts, ABORT_EVERY)?;
    if transaction + every <= session {
        return None;
    }
    let found = format!(
        "a transaction that a dead worker left open blocks its readers for up to {:?} (transaction.timeout.ms \
         {transaction:?} and the brokers' {ABORT_EVERY} {every:?}), longer than the session of {session:?}",
        transaction + every
    );
    let remedy = format!("set {ABORT_EVERY}=1000 on the brokers, or a longer session with -X session.timeout.ms=…");
    Some(Finding::bad("timeouts", found, remedy))
}

fn longest_transaction(facts: &ClusterFacts) -> Option<Finding> {
    let most = millis(facts, "transaction.max.timeout.ms").filter(|most| *most < facts.transaction_timeout)?;
    let found = format!(
        "transaction.timeout.ms is {:?} and the brokers allow at most {most:?} (transaction.max.timeout.ms)",
        facts.transaction_timeout
    );
    Some(Finding::bad("timeouts", found, "lower the one or raise the other; writers cannot be opened"))
}

fn sessions(facts: &ClusterFacts) -> Option<Finding> {
    let session = facts.session_timeout;
    let least = millis(facts, "group.min.session.timeout.ms").unwrap_or_default();
    let most = millis(facts, "group.max.session.timeout.ms").unwrap_or(Duration::MAX);
    if (least..=most).contains(&session) {
        return None;
    }
    let found = format!("session.timeout.ms is {session:?}; the brokers allow {least:?} to {most:?}");
    Some(Finding::bad("timeouts", found, "set -X session.timeout.ms within that; workers cannot join their groups"))
}

fn sizes(facts: &ClusterFacts, record_bytes: usize) -> Option<Finding> {
    let wanted = u64::try_from(record_bytes).unwrap_or(u64::MAX).saturating_add(RECORD_OVERHEAD_BYTES);
    let most = number(facts, "message.max.bytes").filter(|most| *most < wanted)?;
    let found =
        format!("records of up to {record_bytes} bytes are written, and the brokers take {most} (message.max.bytes)");
    Some(Finding::bad("sizes", found, "lower processor.record_bytes, or raise message.max.bytes on the brokers"))
}

fn losses(facts: &ClusterFacts) -> Option<Finding> {
    let is_unclean = facts.broker_settings.get("unclean.leader.election.enable").is_some_and(|it| it == "true");
    if is_unclean {
        let found = "the brokers let a replica lead that lacks acknowledged records (unclean.leader.election.enable)";
        return Some(Finding::bad("durability", found, "set unclean.leader.election.enable=false"));
    }
    let replicas = number(facts, "min.insync.replicas")?;
    if facts.brokers.len() > 2 && replicas < 2 {
        let found = "a record counts as written once one broker has it (min.insync.replicas=1)";
        return Some(Finding::warning("durability", found, "set min.insync.replicas=2, with three replicas"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::*;

    fn facts(settings: &[(&str, &str)]) -> ClusterFacts {
        let broker_settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ClusterFacts {
            brokers: vec!["a:9092".to_owned(), "b:9092".to_owned(), "c:9092".to_owned()],
            broker_settings,
            session_timeout: Duration::from_secs(15),
            transaction_timeout: Duration::from_secs(10),
            ..ClusterFacts::default()
        }
    }

    fn only(settings: &[(&str, &str)]) -> Finding {
        let mut findings = conflicts(&facts(settings), 1_000_000);
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.remove(0)
    }

    #[test]
    fn an_orphan_that_outlives_the_session_is_bad_and_says_what_to_set() {
        let bad = only(&[(ABORT_EVERY, "10000")]);
        assert_eq!(bad.health, Health::Bad);
        assert!(bad.found.contains("20s") && bad.remedy.is_some_and(|it| it.contains("=1000")));
        assert_eq!(only(&[(ABORT_EVERY, "1000")]).health, Health::Ok);
    }

    #[test]
    fn what_the_brokers_do_not_allow_is_bad() {
        for setting in [
            ("transaction.max.timeout.ms", "5000"),
            ("group.max.session.timeout.ms", "10000"),
            ("group.min.session.timeout.ms", "20000"),
            ("message.max.bytes", "1000000"),
            ("unclean.leader.election.enable", "true"),
        ] {
            assert_eq!(only(&[setting]).health, Health::Bad, "{setting:?}");
        }
        assert_eq!(only(&[("min.insync.replicas", "1")]).health, Health::Warning);
    }

    #[test]
    fn a_cluster_that_does_not_tell_is_not_called_sound() {
        let untold = ClusterFacts { untold: Some("not authorized".to_owned()), ..facts(&[]) };
        let findings = conflicts(&untold, 1);
        assert!(findings[0].health == Health::Warning && findings[0].found.contains("not authorized"), "{findings:?}");
    }
}
