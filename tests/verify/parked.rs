//! Faults with parked commands: each that is planted is found.

use headwater::command::{Control, Judged, Parked, ParkedChange, ParkedCommand, RetryParked, Skipped};
use headwater::position::Offset;
use headwater::verify::{Report, Rule};

use crate::story::{Sent, Story, World, a, accepted, add, added, b, event, noon, outcomes, sent};

fn record(story: &Sent, offset: i64, change: ParkedChange) -> (String, ParkedCommand) {
    (story.id.clone(), ParkedCommand { command_id: story.head.id, offset: Offset(offset), change })
}

/// Of tally `a` a command is parked, another waits behind it and comes twice, and both are released in one
/// batch with a third that was parked a moment before. Nothing is wrong with it.
fn parked_and_released(world: &World) -> Story {
    let retry = Control::RetryParked(RetryParked {});
    let commands = vec![
        sent(200, a(), add(5)),
        sent(201, b(), add(7)),
        sent(202, a(), add(3)),
        sent(202, a(), add(3)),
        sent(204, a(), add(2)),
        Sent { control: Some(retry), ..sent(205, a(), add(0)) },
        sent(206, a(), add(1)),
    ];
    let events = vec![
        event(1, 1, 201, b(), added(7, 7)),
        event(1, 2, 200, a(), added(5, 5)),
        event(2, 3, 202, a(), added(3, 8)),
        event(3, 4, 204, a(), added(2, 10)),
        event(4, 5, 206, a(), added(1, 11)),
    ];
    let entry = |offset: usize, outcome| world.entry(i64::try_from(offset).expect("few"), &commands[offset], outcome);
    let outcomes = vec![
        outcomes(0, 4, 1, vec![entry(1, accepted(1, 1))]),
        outcomes(
            4,
            6,
            4,
            vec![
                entry(0, accepted(1, 2)),
                entry(2, accepted(2, 3)),
                entry(4, accepted(3, 4)),
                entry(5, accepted(3, 4)),
            ],
        ),
        outcomes(6, 7, 5, vec![entry(6, accepted(4, 5))]),
    ];
    let parks = |offset: usize| {
        let value = world.encode(&commands[offset]);
        let parked = Parked { appended_at: noon(), reason: None, value, traceparent: None };
        record(&commands[offset], i64::try_from(offset).expect("few"), ParkedChange::Parked(parked))
    };
    let judges = |offset: usize| {
        let judged = ParkedChange::Judged(Judged { by: Offset(5) });
        record(&commands[offset], i64::try_from(offset).expect("few"), judged)
    };
    let parked = vec![parks(0), parks(2), parks(4), judges(0), judges(2), judges(4)];
    let (snapshots, dead_letters) = (Vec::new(), Vec::new());
    Story { commands, events, outcomes, snapshots, dead_letters, parked, committed: 7 }
}

fn audited(plant: impl FnOnce(&mut Story)) -> Report {
    let world = World::new();
    let mut story = parked_and_released(&world);
    plant(&mut story);
    world.write(&story);
    world.audit().0
}

#[track_caller]
fn finds(rule: Rule, place: &str, words: &str, plant: impl FnOnce(&mut Story)) {
    let report = audited(plant);
    let is_it = |it: &headwater::verify::Violation| {
        it.rule == rule && it.place.to_string().starts_with(place) && it.what.contains(words)
    };
    assert!(report.violations.iter().any(is_it) && !report.ok, "not found among {:#?}", report.violations);
}

#[test]
fn what_was_parked_and_released_in_order_is_no_fault() {
    let world = World::new();
    world.write(&parked_and_released(&world));
    let (report, counts) = world.audit();
    assert!(report.ok, "{:#?}", report.violations);
    assert_eq!((counts.commands, counts.accepted, counts.repeats, counts.parked), (7, 6, 1, 0));
}

#[test]
fn what_still_waits_is_counted_and_no_fault() {
    let world = World::new();
    let mut story = parked_and_released(&world);
    story.commands.truncate(5);
    story.events.truncate(1);
    story.outcomes.truncate(1);
    story.parked.truncate(3);
    story.committed = 5;
    world.write(&story);
    let (report, counts) = world.audit();
    assert!(report.ok, "{:#?}", report.violations);
    assert_eq!((counts.commands, counts.repeats, counts.parked), (5, 1, 3));
}

#[test]
fn a_parked_command_that_is_lost_is_found() {
    finds(Rule::Outcomes, "test.tally.commands/0 offset 4", "was judged and has no outcome", |story| {
        story.parked.retain(|(_, parked)| parked.offset != Offset(4));
        story.outcomes[1].entries.remove(2);
    });
}

#[test]
fn a_released_command_without_an_outcome_is_found() {
    finds(Rule::Outcomes, "test.tally.commands/0 offset 4", "has no outcome", |story| {
        story.outcomes[1].entries.remove(2);
    });
}

#[test]
fn a_parked_command_that_is_judged_twice_is_found() {
    finds(Rule::Outcomes, "test.tally.outcomes/0 offset 2", "judged twice", |story| {
        let again = story.outcomes[1].entries[1].clone();
        story.outcomes[2].entries.insert(0, again);
    });
    finds(Rule::Outcomes, "test.tally.parked/0 offset 6", "judged or given up already", |story| {
        let again = story.parked[4].clone();
        story.parked.push(again);
    });
}

#[test]
fn parked_commands_that_are_judged_out_of_order_are_found() {
    finds(Rule::Outcomes, "test.tally.commands/0 offset 2", "before the one at offset 0", |story| {
        story.outcomes[1].entries.swap(0, 1);
    });
}

#[test]
fn a_command_that_overtakes_a_parked_one_is_found() {
    finds(Rule::Outcomes, "test.tally.commands/0 offset 6", "parked before it", |story| {
        story.parked.truncate(5);
        story.outcomes[1].entries.remove(2);
    });
}

#[test]
fn a_parked_command_with_an_outcome_that_nobody_released_is_found() {
    finds(Rule::Outcomes, "test.tally.commands/0 offset 4", "has an outcome all the same", |story| {
        story.parked.truncate(5);
    });
}

#[test]
fn a_command_that_is_parked_twice_or_under_another_id_is_found() {
    finds(Rule::Outcomes, "test.tally.parked/0 offset 2", "parked already", |story| {
        let again = story.parked[1].clone();
        story.parked.insert(2, again);
    });
    finds(Rule::Agreement, "test.tally.parked/0 offset 1", "is parked where command", |story| {
        story.parked[1].1.command_id = story.commands[0].head.id;
    });
    finds(Rule::Agreement, "test.tally.parked/0 offset 6", "where there is none", |story| {
        let mut elsewhere = story.parked[1].clone();
        elsewhere.1.offset = Offset(6);
        story.committed = 8;
        story.commands.truncate(6);
        story.outcomes.truncate(2);
        story.events.truncate(4);
        story.parked.push(elsewhere);
    });
}

#[test]
fn a_given_up_command_may_stand_for_a_judged_one() {
    let report = audited(|story| {
        story.parked[3].1.change = ParkedChange::Skipped(Skipped { by: Offset(5) });
    });
    assert!(report.ok, "{:#?}", report.violations);
}
