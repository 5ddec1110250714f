//! The bank on the engine itself, in the simulator: whatever becomes of its workers, every command is judged
//! once, every saga does each of its steps once, the view of the accounts is what their events make it, and
//! money is conserved at every prefix of the log.

use headwater::clock::Seeded;
use headwater::testing::simulation::Simulation;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::account::fixtures::name;
use crate::account::properties::{accounts, wishes};
use crate::account::{Account, AccountCommand, OpenAccount};
use crate::conservation::Conservation;
use crate::projections::Accounts;
use crate::registry::AccountRegistry;
use crate::sagas::{Request, Transfer};

/// What a customer wishes for, or the account it takes.
fn wish(random: &mut Seeded) -> (String, AccountCommand) {
    let seed: Vec<u8> = (0..4).flat_map(|_| random.draw().to_le_bytes()).collect();
    let dice = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), dice);
    let (account, wish) = (accounts(), wishes()).new_tree(&mut runner).expect("a wish").current();
    let opens = || OpenAccount { name: name(), initial_deposit: None }.into();
    (account.to_string(), if random.once_in(6) { opens() } else { wish })
}

#[test]
fn whatever_becomes_of_the_workers_money_is_conserved() {
    let bank = Simulation::new("bank")
        .aggregate::<Account>()
        .aggregate::<AccountRegistry>()
        .saga::<Transfer>()
        .saga::<Request>()
        .projection(Accounts)
        .invariant::<Conservation>()
        .commands::<Account>(wish);
    let summary = bank.run(0..40).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(summary.events > 0, "{summary:?}");
}
