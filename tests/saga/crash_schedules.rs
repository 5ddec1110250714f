//! The saga's router and processor are stopped before and after every call they make to the log, and their
//! answers are lost; they are started again, and in the end every saga has ended, each of its steps was done
//! once, and no money is lost or made.

use std::collections::BTreeMap;

use headwater::testing::faults::{Call, Fault, Faults, Strike};

use crate::purse::{Approve, Command, Event, Fill, Lock, Received, Send, Sent, TakenBack};
use crate::world::World;

const FILLED: i64 = 1_000_000;
/// How many sagas that begins.
pub const LOADED: usize = 16;

/// Sagas of every kind: accepted, refused and taken back, approved in time, and not.
pub fn load(world: &World) {
    world.send("locked", Lock {});
    for number in 0..LOADED {
        let from = format!("p{}", number % 4);
        if number < 4 {
            world.send(&from, Fill { amount: FILLED });
        }
        let number = i64::try_from(number).expect("small");
        let to = if number % 4 == 1 { "locked" } else { "open" };
        let patience = match number % 4 {
            2 => 60_000,
            3 => 40,
            _ => 0,
        };
        world.send(&from, Send { number, to: to.to_owned(), amount: 1000 + number, patience });
        if patience == 60_000 {
            world.send(&from, Approve { number });
        }
    }
}

/// Whether all went as it must, whatever happened on the way.
pub fn check(world: &World) -> Result<(), String> {
    let mut ends: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    let mut balance = 0;
    for (_, event) in world.events() {
        match event {
            Event::Filled(it) => balance += it.amount,
            Event::Sent(Sent { amount, .. }) => {
                balance -= amount;
                ends.entry(amount).or_default();
            }
            Event::Received(Received { amount }) => {
                balance += amount;
                ends.entry(amount).or_default().push("received");
            }
            Event::TakenBack(TakenBack { amount }) => {
                balance += amount;
                ends.entry(amount).or_default().push("taken back");
            }
            Event::Approved(_) | Event::Locked(_) | Event::Unlocked(_) => {}
        }
    }
    if balance != 4 * FILLED {
        return Err(format!("{balance} is left of {}", 4 * FILLED));
    }
    for (amount, how) in &ends {
        let expected = if matches!(amount % 4, 1 | 3) { "taken back" } else { "received" };
        if how != &[expected] {
            return Err(format!("{amount} is {how:?} instead of {expected} once"));
        }
    }
    let mut steps: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for (_, head, command) in world.issued() {
        let step = match command {
            Command::Receive(_) => "receive",
            Command::TakeBack(_) => "take back",
            other => return Err(format!("no saga issues {other:?}")),
        };
        *steps.entry((head.reply_to.expect("it waits").key, step)).or_default() += 1;
    }
    match steps.iter().find(|(_, count)| **count != 1) {
        Some((step, count)) => Err(format!("{step:?} was issued {count} times")),
        None => world.audit(),
    }
}

fn survives(lives: Vec<Vec<Strike>>) -> Result<(), String> {
    let world = World::new();
    load(&world);
    for strikes in lives {
        world.run(&Faults::new(strikes), LOADED);
    }
    world.run(&Faults::default(), LOADED);
    check(&world)
}

#[test]
fn without_faults_all_sagas_end_as_they_must() {
    survives(vec![]).expect("as they must");
}

#[test]
fn stopped_before_and_after_every_call_no_step_is_lost_or_done_twice() {
    const CALLS: [Call; 13] = [
        Call::OpenWriter,
        Call::Begin,
        Call::Send,
        Call::SendOffsets,
        Call::Commit,
        Call::Join,
        Call::PollRecords,
        Call::Assigned,
        Call::Resume,
        Call::Committed,
        Call::Fence,
        Call::Read,
        Call::Abort,
    ];
    let counting = Faults::default();
    let world = World::new();
    load(&world);
    world.run(&counting, LOADED);
    let counts = counting.counts();
    for call in CALLS {
        let count = counts.get(&call).copied().unwrap_or(0);
        for number in spread(count) {
            for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer] {
                let strike = Strike { call, number, fault };
                survives(vec![vec![strike]]).unwrap_or_else(|error| panic!("{strike:?}: {error}"));
            }
        }
    }
}

/// All of a few, and some of many.
fn spread(count: u32) -> Vec<u32> {
    const MOST: u32 = 4;
    if count <= MOST {
        (1..=count).collect()
    } else {
        (0..MOST).map(|index| 1 + index * (count - 1) / (MOST - 1)).collect()
    }
}

#[test]
fn killed_again_and_again_all_sagas_end_as_they_must() {
    for seed in 0..6_u32 {
        let strike = |life: u32, step: u32| {
            let call = [Call::Commit, Call::SendOffsets, Call::Send, Call::Begin][((seed + life + step) % 4) as usize];
            let fault = [Fault::CrashBefore, Fault::CrashAfter, Fault::LoseAnswer][((seed * 7 + life) % 3) as usize];
            Strike { call, number: 1 + (seed * 5 + life * 3 + step) % 9, fault }
        };
        let lives: Vec<Vec<Strike>> = (0..8).map(|life| vec![strike(life, 0), strike(life, 1)]).collect();
        survives(lives.clone()).unwrap_or_else(|error| panic!("seed {seed}, {lives:?}: {error}"));
    }
}
