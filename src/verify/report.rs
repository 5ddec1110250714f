//! What an audit says: which promises hold, each place where one does not, and how much was looked at.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::log::TopicPartition;
use crate::position::{Offset, Partition};

/// How many violations of one rule are kept with their places; the rest is counted.
const KEPT_OF_A_RULE: u64 = 100;

/// What must hold of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Every record can be read, and stands in the partition of its key.
    Records,
    /// The versions of each aggregate are 1..n.
    Versions,
    /// The sequences of each partition are 1..n, and its times never run back.
    Sequences,
    /// Every judged command has exactly one outcome.
    Outcomes,
    /// Outcomes say what commands and events say.
    Agreement,
    /// Every event's command has an outcome.
    Causes,
    /// A snapshot is the fold of all events up to its version.
    Snapshots,
    /// What a checkpoint promises is true.
    Checkpoints,
    /// The instances of a saga issued what follows from their inputs, nothing else, and nothing twice.
    Sagas,
    /// A view is the fold of the events up to its offsets.
    Views,
    /// What the application itself holds to be true.
    #[serde(untagged)]
    Invariant(&'static str),
}

impl Rule {
    /// Every rule of the engine's, in the order in which they are reported.
    pub const ALL: [Self; 10] = [
        Self::Records,
        Self::Versions,
        Self::Sequences,
        Self::Outcomes,
        Self::Agreement,
        Self::Causes,
        Self::Snapshots,
        Self::Checkpoints,
        Self::Sagas,
        Self::Views,
    ];

    /// The rule in a sentence; of an application's, its name.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::Records => "every record can be read and stands in the partition of its key",
            Self::Versions => "the versions of each aggregate are 1..n",
            Self::Sequences => "the sequences of each partition are 1..n, and its times never run back",
            Self::Outcomes => "every judged command has exactly one outcome",
            Self::Agreement => "outcomes say what commands and events say",
            Self::Causes => "every event's command has an outcome",
            Self::Snapshots => "snapshots and the events after them are the fold of all events",
            Self::Checkpoints => "what checkpoints promise is true",
            Self::Sagas => "sagas issued what follows from their inputs, each step once, and are open or ended",
            Self::Views => "views are the fold of the events up to their offsets",
            Self::Invariant(name) => name,
        }
    }
}

/// Where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// In the log.
    Record {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: Partition,
        /// The record; absent where it is about the partition.
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<Offset>,
        /// The aggregate's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        aggregate: Option<String>,
    },
    /// In the database of the views.
    Row {
        /// The view.
        view: &'static str,
        /// Its table; absent where it is about the view.
        #[serde(skip_serializing_if = "Option::is_none")]
        table: Option<&'static str>,
        /// The row's key.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
}

impl Place {
    /// A record.
    #[must_use]
    pub fn record(at: &TopicPartition, offset: Offset, aggregate: Option<&str>) -> Self {
        let (topic, partition) = (at.topic.to_string(), at.partition);
        Self::Record { topic, partition, offset: Some(offset), aggregate: aggregate.map(ToOwned::to_owned) }
    }

    /// A partition as a whole.
    #[must_use]
    pub fn partition(at: &TopicPartition) -> Self {
        Self::Record { topic: at.topic.to_string(), partition: at.partition, offset: None, aggregate: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record { topic, partition, offset, aggregate } => {
                write!(f, "{topic}/{partition}")?;
                offset.iter().try_for_each(|offset| write!(f, " offset {offset}"))?;
                aggregate.iter().try_for_each(|id| write!(f, ", aggregate {id:?}"))
            }
            Self::Row { view, table, key } => {
                write!(f, "view {view}")?;
                table.iter().try_for_each(|table| write!(f, ", table {table}"))?;
                key.iter().try_for_each(|key| write!(f, ", row {key}"))
            }
        }
    }
}

/// One place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What was found there, and what should be there.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The violations found so far: the first hundred of each rule with their places, all of them counted.
#[derive(Debug, Default)]
pub struct Findings {
    violations: Vec<Violation>,
    counts: BTreeMap<Rule, u64>,
}

impl Findings {
    /// One more.
    pub fn add(&mut self, rule: Rule, place: Place, what: impl Into<String>) {
        let count = self.counts.entry(rule).or_default();
        *count += 1;
        if *count <= KEPT_OF_A_RULE {
            self.violations.push(Violation { rule, place, what: what.into() });
        }
    }

    /// Those kept.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How often a rule is broken.
    #[must_use]
    pub fn count(&self, rule: Rule) -> u64 {
        self.counts.get(&rule).copied().unwrap_or(0)
    }
}

/// How much of one aggregate type was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AggregateCounts {
    /// The aggregate's type name.
    pub aggregate: &'static str,
    /// Its instances.
    pub instances: u64,
    /// Its events.
    pub events: u64,
    /// Its commands that are still held.
    pub commands: u64,
    /// Outcomes: accepted.
    pub accepted: u64,
    /// Outcomes: refused by the domain.
    pub refused: u64,
    /// Outcomes: failed by the engine.
    pub failed: u64,
    /// Answers about copies: `conflict`, `too_old`, `clock_skew`.
    pub copies: u64,
    /// Copies that got the first outcome again.
    pub repeats: u64,
    /// Commands that could not be understood.
    pub dead_letters: u64,
    /// Commands not judged yet.
    pub pending: u64,
    /// Commands of parked aggregates, which wait to be judged.
    pub parked: u64,
    /// Commands whose outcome retention has deleted, or that may repeat one whose outcome it has: nothing
    /// can be said of them.
    pub beyond_retention: u64,
    /// Snapshots compared with the fold.
    pub snapshots: u64,
    /// Snapshots that this release does not use: of another `STATE`, or unreadable.
    pub snapshots_unused: u64,
    /// Checkpoints held to their promise.
    pub checkpoints: u64,
}

/// How much of one saga was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SagaCounts {
    /// The saga's name.
    pub saga: &'static str,
    /// Its instances that were looked at.
    pub instances: u64,
    /// Those of them that have not ended.
    pub open: u64,
    /// What they took in.
    pub inputs: u64,
    /// Inputs that are not taken in yet.
    pub pending: u64,
    /// The commands that are in the log.
    pub commands: u64,
    /// Instances that began before what is held.
    pub beyond_retention: u64,
}

/// How much of one view was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ViewCounts {
    /// The view.
    pub view: &'static str,
    /// Events folded to compare with it.
    pub events: u64,
    /// Rows compared.
    pub rows: u64,
    /// Aggregates that the view has parked: what it says of them stands still.
    pub parked: u64,
    /// Whether it was reset to something else than the first event: what it lacks is not known.
    pub partial: bool,
}

/// How much was held to what the application itself holds to be true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InvariantCounts {
    /// Its name.
    pub invariant: &'static str,
    /// What it promises.
    pub promise: &'static str,
    /// Events folded.
    pub events: u64,
    /// Whether it was not looked at, since the first events are gone.
    pub partial: bool,
}

/// One rule, and how often it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The rule.
    pub rule: Rule,
    /// The rule in a sentence.
    pub promise: &'static str,
    /// How many records or rows were held to it.
    pub looked_at: u64,
    /// How often it is broken.
    pub violations: u64,
}

/// What an audit says.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether every rule holds.
    pub ok: bool,
    /// Each rule that was looked at.
    pub checks: Vec<Check>,
    /// What was looked at, by aggregate type.
    pub aggregates: Vec<AggregateCounts>,
    /// What was looked at, by saga.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sagas: Vec<SagaCounts>,
    /// What was looked at, by view.
    pub views: Vec<ViewCounts>,
    /// What was looked at, by invariant of the application's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invariants: Vec<InvariantCounts>,
    /// The violations, at most a hundred of each rule.
    pub violations: Vec<Violation>,
}

impl Report {
    /// The findings of an audit of these aggregates, sagas, views and invariants.
    #[must_use]
    pub fn new(
        findings: Findings,
        aggregates: Vec<AggregateCounts>,
        sagas: Vec<SagaCounts>,
        views: Vec<ViewCounts>,
        invariants: Vec<InvariantCounts>,
    ) -> Self {
        let is_of_use = |rule: &Rule| match rule {
            Rule::Views => !views.is_empty(),
            Rule::Sagas => !sagas.is_empty(),
            _ => true,
        };
        let check = |rule: Rule| Check {
            rule,
            promise: rule.promise(),
            looked_at: looked_at_for(rule, &aggregates, &sagas, &views),
            violations: findings.count(rule),
        };
        let own = |of: &InvariantCounts| {
            let rule = Rule::Invariant(of.invariant);
            Check { rule, promise: of.promise, looked_at: of.events, violations: findings.count(rule) }
        };
        let engine = Rule::ALL.into_iter().filter(is_of_use).map(check);
        let checks: Vec<_> = engine.chain(invariants.iter().map(own)).collect();
        let ok = checks.iter().all(|check| check.violations == 0);
        Self { ok, checks, aggregates, sagas, views, invariants, violations: findings.violations }
    }
}

fn looked_at_for(rule: Rule, aggregates: &[AggregateCounts], sagas: &[SagaCounts], views: &[ViewCounts]) -> u64 {
    let of = |of: &AggregateCounts| {
        let outcomes = of.accepted + of.refused + of.failed + of.copies;
        match rule {
            Rule::Records => of.events + of.commands + outcomes,
            Rule::Versions | Rule::Sequences | Rule::Causes => of.events,
            Rule::Outcomes => of.commands - of.pending - of.beyond_retention,
            Rule::Agreement => outcomes,
            Rule::Snapshots => of.snapshots,
            Rule::Checkpoints => of.checkpoints,
            Rule::Sagas | Rule::Views | Rule::Invariant(_) => 0,
        }
    };
    match rule {
        Rule::Sagas => sagas.iter().map(|saga| saga.inputs + saga.commands).sum(),
        Rule::Views => views.iter().map(|view| view.rows).sum(),
        _ => aggregates.iter().map(of).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Topic;

    fn events() -> TopicPartition {
        Topic::from("bank.account.events").partition(Partition(3))
    }

    #[test]
    fn a_violation_names_topic_partition_offset_and_aggregate() {
        let mut findings = Findings::default();
        findings.add(Rule::Versions, Place::record(&events(), Offset(1042), Some("000123")), "version 5 follows 3");
        let shown = findings.violations()[0].to_string();
        assert_eq!(shown, "bank.account.events/3 offset 1042, aggregate \"000123\": version 5 follows 3");
        let json = serde_json::to_value(&findings.violations()[0]).expect("json");
        assert_eq!(json["topic"], "bank.account.events");
        assert_eq!((&json["offset"], &json["rule"]), (&1042.into(), &"versions".into()));
    }

    #[test]
    fn a_log_that_is_broken_everywhere_takes_no_more_room_than_one_that_is_broken_often() {
        let mut findings = Findings::default();
        for offset in 0..1000 {
            findings.add(Rule::Versions, Place::record(&events(), Offset(offset), None), "a gap");
        }
        findings.add(Rule::Causes, Place::partition(&events()), "no outcome");
        let report = Report::new(findings, Vec::new(), Vec::new(), Vec::new(), Vec::new());
        assert_eq!(report.violations.len(), 101);
        let versions = report.checks.iter().find(|check| check.rule == Rule::Versions).expect("a check");
        assert_eq!(versions.violations, 1000);
        assert!(!report.ok);
    }
}
