//! Settings of the application that do not go together, and the limits to know.

use super::Finding;
use crate::settings::{LogSetting, Settings};

/// What does not go together.
pub(super) fn conflicts(settings: &Settings) -> Vec<Finding> {
    let remember = settings.processor.remember();
    let kept = settings.topology.command_retention.0;
    let mut findings = Vec::new();
    if kept <= remember {
        let found = format!(
            "outcomes are kept for {kept:?} (topology.command_retention) and are to be remembered for {remember:?} \
             (processor.remember_seconds): after a restart repeats would be refused as too_old"
        );
        findings.push(Finding::bad("settings", found, "keep them for longer than they are remembered"));
    }
    if settings.log == LogSetting::Kafka && settings.registry.is_none() {
        findings.push(Finding::bad("settings", "Kafka needs a schema registry", "set --registry http://HOST:PORT"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("settings", "they go together"));
    }
    findings
}

/// What to know, rather than what to do.
pub(super) fn limits(app: &str, settings: &Settings) -> Vec<Finding> {
    let (topology, processor) = (settings.topology(app), &settings.processor);
    let lanes = processor.lane_count();
    let limit = |found: String| Finding::ok("limit", found);
    vec![
        limit(format!(
            "{} partitions, fixed for the application's life: at most as many lanes in all workers together; this one \
             has {lanes}",
            topology.partitions
        )),
        limit(format!(
            "a transaction holds up to {} commands or {} bytes: what a coordinator takes is set by transactions a \
             second, and those by batches, not by commands",
            processor.batch_commands, processor.batch_bytes
        )),
        limit(format!(
            "an aggregate's state, an event and a reply take up to {} bytes: one record",
            processor.record_bytes
        )),
        limit(format!(
            "a command id is remembered for {:?}, and {} of them in each partition; an older copy fails as too_old",
            processor.remember(),
            processor.remember_limit
        )),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Health;
    use super::*;
    use crate::settings::Period;

    #[test]
    fn outcomes_that_are_deleted_before_they_are_forgotten_are_bad() {
        let mut settings = Settings::default();
        assert_eq!(conflicts(&settings)[0].health, Health::Ok);
        settings.topology.command_retention = Period(Duration::from_mins(10));
        assert_eq!(conflicts(&settings)[0].health, Health::Bad);
    }

    #[test]
    fn every_limit_of_the_design_is_told() {
        let told: Vec<_> = limits("bank", &Settings::default()).into_iter().map(|it| it.found).collect();
        for word in ["partitions", "transactions a second", "one record", "remembered"] {
            assert!(told.iter().any(|found| found.contains(word)), "{word}");
        }
    }
}
