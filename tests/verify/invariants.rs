//! What an application itself holds to be true is looked at in an order in which causes come before effects,
//! whatever the clocks say, and each event with which it is not true any more is named.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater::event::EventHead;
use headwater::position::Partition;
use headwater::verify::{self, Findings, Invariant, InvariantCounts, Report};
use headwater::{Recorded, verify::Rule};

use crate::story::{World, added, event, id_in, noon};
use crate::tally::{Event, Passed, Tally};

/// What is passed on in one place is taken off in another, and never more than 50.
#[derive(Default)]
struct Passing {
    passed: BTreeSet<i64>,
}

impl Invariant for Passing {
    const NAME: &'static str = "passing";
    const PROMISE: &'static str = "what is taken off was passed on";
    type Source = Tally;

    fn is_ready(&self, event: &Recorded<Event>) -> bool {
        match &event.data {
            Event::Added(added) if added.amount < 0 => self.passed.contains(&-added.amount),
            _ => true,
        }
    }

    fn fold(&mut self, event: &Recorded<Event>) -> Result<(), String> {
        match &event.data {
            Event::Added(added) => {
                self.passed.remove(&-added.amount);
                Ok(())
            }
            Event::Passed(passed) => {
                self.passed.insert(passed.amount);
                if passed.amount > 50 { Err(format!("{} is passed", passed.amount)) } else { Ok(()) }
            }
        }
    }
}

type Written = (String, EventHead, Event);

/// The `sequence`-th event of a partition, so many seconds after noon.
fn at(seconds: u64, partition: i32, sequence: i64, happened: Event) -> Written {
    let (id, head, data) = event(sequence, sequence, 100, id_in(partition, 0), happened);
    (id, EventHead { occurred_at: noon().plus(Duration::from_secs(seconds)), ..head }, data)
}

fn passed(amount: i64) -> Event {
    Event::Passed(Passed { amount })
}

fn audited(partitions: [&[Written]; 2]) -> (Report, InvariantCounts) {
    let world = World::new();
    for (number, events) in (0..).zip(partitions) {
        world.write_events(Partition(number), events);
    }
    let mut findings = Findings::default();
    let counts = verify::invariant::<Passing>(&world.scope(), &world.registry(), &mut findings).expect("audited");
    (Report::new(findings, Vec::new(), Vec::new(), Vec::new(), vec![counts.clone()]), counts)
}

#[test]
fn a_promise_that_is_kept_is_reported_with_how_much_was_held_to_it() {
    let (report, counts) = audited([&[at(0, 0, 1, passed(5))], &[at(1, 1, 1, added(-5, 0))]]);
    assert!(report.ok, "{:#?}", report.violations);
    assert_eq!(counts.events, 2);
    let check = report.checks.last().expect("a check");
    assert_eq!((check.rule, check.promise, check.looked_at), (Rule::Invariant("passing"), Passing::PROMISE, 2));
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["checks"].as_array().expect("checks").last().expect("one")["rule"], "passing");
}

#[test]
fn an_effect_waits_for_its_cause_although_its_clock_is_behind() {
    let behind = [at(0, 1, 1, added(-5, 0)), at(1, 1, 2, passed(7))];
    let (report, counts) = audited([&[at(10, 0, 1, passed(5)), at(11, 0, 2, added(-7, 0))], &behind]);
    assert!(report.ok, "{:#?}", report.violations);
    assert_eq!(counts.events, 4);
}

#[test]
fn an_effect_without_a_cause_is_found_and_all_after_it_is_looked_at() {
    let events = [at(0, 1, 1, added(-5, 0)), at(1, 1, 2, added(-6, 0)), at(2, 1, 3, passed(8))];
    let (report, counts) = audited([&[at(10, 0, 1, passed(6)), at(11, 0, 2, added(-8, 0))], &events]);
    assert_eq!((report.violations.len(), counts.events), (1, 5), "{:#?}", report.violations);
    let found = &report.violations[0];
    assert_eq!(found.rule, Rule::Invariant("passing"));
    assert!(found.place.to_string().starts_with("test.tally.events/1 offset 0, aggregate"), "{found}");
    assert!(found.what.contains("not in the log"), "{found}");
    assert!(!report.ok);
}

#[test]
fn an_event_that_breaks_the_promise_is_found_in_the_promise_s_own_words() {
    let (report, _) = audited([&[at(0, 0, 1, passed(5)), at(1, 0, 2, passed(51))], &[]]);
    let found = report.violations.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("test.tally.events/0 offset 1") && found[0].contains("51 is passed"), "{found:?}");
}
