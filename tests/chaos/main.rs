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
mod proxy;
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
use proxy::Proxy;
use world::variable;

const ACCOUNTS: usize = 12;
const CUSTOMERS: u64 = 16;

/// Which faults there are, and when it is enough.
struct Plan {
    kinds: Vec<Fault>,
    time: Duration,
    /// Of each kind at least.
    count: usize,
    /// Acknowledged at least.
    orders: usize,
    seed: u64,
    /// What is wrong with the workers on purpose.
    planted: Option<&'static str>,
}

/// Faults as planned; then everything is looked at. What does not hold.
async fn chaos(servers: &OwnServers, plan: Plan) -> Vec<String> {
    let Plan { kinds, time, count, orders, seed, .. } = &plan;
    println!("seed {seed}: {kinds:?}, each {count} times; for {time:?}; {orders} orders");
    let [front, behind] = servers.proxy_ports();
    let proxy = Proxy::start(front, behind, *seed).await;
    let (bank, office) = (Bank::with(plan.settings(servers)), Office::new());
    let mut crew = Crew::start(&bank, servers, &office, &proxy).await;
    let accounts = open_accounts(crew.somebody(), ACCOUNTS).await;
    let customers = Customers::begin(&office, &accounts, CUSTOMERS, *seed);
    let began = clock::instant();
    let mut found = Vec::new();
    match plan.strike(&mut crew, &office).await {
        Ok(struck) => println!("faults: {struck:?}; workers that ended by themselves: {}", crew.ended_alone),
        Err(silence) => found.push(silence),
    }
    println!("{:>6.1} s no more faults", began.elapsed().as_secs_f64());
    let (answers, journal) = (office.answers(), customers.finish().await);
    let unknown = journal.iter().filter(|entry| entry.answer.is_none()).count();
    println!("{} orders: {} acknowledged, {unknown} given up", journal.len(), journal.len() - unknown);
    println!("answers by status, 0 for none: {answers:?}");
    println!("requests: {:?}; answers to late ends of transactions, by code: {:?}", proxy.counts(), proxy.late());
    found.extend(checker::violations(&bank, &office, &accounts, &journal).await);
    println!("checked after {:.1} s: {} violations", began.elapsed().as_secs_f64(), found.len());
    found
}

impl Plan {
    /// Of the bank: its workers come to the broker by the proxy.
    fn settings(&self, servers: &OwnServers) -> Vec<(String, String)> {
        let [front, _] = servers.proxy_ports();
        // The checker sends the first order again at the end.
        let remember = self.time.as_secs() + 3 * 3_600;
        let mut settings = servers.settings();
        settings.push(variable("HEADWATER_KAFKA__BOOTSTRAP_SERVERS", &format!("127.0.0.1:{front}")));
        settings.push(variable("HEADWATER_PROCESSOR__REMEMBER_SECONDS", &remember.to_string()));
        settings.extend(self.planted.map(|mutation| variable("PLANTED_MUTATION", mutation)));
        settings
    }

    /// How often each kind of fault struck; or that nothing was acknowledged any more, and after what.
    async fn strike(&self, crew: &mut Crew<'_>, office: &Office) -> Result<BTreeMap<Fault, usize>, String> {
        let (mut dice, mut bag) = (Dice(self.seed), Bag::new(self.kinds.clone()));
        let mut struck = BTreeMap::new();
        let began = clock::instant();
        crew.shows_life("the first order").await?;
        let is_due = |struck: &BTreeMap<_, _>| {
            self.kinds.iter().any(|kind| struck.get(kind).is_none_or(|times| *times < self.count))
        };
        while began.elapsed() < self.time || !bag.is_empty() || is_due(&struck) {
            let fault = bag.draw(&mut dice);
            println!("{:>6.1} s {fault:?}, {} acknowledged", began.elapsed().as_secs_f64(), office.acknowledged());
            crew.strike(fault, &mut dice).await;
            *struck.entry(fault).or_default() += 1;
            crew.replace_the_ended().await;
            // Otherwise the next fault meets what this one left behind.
            if dice.roll(2) == 0 {
                crew.shows_life(&format!("{struck:?}")).await?;
            }
            // The orders that are wanted are spread over the faults.
            let orders = self.orders * struck.values().sum::<usize>() / (self.count * self.kinds.len());
            while office.acknowledged() < orders.min(self.orders) {
                crew.shows_life(&format!("{struck:?}")).await?;
            }
        }
        crew.shows_life(&format!("{struck:?}")).await?;
        Ok(struck)
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_done_twice() {
    let Some(servers) = OwnServers::if_there_are_servers() else { return };
    let plan = Plan { kinds: Fault::brief(), time: Duration::ZERO, count: 1, orders: 0, seed: 1, planted: None };
    let found = chaos(&servers, plan).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes, as deploy/dev chaos says"]
async fn for_as_long_as_is_asked() {
    let size = |name| number(name).map(|it| usize::try_from(it).expect("not too large"));
    let count = size("HEADWATER_CHAOS_COUNT");
    let plan = Plan {
        kinds: std::env::var("HEADWATER_CHAOS_ONLY").map_or_else(|_| Fault::every(), |names| Fault::named(&names)),
        time: Duration::from_mins(number("HEADWATER_CHAOS_MINUTES").unwrap_or(if count.is_some() { 0 } else { 5 })),
        count: count.unwrap_or(1).max(1),
        orders: size("HEADWATER_CHAOS_ORDERS").unwrap_or(0),
        seed: number("HEADWATER_CHAOS_SEED").unwrap_or(1),
        planted: None,
    };
    let found = chaos(&OwnServers::start(), plan).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The end of a transaction that comes late ends the next one, unless its writer was replaced.
#[cfg(feature = "mutations")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn with_suspect_writers_kept_late_commits_are_found_out() {
    let (kinds, time) = (vec![Fault::CommitsLate], Duration::from_mins(2));
    let plan = Plan { kinds, time, count: 1, orders: 0, seed: 1, planted: Some("SuspectWriterKept") };
    let found = chaos(&OwnServers::start(), plan).await;
    println!("{}", found.join("\n"));
    assert!(!found.is_empty(), "a bank that keeps suspect writers passed");
}
