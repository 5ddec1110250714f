//! `verify` finds each kind of fault that is planted in a log, names its place, and finds none in a sound
//! one.

mod invariants;
mod parked;
mod story;
#[path = "../processor/tally.rs"]
#[expect(dead_code, reason = "nothing is parked here")]
mod tally;
mod views;

use std::time::Duration;

use headwater::clock::Timestamp;
use headwater::command::Outcome;
use headwater::event::Checkpoint;
use headwater::position::{Offset, Partition, Sequence, Version};
use headwater::verify::{Place, Report, Rule};
use story::{Story, WEEK, World, a, accepted, add, added, b, event, healthy, id_in, noon, outcomes, sent};
use uuid::Uuid;

fn audited(plant: impl FnOnce(&World, &mut Story)) -> Report {
    let world = World::new();
    let mut story = healthy(&world);
    plant(&world, &mut story);
    world.write(&story);
    world.audit().0
}

/// The fault is found under its rule, at this place, in these words.
#[track_caller]
fn finds(rule: Rule, place: &str, words: &str, plant: impl FnOnce(&World, &mut Story)) {
    let report = audited(plant);
    let found = report
        .violations
        .iter()
        .any(|it| it.rule == rule && it.place.to_string().starts_with(place) && it.what.contains(words));
    assert!(found && !report.ok, "not found among {:#?}", report.violations);
}

fn checkpoint(story: &mut Story) -> &mut Checkpoint {
    story.snapshots[2].data.as_mut().expect_err("the third is the checkpoint")
}

fn accepted_at(story: &mut Story, record: usize, entry: usize) -> &mut headwater::command::Accepted {
    match &mut story.outcomes[record].entries[entry].outcome {
        Outcome::Accepted(accepted) => accepted,
        other => panic!("{other:?} is not accepted"),
    }
}

#[test]
fn a_sound_log_has_no_faults_and_everything_in_it_is_counted() {
    let world = World::new();
    world.write(&healthy(&world));
    let (report, counts) = world.audit();
    assert!(report.ok && report.violations.is_empty(), "{:#?}", report.violations);
    assert_eq!((counts.instances, counts.events, counts.commands), (2, 6, 11));
    assert_eq!((counts.accepted, counts.refused, counts.failed, counts.copies), (6, 1, 0, 1));
    assert_eq!((counts.repeats, counts.dead_letters, counts.pending), (1, 1, 1));
    assert_eq!((counts.snapshots, counts.checkpoints, counts.beyond_retention), (2, 1, 0));
}

#[test]
fn an_empty_log_has_no_faults() {
    let (report, counts) = World::new().audit();
    assert!(report.ok, "{:#?}", report.violations);
    assert_eq!(counts.events, 0);
}

#[test]
fn a_missing_version_is_found() {
    finds(Rule::Versions, &format!("test.tally.events/0 offset 2, aggregate {:?}", a()), "version 3 after", |_, it| {
        it.events[2].1.version = Version(3);
    });
}

#[test]
fn a_repeated_version_is_found() {
    finds(Rule::Versions, "test.tally.events/0 offset 2", "version 1 again after version 1", |_, it| {
        it.events[2].1.version = Version(1);
    });
}

#[test]
fn a_lost_event_is_found_as_a_gap_of_the_sequence() {
    finds(Rule::Sequences, "test.tally.events/0 offset 1", "sequence 3 after 1: an event is lost", |_, it| {
        it.events.remove(1);
    });
}

#[test]
fn a_sequence_that_comes_again_is_found() {
    finds(Rule::Sequences, "test.tally.events/0 offset 3", "two writers", |_, it| {
        it.events[3].1.sequence = Sequence(3);
    });
}

#[test]
fn a_time_that_runs_back_is_found() {
    finds(Rule::Sequences, "test.tally.events/0 offset 4", "before the event before it", |_, it| {
        it.events[4].1.occurred_at = noon().minus(Duration::from_millis(1));
    });
}

#[test]
fn an_event_in_the_partition_of_another_key_is_found() {
    finds(Rule::Records, "test.tally.events/0 offset 5", "belongs into partition 1", |_, it| {
        it.events[5].0 = id_in(1, 0);
    });
}

#[test]
fn a_judged_command_without_an_outcome_is_found() {
    finds(Rule::Outcomes, &format!("test.tally.commands/0 offset 2, aggregate {:?}", a()), "no outcome", |_, it| {
        it.outcomes[0].entries.remove(2);
    });
}

#[test]
fn a_command_that_seems_to_repeat_one_that_was_never_answered_is_found() {
    finds(Rule::Outcomes, "test.tally.commands/0 offset 4", "no outcome", |_, it| {
        // Its first outcome comes only after it.
        let first = it.outcomes[0].entries.remove(0);
        it.outcomes[2].entries.insert(0, headwater::command::OutcomeEntry { offset: Offset(6), ..first });
    });
}

#[test]
fn the_last_judged_command_without_an_outcome_is_found() {
    finds(Rule::Outcomes, "test.tally.commands/0 offset 10", "was judged and has no outcome", |_, it| {
        it.committed = 11;
    });
}

#[test]
fn a_command_that_was_answered_twice_is_found() {
    finds(Rule::Outcomes, "test.tally.outcomes/0 offset 3", "judged twice", |_, it| {
        let again = it.outcomes[2].clone();
        it.outcomes.push(again);
    });
}

#[test]
fn a_copy_that_got_an_outcome_of_its_own_is_found() {
    finds(Rule::Outcomes, "test.tally.outcomes/0 offset 1", "has two outcomes, of the commands at offsets 0 and 4", {
        |world, it| {
            let again = world.entry(4, &it.commands[4], accepted(2, 3));
            it.outcomes[1].entries.insert(1, again);
        }
    });
}

#[test]
fn a_command_that_makes_no_sense_and_is_not_among_the_dead_letters_is_found() {
    finds(Rule::Outcomes, "test.tally.commands/0 offset 6", "not among the dead letters", |_, it| {
        it.dead_letters.clear();
    });
}

#[test]
fn a_command_with_an_outcome_that_is_among_the_dead_letters_too_is_found() {
    finds(Rule::Outcomes, "test.tally.commands/0 offset 3", "among the dead letters too", |world, it| {
        it.dead_letters.insert(0, world.letter_about(3));
    });
}

#[test]
fn an_outcome_that_names_another_command_than_stands_at_its_offset_is_found() {
    finds(Rule::Agreement, "test.tally.outcomes/0 offset 0", "where command", |_, it| {
        it.outcomes[0].entries[2].command_id = Uuid::from_u128(999);
    });
}

#[test]
fn an_outcome_of_another_payload_or_time_is_found() {
    finds(Rule::Agreement, "test.tally.outcomes/0 offset 0", "another payload", |_, it| {
        it.outcomes[0].entries[1].payload_hash.0 ^= 1;
    });
    finds(Rule::Agreement, "test.tally.outcomes/0 offset 0", "was appended at", |_, it| {
        it.outcomes[0].entries[1].appended_at = noon().plus(Duration::from_secs(1));
    });
}

#[test]
fn an_outcome_of_a_command_that_is_not_there_is_found() {
    finds(Rule::Agreement, "test.tally.outcomes/0 offset 2", "where there is none", |_, it| {
        it.outcomes[2].entries[2].offset = Offset(77);
        it.outcomes[2].next_offset = Offset(78);
    });
}

#[test]
fn outcomes_records_that_overlap_are_found() {
    finds(Rule::Agreement, "test.tally.outcomes/0 offset 1", "the record before went up to 3", |_, it| {
        it.outcomes[1].first_offset = Offset(2);
    });
}

#[test]
fn an_outcome_with_a_wrong_version_is_found() {
    finds(Rule::Agreement, "test.tally.outcomes/0 offset 2", "stood at version 9; it stood at 4", |_, it| {
        accepted_at(it, 2, 1).version = Version(9);
    });
}

#[test]
fn an_outcome_that_promises_events_which_are_not_there_is_found() {
    finds(Rule::Agreement, "test.tally.outcomes/0 offset 2", "reached sequence 6; it ends at 5", |_, it| {
        it.events.truncate(5);
    });
}

#[test]
fn a_record_that_ends_at_another_sequence_than_its_outcomes_is_found() {
    finds(Rule::Agreement, "test.tally.outcomes/0 offset 1", "ends at sequence 1, its outcomes at 2", |_, it| {
        it.outcomes[0].sequence = Sequence(1);
    });
}

#[test]
fn an_event_whose_command_has_no_outcome_is_found() {
    let place = format!("test.tally.events/0 offset 6, aggregate {:?}", b());
    finds(Rule::Causes, &place, "a transaction was torn", |_, it| {
        it.events.push(event(3, 7, 999, b(), added(1, 9)));
    });
}

#[test]
fn an_event_in_the_middle_whose_command_has_no_outcome_is_found() {
    finds(Rule::Causes, "test.tally.events/0 offset 3", "a transaction was torn", |_, it| {
        it.outcomes[2].entries.remove(1);
    });
}

#[test]
fn a_snapshot_that_is_not_the_fold_is_found_with_the_field_that_differs() {
    finds(Rule::Snapshots, "test.tally.snapshots/0 offset 0", "/total is 9 in the snapshot, 8 in the fold", |_, it| {
        it.snapshots[0].data.as_mut().expect("a state").total = 9;
    });
}

#[test]
fn a_snapshot_of_another_sequence_is_found() {
    finds(Rule::Snapshots, "test.tally.snapshots/0 offset 0", "says sequence 2; that version has 3", |_, it| {
        it.snapshots[0].head.sequence = Sequence(2);
    });
}

#[test]
fn a_snapshot_of_events_that_are_not_there_is_found() {
    finds(Rule::Snapshots, "test.tally.snapshots/0 offset 1", "its events end at 2", |_, it| {
        it.snapshots[1].head.version = Version(3);
    });
}

#[test]
fn a_checkpoint_one_event_too_far_is_found() {
    let place = format!("test.tally.snapshots/0 offset 2, aggregate {:?}", a());
    finds(Rule::Checkpoints, &place, "covers version 3", |_, it| checkpoint(it).events_offset = Offset(4));
    finds(
        Rule::Checkpoints,
        "test.tally.snapshots/0 offset 2",
        "says they end at sequence 3; they end at 4",
        |_, it| {
            checkpoint(it).events_offset = Offset(4);
        },
    );
}

#[test]
fn a_checkpoint_past_the_end_is_found() {
    finds(Rule::Checkpoints, "test.tally.snapshots/0 offset 2", "there are none from 6 on", |_, it| {
        checkpoint(it).events_offset = Offset(7);
    });
}

#[test]
fn a_checkpoint_without_the_snapshot_it_rests_on_is_found() {
    finds(Rule::Checkpoints, "test.tally.snapshots/0 offset 1", "its snapshot is of version 0", |_, it| {
        it.snapshots.remove(1);
    });
}

#[test]
fn a_checkpoint_with_the_wrong_next_command_is_found() {
    finds(Rule::Checkpoints, "test.tally.snapshots/0 offset 2", "they led to 2", |_, it| {
        checkpoint(it).commands_offset = Offset(3);
    });
}

#[test]
fn a_checkpoint_that_forgets_an_outcome_too_early_is_found() {
    finds(Rule::Checkpoints, "test.tally.snapshots/0 offset 2", "could be judged twice", |_, it| {
        checkpoint(it).outcomes_offset = Offset(1);
    });
    let report = audited(|_, it| {
        checkpoint(it).outcomes_offset = Offset(1);
        checkpoint(it).forgotten = noon();
    });
    assert!(report.ok, "{:#?}", report.violations);
}

#[test]
fn a_snapshot_of_another_meaning_of_the_state_is_not_compared() {
    let report = audited(|_, it| {
        it.snapshots[0].head.state = 0;
        it.snapshots[0].data.as_mut().expect("a state").total = 9;
    });
    assert!(report.ok, "{:#?}", report.violations);
    assert_eq!(report.aggregates[0].snapshots_unused, 1);
}

#[test]
fn what_retention_deleted_is_no_fault_and_what_it_did_not_is_held_to_the_rules() {
    let world = World::new();
    world.write(&healthy(&world));
    let later = noon().plus(WEEK + Duration::from_hours(1));
    world.clock.set(later);
    world.log.maintain().expect("maintained");
    let mut next = healthy(&world);
    // A late copy of a command whose outcome is gone, one that is judged, and one without an outcome.
    let issued = |mut it: story::Sent, at: Timestamp| {
        it.head.issued_at = at;
        it
    };
    next.commands = vec![
        sent(100, a(), add(5)),
        issued(sent(120, b(), add(2)), later),
        sent(101, b(), add(7)),
        issued(sent(121, b(), add(3)), later.plus(Duration::from_mins(2))),
    ];
    let mut fact = event(3, 7, 120, b(), added(2, 10));
    fact.1.occurred_at = later;
    next.events = vec![fact];
    next.outcomes = vec![outcomes(11, 13, 7, vec![world.entry(12, &next.commands[1], accepted(3, 7))])];
    (next.snapshots, next.dead_letters, next.committed) = (Vec::new(), Vec::new(), 15);
    world.write(&next);
    let (report, counts) = world.audit();
    assert_eq!((counts.events, counts.commands, counts.accepted, counts.beyond_retention), (7, 4, 1, 2));
    let [violation] = &report.violations[..] else { panic!("{:#?}", report.violations) };
    let id = b();
    let missing = |aggregate| Place::Record {
        topic: "test.tally.commands".to_owned(),
        partition: Partition(0),
        offset: Some(Offset(14)),
        aggregate,
    };
    assert_eq!((violation.rule, &violation.place), (Rule::Outcomes, &missing(Some(id))));
}
