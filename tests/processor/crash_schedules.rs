//! The command processor is stopped before and after every call it makes to the log, and its answers are
//! lost; it is started again, and what is in the log in the end is compared with a plain model: versions,
//! sequences, outcomes, states, hand-offs and replies.

use headwater::aggregate::processor::ProcessorSettings;
use headwater::clock::Clock;
use headwater::command::{CommandHead, ReplyTo};
use headwater::position::Version;
use headwater::testing::faults::{Call, Fault, Faults, Strike};
use uuid::Uuid;

use crate::model;
use crate::tally::{Add, Command, Pass};
use crate::world::{World, small};

/// A small generator (xorshift64*), so that a seed names a schedule.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

/// Commands of every kind: adds, hand-offs, refusals, expected versions, honest repeats and conflicts.
fn commands(seed: u64, count: usize) -> Vec<(String, CommandHead, Command)> {
    let mut random = Seeded(seed | 1);
    let mut all: Vec<(String, CommandHead, Command)> = Vec::new();
    for number in 0..count {
        let pick = random.below(10);
        if pick == 0 && !all.is_empty() {
            let index = usize::try_from(random.below(all.len() as u64)).expect("small");
            let (id, head, command) = all[index].clone();
            let command = if random.below(3) == 0 { Command::Add(Add { amount: 77 }) } else { command };
            all.push((id, head, command));
            continue;
        }
        let id = format!("t{}", random.below(6));
        let amount = i64::try_from(random.below(15)).expect("small");
        let command = if pick < 3 {
            Command::Pass(Pass { amount: amount + 1, to: format!("t{}", random.below(6)) })
        } else {
            Command::Add(Add { amount })
        };
        let head = CommandHead {
            id: Uuid::from_u128((u128::from(seed) << 64) + number as u128),
            issued_at: Clock::system().now(),
            expected_version: (random.below(8) == 0).then(|| Version(i64::try_from(random.below(5)).expect("small"))),
            causation_id: None,
            correlation_id: Uuid::from_u128(u128::from(seed)),
            reply_to: (random.below(4) != 0).then(|| ReplyTo {
                topic: "test.replies".to_owned(),
                partition: i32::try_from(random.below(2)).expect("small"),
                key: "k".to_owned(),
            }),
        };
        all.push((id, head, command));
    }
    all
}

/// One schedule: faults in several lives of the process, then a life without.
fn survives(seed: u64, count: usize, settings: ProcessorSettings, lives: Vec<Vec<Strike>>) -> Result<(), String> {
    survives_in(&World::new(3, settings), seed, count, lives)
}

fn survives_in(world: &World, seed: u64, count: usize, lives: Vec<Vec<Strike>>) -> Result<(), String> {
    let commands = commands(seed, count);
    let (first, second) = commands.split_at(count / 2);
    world.send(first);
    for (index, strikes) in lives.into_iter().enumerate() {
        let faults = Faults::new(strikes);
        if index == 0 {
            world.send(second);
        }
        world.run(&faults);
    }
    world.run(&Faults::default());
    world.audit()?;
    model::check(&*world.log, &world.topology, &world.codecs, commands.len())
}

#[test]
fn without_faults_the_log_is_as_the_model_says() {
    for seed in 1..5 {
        survives(seed, 60, small(), vec![vec![]]).expect("as the model says");
    }
}

#[test]
fn the_model_catches_a_missing_command() {
    let world = World::new(3, small());
    let commands = commands(3, 20);
    world.send(&commands);
    world.run(&Faults::default());
    model::check(&*world.log, &world.topology, &world.codecs, 20).expect("as the model says");
    world.send(&commands[..1]);
    let error = model::check(&*world.log, &world.topology, &world.codecs, 21).expect_err("one is not answered");
    assert!(error.contains("replies") || error.contains("outcomes"), "{error}");
}

#[test]
fn stopped_before_and_after_every_call_nothing_is_lost_or_done_twice() {
    const CALLS: [Call; 14] = [
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
        Call::Revoked,
    ];
    let counting = Faults::default();
    let world = World::new(3, small());
    world.send(&commands(9, 30));
    world.run(&counting);
    let counts = counting.counts();
    for call in CALLS {
        let count = counts.get(&call).copied().unwrap_or(0);
        for number in spread(count) {
            for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer] {
                let strike = Strike { call, number, fault };
                survives(9, 30, small(), vec![vec![strike]]).unwrap_or_else(|error| panic!("{strike:?}: {error}"));
            }
        }
    }
}

/// All of a few, and some of many.
fn spread(count: u32) -> Vec<u32> {
    const MOST: u32 = 6;
    if count <= MOST {
        (1..=count).collect()
    } else {
        (0..MOST).map(|index| 1 + index * (count - 1) / (MOST - 1)).collect()
    }
}

fn some_strikes(random: &mut Seeded) -> Vec<Vec<Strike>> {
    let calls = [Call::Begin, Call::Send, Call::SendOffsets, Call::Commit, Call::Commit, Call::Read, Call::Fence];
    let faults = [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer];
    let mut strike = || {
        let call = calls[usize::try_from(random.below(calls.len() as u64)).expect("small")];
        let most = if call == Call::Send { 80 } else { 10 };
        let number = 1 + u32::try_from(random.below(most)).expect("small");
        Strike { call, number, fault: faults[usize::try_from(random.below(4)).expect("small")] }
    };
    (0..4).map(|_| vec![strike(), strike()]).collect()
}

#[test]
fn seeded_schedules_of_several_lives_end_as_the_model_says() {
    for seed in 100..130 {
        let lives = some_strikes(&mut Seeded(seed));
        let lanes = 1 + usize::try_from(seed % 2).expect("small");
        let settings = ProcessorSettings { lanes, ..small() };
        survives(seed, 120, settings, lives.clone()).unwrap_or_else(|error| panic!("seed {seed}, {lives:?}: {error}"));
    }
}

/// A store that is written after every batch, or only when a process leaves, so that it is stale after a crash;
/// and fewer aggregates in memory than there are.
#[test]
fn with_a_local_store_seeded_schedules_end_as_the_model_says() {
    for seed in 200..210 {
        let lives = some_strikes(&mut Seeded(seed));
        let lanes = 1 + usize::try_from(seed % 2).expect("small");
        let store_seconds = if seed % 3 == 0 { 3600 } else { 0 };
        let cache_aggregates = usize::try_from(seed % 5).expect("small");
        let settings = ProcessorSettings { lanes, store_seconds, cache_aggregates, ..small() };
        let world = World::with_store(3, settings);
        survives_in(&world, seed, 120, lives.clone()).unwrap_or_else(|error| panic!("seed {seed}, {lives:?}: {error}"));
    }
}
