//! Whether the topics are there and as they must be.

use std::fmt;

use crate::log::{Log, LogError, Retention, TimeKind, TopicSpec};

/// One topic: as the application needs it, and as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// What the application needs.
    pub wanted: TopicSpec,
    /// What was found there.
    pub finding: TopicFinding,
}

/// What was found of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicFinding {
    /// All as needed.
    Ready,
    /// It does not exist.
    Missing,
    /// It works, but not as the settings say; the text says how.
    Differs(String),
    /// A worker must not run on it; the text says why.
    Unusable(String),
}

impl fmt::Display for TopicFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ok"),
            Self::Missing => f.write_str("missing"),
            Self::Differs(how) => write!(f, "differs: {how}"),
            Self::Unusable(why) => write!(f, "unusable: {why}"),
        }
    }
}

/// Why a worker does not start on these topics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicsError {
    /// Some do not exist.
    #[error("{} of the topics do not exist, {} among them: create them with `topics apply`", .0.len(), .0[0])]
    Missing(Vec<String>),
    /// One cannot be worked on.
    #[error("topic {topic}: {reason}")]
    Unusable {
        /// The topic.
        topic: String,
        /// Why, and what to do.
        reason: String,
    },
}

/// Compares the topics that are there with those that are needed. Blocks.
pub fn compare(log: &dyn Log, wanted: Vec<TopicSpec>) -> Result<Vec<TopicState>, LogError> {
    let names: Vec<_> = wanted.iter().map(|spec| spec.topic.clone()).collect();
    let found = log.describe(&names)?;
    let states = wanted.into_iter().zip(found).map(|(wanted, found)| {
        let finding = found.map_or(TopicFinding::Missing, |found| judge(&wanted, &found));
        TopicState { wanted, finding }
    });
    Ok(states.collect())
}

fn judge(wanted: &TopicSpec, found: &TopicSpec) -> TopicFinding {
    if found.partitions != wanted.partitions {
        return TopicFinding::Unusable(format!(
            "it has {} partitions and the settings say {}; the count is fixed for the application's life, since it \
             decides where an aggregate's records stand: set `topology.partitions` (or `reply_partitions`) to {0}",
            found.partitions, wanted.partitions
        ));
    }
    if wanted.time == TimeKind::Append && found.time != TimeKind::Append {
        return TopicFinding::Unusable(
            "its timestamps are its producers' (CreateTime), which anybody can set; set \
             message.timestamp.type=LogAppendTime on it"
                .to_owned(),
        );
    }
    if found.retention != wanted.retention {
        let (is, should) = (retention(found.retention), retention(wanted.retention));
        return TopicFinding::Differs(format!("it keeps records {is}; the settings say {should}"));
    }
    TopicFinding::Ready
}

/// How long records are kept, for people.
pub fn retention(retention: Retention) -> String {
    match retention {
        Retention::Forever => "for ever".to_owned(),
        Retention::Compacted => "compacted".to_owned(),
        Retention::For(duration) => format!("for {}", crate::settings::Period(duration)),
    }
}

/// Whether workers can run on these topics.
pub fn require(states: &[TopicState]) -> Result<(), TopicsError> {
    let missing: Vec<_> = states.iter().filter(|state| state.finding == TopicFinding::Missing).collect();
    if !missing.is_empty() {
        return Err(TopicsError::Missing(missing.iter().map(|state| state.wanted.topic.to_string()).collect()));
    }
    for state in states {
        match &state.finding {
            TopicFinding::Unusable(reason) => {
                let topic = state.wanted.topic.to_string();
                return Err(TopicsError::Unusable { topic, reason: reason.clone() });
            }
            TopicFinding::Differs(how) => tracing::warn!(topic = %state.wanted.topic, "{how}"),
            TopicFinding::Ready | TopicFinding::Missing => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::log::embedded::EmbeddedLog;

    fn spec(partitions: i32, retention: Retention, time: TimeKind) -> TopicSpec {
        TopicSpec { topic: "bank.account.commands".into(), partitions, retention, time }
    }

    fn finding(there: Option<TopicSpec>) -> (TopicFinding, Result<(), TopicsError>) {
        let log = EmbeddedLog::in_memory(Clock::system()).expect("a log");
        log.create(there.as_slice()).expect("created");
        let wanted = spec(8, Retention::For(Duration::from_hours(1)), TimeKind::Append);
        let mut states = compare(&log, vec![wanted]).expect("compared");
        let start = require(&states);
        (states.remove(0).finding, start)
    }

    #[test]
    fn a_worker_starts_only_on_topics_that_are_there_and_usable() {
        let hour = Retention::For(Duration::from_hours(1));
        let (missing, start) = finding(None);
        assert_eq!(missing, TopicFinding::Missing);
        assert!(start.expect_err("refused").to_string().contains("topics apply"));

        let (ready, start) = finding(Some(spec(8, hour, TimeKind::Append)));
        assert_eq!((ready, start), (TopicFinding::Ready, Ok(())));

        let (_, start) = finding(Some(spec(9, hour, TimeKind::Append)));
        assert!(start.expect_err("refused").to_string().contains("9 partitions"));

        let (_, start) = finding(Some(spec(8, hour, TimeKind::Create)));
        assert!(start.expect_err("refused").to_string().contains("LogAppendTime"));

        let (differs, start) = finding(Some(spec(8, Retention::Forever, TimeKind::Append)));
        assert!(matches!(differs, TopicFinding::Differs(_)) && start.is_ok());
    }
}
