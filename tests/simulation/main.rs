//! The engine in the simulator: whatever a seed comes up with, what must hold does hold; and what a test
//! plants into the engine is found.

#[cfg(feature = "mutations")]
mod mutations;
#[path = "../saga/purse.rs"]
mod purse;
#[path = "../processor/tally.rs"]
#[expect(dead_code, reason = "some of it is for the processor's own tests")]
mod tally;
mod totals;

use headwater::clock::{self, Seeded};
use headwater::testing::simulation::Simulation;

use purse::{Approve, Delivery, Fill, Lock, Purse, Unlock};
use tally::{Add, Pass, Tally};
use totals::Totals;

/// More than the default takes: `HEADWATER_TEST_SEEDS=100000`.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let given = std::env::var("HEADWATER_TEST_SEEDS").ok();
    0..given.map_or(usual, |text| text.parse().expect("HEADWATER_TEST_SEEDS is a number"))
}

fn number(random: &mut Seeded, below: u64) -> i64 {
    i64::try_from(random.below(below)).expect("small")
}

/// A tally's commands of every kind: adds, hand-offs, refusals.
fn tallying(random: &mut Seeded) -> (String, tally::Command) {
    let mut id = || format!("t{}", random.below(8));
    let (id, to) = (id(), id());
    let amount = number(random, 15);
    let passes = random.once_in(3);
    (
        id,
        if passes {
            tally::Command::Pass(Pass { amount: amount + 1, to })
        } else {
            tally::Command::Add(Add { amount })
        },
    )
}

fn tallies() -> Simulation {
    Simulation::new("test").aggregate::<Tally>().commands::<Tally>(tallying)
}

fn views() -> Simulation {
    tallies().projection(Totals)
}

/// A purse's commands, most of which lead to a delivery: at once, after a while, or back.
fn spending(random: &mut Seeded) -> (String, purse::Command) {
    let mut id = || format!("p{}", random.below(5));
    let (id, to) = (id(), id());
    let command = match random.below(10) {
        0 | 1 => Fill { amount: 100 + number(random, 100) }.into(),
        2 => Lock {}.into(),
        3 | 4 => Unlock {}.into(),
        5 => Approve { number: number(random, 20) }.into(),
        kind => {
            let patience = if kind == 6 { number(random, 3_000) } else { 0 };
            purse::Send { number: number(random, 20), to, amount: 1 + number(random, 50), patience }.into()
        }
    };
    (id, command)
}

fn deliveries() -> Simulation {
    Simulation::new("test").aggregate::<Purse>().saga::<Delivery>().commands::<Purse>(spending)
}

fn hold(simulation: &Simulation, seeds: std::ops::Range<u64>) {
    let begun = clock::instant();
    let summary = simulation.run(seeds).unwrap_or_else(|failure| panic!("{failure}"));
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let each_minute = f64::from(u32::try_from(summary.schedules).expect("not so many")) / minutes;
    eprintln!("{each_minute:.0} schedules a minute: {summary:?}");
}

#[test]
fn whatever_happens_every_command_is_judged_once() {
    hold(&tallies(), seeds(200));
}

#[test]
fn whatever_happens_a_saga_does_every_step_once() {
    hold(&deliveries(), seeds(100));
}

#[test]
fn whatever_happens_a_view_is_the_fold_of_its_events() {
    hold(&views(), seeds(100));
}

#[test]
fn the_same_seed_gives_the_same_schedule() {
    for seed in 0..10 {
        assert_eq!(tallies().replay(seed), tallies().replay(seed));
        assert_eq!(deliveries().replay(seed), deliveries().replay(seed));
        assert_eq!(views().replay(seed), views().replay(seed));
    }
}
