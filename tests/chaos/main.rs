//! Chaos: real processes and real servers under a seeded load, while workers, the broker and PostgreSQL are killed
//! and paused. In the end the bank is held to every answer that it gave.
//!
//! A seed draws the same orders and the same faults; when they meet is the machine's.

#[path = "../gateway/bank.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod bank;
mod checker;
mod customers;
#[path = "../bank/proof/dice.rs"]
mod dice;
mod faults;
mod journal;
#[path = "../gateway/own_servers.rs"]
mod own_servers;
mod planted;
#[path = "../bank/servers.rs"]
mod servers;
#[path = "../journal/world.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use bank::{Bank, Worker};
use customers::{Customers, Office};
use dice::Dice;
use faults::{Bag, Crew, Fault};
use headwater::clock;
use own_servers::OwnServers;
use world::variable;

const ACCOUNTS: usize = 12;
const CUSTOMERS: u64 = 16;
/// After a fault that is waited for, so many orders must be acknowledged.
const SIGN_OF_LIFE: usize = 50;

/// Faults for so long, and at least one of each kind; then everything is looked at.
async fn chaos(servers: &OwnServers, kinds: &'static [Fault], time: Duration, seed: u64) {
    println!("seed {seed}, for {time:?}");
    let mut settings = servers.settings();
    // The checker sends the first order again at the end.
    let remember = time.as_secs() + 3_600;
    settings.push(variable("HEADWATER_PROCESSOR__REMEMBER_SECONDS", &remember.to_string()));
    let (bank, office) = (Bank::with(settings), Office::new());
    let mut crew = Crew::start(&bank, servers, &office).await;
    let accounts = open_accounts(crew.somebody(), ACCOUNTS).await;
    let mut customers = Customers::begin(&office, &accounts, CUSTOMERS, seed);
    office.acknowledges(SIGN_OF_LIFE).await;

    let (mut dice, mut bag, mut struck) = (Dice(seed), Bag::new(kinds), BTreeMap::<_, usize>::new());
    let began = clock::instant();
    while began.elapsed() < time || struck.is_empty() || !bag.is_empty() {
        let fault = bag.draw(&mut dice);
        println!("{:>6.1} s {fault:?}", began.elapsed().as_secs_f64());
        crew.strike(fault, &mut dice).await;
        *struck.entry(fault).or_default() += 1;
        crew.replace_the_ended().await;
        customers.are_well();
        // Otherwise the next fault meets what this one left behind.
        if dice.roll(2) == 0 {
            office.acknowledges(SIGN_OF_LIFE).await;
        }
    }
    println!("{:>6.1} s no more faults", began.elapsed().as_secs_f64());
    office.acknowledges(SIGN_OF_LIFE).await;
    crew.replace_the_ended().await;
    let (answers, journal) = (office.answers(), customers.finish().await);
    let unknown = journal.iter().filter(|entry| entry.answer.is_none()).count();
    println!("{} orders: {} acknowledged, {unknown} given up", journal.len(), journal.len() - unknown);
    println!("answers by status, 0 for none: {answers:?}");
    println!("faults: {struck:?}; workers that ended by themselves: {}", crew.ended_alone);
    let violations = checker::violations(&bank, &office, &accounts, &journal).await;
    println!("checked after {:.1} s: {} violations", began.elapsed().as_secs_f64(), violations.len());
    assert!(violations.is_empty(), "seed {seed}:\n{}", violations.join("\n"));
}

async fn open_accounts(worker: &Worker, count: usize) -> Vec<String> {
    let mut accounts = Vec::new();
    for _ in 0..count {
        accounts.push(worker.open_account().await);
    }
    accounts
}

/// The number that a variable of the environment has.
fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|error| panic!("{name}={value}: {error}")))
}

/// Without the broker's end: after it a transaction was seen that nobody ended, and partitions that wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_done_twice() {
    let Some(servers) = OwnServers::if_there_are_servers() else { return };
    chaos(&servers, Fault::OF_WORKERS_AND_VIEWS, Duration::ZERO, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes, as deploy/dev chaos --minutes says"]
async fn for_as_long_as_is_asked() {
    let time = Duration::from_mins(number("HEADWATER_CHAOS_MINUTES").unwrap_or(5));
    chaos(&OwnServers::start(), Fault::EVERY, time, number("HEADWATER_CHAOS_SEED").unwrap_or(1)).await;
}
