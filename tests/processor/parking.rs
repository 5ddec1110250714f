//! A command that cannot be judged parks its aggregate: its later commands wait behind it in order, all
//! others flow, and once the code is corrected every one of them has its outcome, once.

use std::collections::BTreeMap;

use headwater::aggregate::processor::ProcessorSettings;
use headwater::command::{CommandHead, Control, Failure, Outcome, RetryParked, SkipParked};
use headwater::lane::PartitionState;
use headwater::testing::faults::{Call, Fault, Faults, Strike};
use headwater::topology::partition_of;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::tally::{Add, Command, UNFOLDABLE, UNLUCKY, set_mended};
use crate::world::{World, head, small};

const RETRY: Control = Control::RetryParked(RetryParked {});

fn add(amount: i64) -> Command {
    Command::Add(Add { amount })
}

fn skip(head: &CommandHead) -> Control {
    Control::SkipParked(SkipParked { command_id: head.id })
}

/// `accepted VERSION`, `refused CODE` or `failed CODE` of a command's only outcome; `none` without one.
fn outcome(world: &World, head: &CommandHead) -> String {
    match &world.outcomes(head.id)[..] {
        [] => "none".to_owned(),
        [(outcome, false)] => text(outcome),
        more => panic!("{more:?}"),
    }
}

fn text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted(it) => format!("accepted {}", it.version),
        Outcome::Refused(it) => format!("refused {}", it.code),
        Outcome::Failed(it) => format!("failed {}", it.code.as_str()),
    }
}

fn outcomes<const N: usize>(world: &World, heads: [&CommandHead; N]) -> [String; N] {
    heads.map(|head| outcome(world, head))
}

/// What a control command came to.
fn released(world: &World, control: &CommandHead) -> Value {
    match &world.replies(control.id)[..] {
        [Outcome::Accepted(accepted)] => {
            serde_json::from_str(accepted.data.as_deref().expect("data")).expect("JSON data")
        }
        other => panic!("{other:?}"),
    }
}

fn waiting(world: &World, id: &str) -> Vec<Uuid> {
    world.parked().get(id).map_or_else(Vec::new, |queue| queue.iter().map(|it| it.command_id).collect())
}

fn sound(world: &World) {
    world.audit().expect("a sound log");
}

#[test]
fn a_poison_command_parks_its_aggregate_alone_and_a_retry_judges_what_waited_in_order() {
    let world = World::new(1, small());
    let before = world.send_one("alone-a", add(1));
    let poison = world.send_one("alone-a", add(UNLUCKY));
    let other = world.send_one("alone-b", add(1));
    let behind: Vec<_> = (0..20).map(|_| world.send_one("alone-a", add(2))).collect();
    let last = world.send_one("alone-b", add(1));
    world.settle();
    assert_eq!(
        outcomes(&world, [&before, &poison, &other, &behind[0], &last]),
        ["accepted 1", "none", "accepted 1", "none", "accepted 2"]
    );
    let in_order: Vec<_> = std::iter::once(&poison).chain(&behind).map(|head| head.id).collect();
    assert_eq!(waiting(&world, "alone-a"), in_order);
    let reason = world.parked().get("alone-a").map(|queue| queue.reason.clone()).expect("parked");
    assert!(reason.contains("unlucky") && reason.contains("offset 1") && reason.contains("alone-a"), "{reason}");
    sound(&world);

    let in_vain = world.send_control("alone-a", &RETRY);
    world.settle();
    let data = released(&world, &in_vain);
    assert_eq!((&data["judged"], &data["parked"]), (&json!(0), &json!(21)));
    assert!(data["reason"].as_str().is_some_and(|reason| reason.contains("unlucky")), "{data}");
    assert_eq!(waiting(&world, "alone-a"), in_order);

    set_mended("alone-a", true);
    let retry = world.send_control("alone-a", &RETRY);
    let after = world.send_one("alone-a", add(1));
    world.settle();
    assert_eq!(released(&world, &retry), json!({"judged": 21, "skipped": 0, "parked": 0, "reason": null}));
    assert!(waiting(&world, "alone-a").is_empty());
    assert_eq!(outcome(&world, &poison), "accepted 2");
    for (head, version) in behind.iter().zip(3..) {
        assert_eq!(outcome(&world, head), format!("accepted {version}"));
        assert_eq!(world.replies(head.id).len(), 1);
    }
    assert_eq!(outcome(&world, &after), "accepted 23");
    sound(&world);
    let again = world.send_control("alone-a", &RETRY);
    world.settle();
    assert_eq!(outcome(&world, &again), "refused nothing_parked");
}

#[test]
fn a_skip_gives_the_first_up_with_an_outcome_that_says_so_and_judges_the_rest() {
    let world = World::new(1, small());
    let first = world.send_one("skip", add(UNLUCKY));
    let [second, third] = [world.send_one("skip", add(5)), world.send_one("skip", add(UNLUCKY))];
    let fourth = world.send_one("skip", add(7));
    let wrong = world.send_control("skip", &skip(&second));
    let skipping = world.send_control("skip", &skip(&first));
    world.settle();
    assert_eq!(outcome(&world, &wrong), "refused not_the_first");
    let data = released(&world, &skipping);
    assert_eq!((&data["skipped"], &data["judged"], &data["parked"]), (&json!(1), &json!(1), &json!(2)));
    assert_eq!(outcomes(&world, [&first, &second, &third, &fourth]), ["failed skipped", "accepted 1", "none", "none"]);
    sound(&world);
    world.send_control("skip", &skip(&third));
    world.settle();
    assert_eq!(outcomes(&world, [&third, &fourth]), ["failed skipped", "accepted 2"]);
    assert_eq!(world.replies(third.id).len(), 1);
    sound(&world);
}

#[test]
fn a_copy_of_a_parked_command_is_dropped_and_another_payload_is_a_conflict() {
    let world = World::new(1, small());
    let poison = world.send_one("copies", add(UNLUCKY));
    let behind = world.send_one("copies", add(3));
    world.send(&[("copies".to_owned(), behind.clone(), add(3)), ("copies".to_owned(), behind.clone(), add(4))]);
    world.settle();
    assert_eq!(waiting(&world, "copies"), [poison.id, behind.id]);
    let found = world.outcomes(behind.id);
    let [(Outcome::Failed(conflict), true)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(conflict.code, Failure::Conflict);
    sound(&world);
    set_mended("copies", true);
    world.send_control("copies", &RETRY);
    world.send(&[("copies".to_owned(), behind.clone(), add(3))]);
    world.settle();
    let replies: Vec<_> = world.replies(behind.id).iter().map(text).collect();
    assert_eq!(replies, ["failed conflict", "accepted 2", "accepted 2"]);
    sound(&world);
}

#[test]
fn a_takeover_keeps_what_waits_in_order_whatever_checkpoints_came_between() {
    let world = World::new(1, small());
    let poison = world.send_one("taken", add(UNLUCKY));
    let mut sent = vec![poison.id];
    for _ in 0..5 {
        // Each makes a checkpoint due, and is a life of its own.
        for number in 0..12 {
            world.send_one(&format!("other-{number}"), add(1));
        }
        sent.push(world.send_one("taken", add(1)).id);
        world.settle();
    }
    assert_eq!(waiting(&world, "taken"), sent);
    set_mended("taken", true);
    let retry = world.send_control("taken", &RETRY);
    world.settle();
    assert_eq!(released(&world, &retry)["judged"], json!(6));
    let versions: Vec<_> = sent.iter().map(|id| text(&world.outcomes(*id)[0].0)).collect();
    assert_eq!(versions, (1..=6).map(|version| format!("accepted {version}")).collect::<Vec<_>>());
    sound(&world);
}

#[test]
fn more_than_may_wait_stops_the_partition_which_says_so_and_goes_on_when_more_may() {
    let world = World::new(1, ProcessorSettings { parked_bytes: 2_000, ..small() });
    let heads: Vec<_> =
        std::iter::once(UNLUCKY).chain(1..10).map(|amount| world.send_one("full", add(amount))).collect();
    let state = world.run_until(|state| matches!(state, PartitionState::Stopped(_)));
    let PartitionState::Stopped(reason) = state else { unreachable!("it was picked") };
    assert!(reason.contains("parked_bytes") && reason.contains("unlucky") | reason.contains("parked"), "{reason}");
    set_mended("full", true);
    let retry = world.send_control("full", &RETRY);
    let world = World { settings: small(), ..world };
    world.settle();
    assert_eq!(released(&world, &retry)["parked"], json!(0));
    for (head, version) in heads.iter().zip(1..) {
        assert_eq!(outcome(&world, head), format!("accepted {version}"));
    }
    sound(&world);
}

#[test]
fn an_aggregate_whose_events_cannot_be_folded_any_more_is_parked_until_they_can() {
    let world = World::new(1, small());
    set_mended("fold", true);
    world.send_one("fold", add(UNFOLDABLE));
    world.settle();
    set_mended("fold", false);
    let parked = world.send_one("fold", add(1));
    let others: Vec<_> = (0..30).map(|number| world.send_one(&format!("fold-{number}"), add(1))).collect();
    world.settle();
    assert!(others.iter().all(|head| outcome(&world, head) == "accepted 1"));
    let reason = world.parked().get("fold").map(|queue| queue.reason.clone()).expect("parked");
    assert!(reason.contains("unfoldable") && reason.contains("version 1"), "{reason}");
    let in_vain = world.send_control("fold", &RETRY);
    world.settle();
    assert_eq!(released(&world, &in_vain)["parked"], json!(1));
    set_mended("fold", true);
    world.send_control("fold", &RETRY);
    world.settle();
    assert_eq!(outcome(&world, &parked), "accepted 2");
    sound(&world);
}

#[test]
fn a_retry_takes_what_fits_a_batch_and_says_what_is_left() {
    let world = World::new(1, ProcessorSettings { batch_bytes: 3_000, ..small() });
    let heads: Vec<_> =
        std::iter::once(UNLUCKY).chain([1; 30]).map(|amount| world.send_one("part", add(amount))).collect();
    world.settle();
    set_mended("part", true);
    let mut left = 31;
    while left > 0 {
        let retry = world.send_control("part", &RETRY);
        world.settle();
        let data = released(&world, &retry);
        let judged = data["judged"].as_i64().expect("a number");
        assert!(judged > 0 && judged < 31 && data["reason"].is_null(), "{data}");
        left -= judged;
        assert_eq!(data["parked"], json!(left));
    }
    for (head, version) in heads.iter().zip(1..) {
        assert_eq!(outcome(&world, head), format!("accepted {version}"));
    }
    sound(&world);
}

/// The commands of one schedule, for three aggregates that are parked and three that are not.
struct Schedule {
    world: World,
    run: String,
    sent: Vec<(String, CommandHead, i64)>,
}

impl Schedule {
    fn new(run: &str, lanes: usize) -> Self {
        let world = World::new(3, ProcessorSettings { lanes, ..small() });
        let mut schedule = Self { world, run: run.to_owned(), sent: Vec::new() };
        schedule.send(&[1, 2, UNLUCKY, 3, 4]);
        let id = schedule.id(5);
        schedule.world.write(schedule.world.command_record(&id, b"no Avro at all".as_slice()));
        schedule.send(&[5, 6]);
        schedule
    }

    fn id(&self, number: usize) -> String {
        format!("{}-{number}", self.run)
    }

    /// Each amount to all; those of an even number are not unlucky.
    fn send(&mut self, amounts: &[i64]) {
        for amount in amounts {
            for number in 0..6 {
                let amount = if number % 2 == 0 { amount.abs() } else { *amount };
                self.sent.push((self.id(number), head(), amount));
                let (id, head, amount) = self.sent.last().expect("it was just sent").clone();
                self.world.send(&[(id, head, add(amount))]);
            }
        }
    }

    /// The code is corrected for two of the parked; of the third the first is given up.
    fn release(&mut self) {
        for number in [1, 3] {
            set_mended(&self.id(number), true);
            self.world.send_control(&self.id(number), &RETRY);
        }
        let given_up = self.id(5);
        let (_, head, _) = self.sent.iter().find(|it| it.0 == given_up && it.2 == UNLUCKY).expect("it was sent");
        self.world.send_control(&given_up, &skip(head));
        self.send(&[1, 1]);
    }

    /// Every command has the outcome that its aggregate, judging one after the other, gives it.
    fn check(&self) -> Result<(), String> {
        self.world.audit()?;
        if self.world.parked().size().commands > 0 {
            return Err(format!("{:?} are still parked", self.world.parked().size()));
        }
        let letters = self.world.dead_letters().len();
        if letters != 1 {
            return Err(format!("{letters} dead letters instead of one"));
        }
        let mut versions: BTreeMap<&str, i64> = BTreeMap::new();
        for (id, head, amount) in &self.sent {
            let version = versions.entry(id).or_default();
            let expected = if *amount == UNLUCKY && *id == self.id(5) {
                "failed skipped".to_owned()
            } else {
                *version += 1;
                format!("accepted {version}")
            };
            let replies: Vec<_> = self.world.replies(head.id).iter().map(text).collect();
            let found = outcome(&self.world, head);
            if found != expected || replies != [expected.clone()] {
                return Err(format!("{id}, {amount}: {found}, replies {replies:?}, expected {expected}"));
            }
        }
        Ok(())
    }
}

/// Faults while aggregates are parked, and while they are released.
fn survives(run: &str, parking: Vec<Strike>, releasing: Vec<Strike>) -> Result<(), String> {
    let mut schedule = Schedule::new(run, 1);
    schedule.world.run(&Faults::new(parking));
    schedule.world.settle();
    schedule.release();
    schedule.world.run(&Faults::new(releasing));
    schedule.world.settle();
    schedule.check()
}

/// Faults at calls of every kind while aggregates are parked and while they are released: `each` of a kind in
/// both, or one of every third.
fn stopped_at_calls(each: u32) {
    const CALLS: [Call; 8] = [
        Call::Begin,
        Call::Send,
        Call::SendOffsets,
        Call::Commit,
        Call::Read,
        Call::Committed,
        Call::Fence,
        Call::Abort,
    ];
    survives(&format!("plain-{each}"), vec![], vec![]).expect("as the model says");
    let mut schedule = Schedule::new(&format!("counting-{each}"), 1);
    let (parking, releasing) = (Faults::default(), Faults::default());
    schedule.world.run(&parking);
    schedule.release();
    schedule.world.run(&releasing);
    let (mut turn, mut passed) = (0, 0);
    for call in CALLS {
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer] {
            for (phase, faults) in [&parking, &releasing].into_iter().enumerate() {
                passed += 1;
                if each == 1 && passed % 3 != 0 {
                    continue;
                }
                let count = faults.counts().get(&call).copied().unwrap_or(0);
                for _ in 0..each.min(count) {
                    let number = 1 + u32::try_from(turn * 7).expect("small") % count;
                    let strike = vec![Strike { call, number, fault }];
                    let strikes = if phase == 0 { (strike, vec![]) } else { (vec![], strike) };
                    let run = format!("{each}-{call:?}-{number}-{fault:?}-{phase}");
                    survives(&run, strikes.0, strikes.1).unwrap_or_else(|error| panic!("{run}: {error}"));
                    turn += 1;
                }
            }
        }
    }
}

#[test]
fn stopped_before_and_after_calls_what_is_parked_is_judged_once_and_in_order() {
    stopped_at_calls(1);
}

#[test]
#[ignore = "takes minutes: ten times as many"]
fn stopped_before_and_after_every_call_what_is_parked_is_judged_once_and_in_order() {
    stopped_at_calls(10);
}

#[test]
fn others_flow_past_a_poison_command_in_every_partition() {
    let world = World::new(3, small());
    let mut poison = BTreeMap::new();
    for number in 0.. {
        let id = format!("flow-{number}");
        poison.entry(partition_of(id.as_bytes(), 3)).or_insert(id);
        if poison.len() == 3 {
            break;
        }
    }
    let heads: Vec<_> = poison.values().map(|id| world.send_one(id, add(UNLUCKY))).collect();
    let others: Vec<_> = (0..300).map(|number| world.send_one(&format!("past-{}", number % 10), add(0))).collect();
    world.settle();
    assert!(others.iter().all(|head| outcome(&world, head) == "accepted 0"));
    assert!(heads.iter().all(|head| outcome(&world, head) == "none"));
    assert_eq!(world.parked().size().aggregates, 3);
    sound(&world);
}
