//! The faults: which there are, in which order a seed draws them, and how each is done.

use std::time::Duration;

use headwater::clock;
use rustix::process::Signal;
use tokio::task::block_in_place;

use super::bank::{Bank, PATIENCE, Worker, eventually};
use super::customers::Office;
use super::dice::Dice;
use super::own_servers::OwnServers;
use super::proxy::{Api, Mischief, Plot, Proxy};

/// After a fault that is waited for, so many orders must be acknowledged.
const SIGN_OF_LIFE: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// Workers between storms.
const CREW: usize = 2;
/// Longer than the session of a group's member, which is 15 s, so that others take over.
const PAUSED_AT_LEAST: Duration = Duration::from_secs(17);
/// For how long the broker is away.
const AWAY: Duration = Duration::from_mins(1);
/// For how long single requests are disturbed.
const PLAYED: Duration = Duration::from_secs(10);
/// What a worker may take beyond what it had before the broker was away.
const ROOM_MIB: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    WorkerKilled,
    WorkerPaused,
    RebalanceStorm,
    PostgresKilled,
    BrokerKilled,
    BrokerRestarted,
    BrokerAway,
    CommitsLate,
    OffsetsLate,
    RequestsDisturbed,
}

impl Fault {
    const EVERY: [Self; 10] = [
        Self::WorkerKilled,
        Self::WorkerPaused,
        Self::RebalanceStorm,
        Self::PostgresKilled,
        Self::BrokerKilled,
        Self::BrokerRestarted,
        Self::BrokerAway,
        Self::CommitsLate,
        Self::OffsetsLate,
        Self::RequestsDisturbed,
    ];

    pub fn every() -> Vec<Self> {
        Self::EVERY.to_vec()
    }

    /// Those that are over soon.
    pub fn brief() -> Vec<Self> {
        Self::EVERY.into_iter().filter(|it| !matches!(it, Self::BrokerAway | Self::BrokerRestarted)).collect()
    }

    /// What it is called on the command line.
    const fn name(self) -> &'static str {
        match self {
            Self::WorkerKilled => "worker-killed",
            Self::WorkerPaused => "worker-paused",
            Self::RebalanceStorm => "rebalance-storm",
            Self::PostgresKilled => "postgres-killed",
            Self::BrokerKilled => "broker-killed",
            Self::BrokerRestarted => "broker-restarted",
            Self::BrokerAway => "broker-away",
            Self::CommitsLate => "commits-late",
            Self::OffsetsLate => "offsets-late",
            Self::RequestsDisturbed => "requests-disturbed",
        }
    }

    /// What is done to single requests, if that is what it is.
    const fn plot(self) -> Option<Plot> {
        match self {
            // What is held keeps a transaction open in some partitions while it is already written to others.
            Self::CommitsLate => Some(&[(Api::EndTxn, &[Mischief::Late], 5), (Api::Produce, &[Mischief::Held], 5)]),
            Self::OffsetsLate => Some(&[(Api::TxnOffsetCommit, &[Mischief::Late], 5)]),
            Self::RequestsDisturbed => Some(&[
                (Api::Produce, Mischief::EVERY, 50),
                (Api::Fetch, Mischief::EVERY, 200),
                (Api::EndTxn, Mischief::EVERY, 50),
                (Api::TxnOffsetCommit, Mischief::EVERY, 50),
            ]),
            _ => None,
        }
    }

    /// Those of a list of names.
    pub fn named(names: &str) -> Vec<Self> {
        let of = |name| Self::EVERY.into_iter().find(|fault| fault.name() == name);
        let known = Self::EVERY.map(Self::name).join(", ");
        names.split(',').map(|name| of(name).unwrap_or_else(|| panic!("no fault is called {name}: {known}"))).collect()
    }
}

/// Draws faults: each kind comes once before any comes again, save that workers are killed thrice.
pub struct Bag {
    kinds: Vec<Fault>,
    left: Vec<Fault>,
}

impl Bag {
    pub const fn new(kinds: Vec<Fault>) -> Self {
        Self { kinds, left: Vec::new() }
    }

    pub fn draw(&mut self, dice: &mut Dice) -> Fault {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
            if self.kinds == Fault::every() || self.kinds == Fault::brief() {
                self.left.extend([Fault::WorkerKilled, Fault::WorkerKilled]);
            }
        }
        let place = below(dice, self.left.len());
        self.left.swap_remove(place)
    }

    /// Whether every kind has been drawn as often as it is due.
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }
}

/// Workers with all roles, each a gateway too, on servers of their own.
pub struct Crew<'a> {
    bank: &'a Bank,
    servers: &'a OwnServers,
    office: &'a Office,
    proxy: &'a Proxy,
    /// By the place that names their state: one that is started anew finds it.
    workers: [Option<Worker>; 4],
    /// How often a worker ended that nobody had killed.
    pub ended_alone: usize,
}

impl<'a> Crew<'a> {
    pub async fn start(bank: &'a Bank, servers: &'a OwnServers, office: &'a Office, proxy: &'a Proxy) -> Self {
        let mut crew = Self { bank, servers, office, proxy, workers: Default::default(), ended_alone: 0 };
        crew.grow_to(CREW).await;
        crew
    }

    /// One that works.
    pub fn somebody(&self) -> &Worker {
        self.workers.iter().flatten().next().expect("there is always one")
    }

    /// One fault from its begin to its end; what it left behind may still be under repair.
    pub async fn strike(&mut self, fault: Fault, dice: &mut Dice) {
        match fault {
            Fault::WorkerKilled => {
                let place = self.anybody(dice);
                self.workers[place].take().expect("it is there").kill();
                moments(dice, 3).await;
                self.launch(place).await;
            }
            Fault::WorkerPaused => {
                let place = self.anybody(dice);
                let worker = self.workers[place].as_ref().expect("it is there");
                worker.signal(Signal::STOP);
                tokio::time::sleep(PAUSED_AT_LEAST).await;
                moments(dice, 5).await;
                worker.signal(Signal::CONT);
            }
            Fault::RebalanceStorm => self.storm(dice).await,
            Fault::PostgresKilled => self.without("postgres", Signal::KILL, dice).await,
            Fault::BrokerKilled => self.without("kafka", Signal::KILL, dice).await,
            Fault::BrokerRestarted => self.without("kafka", Signal::TERM, dice).await,
            Fault::BrokerAway => self.broker_away().await,
            Fault::CommitsLate | Fault::OffsetsLate | Fault::RequestsDisturbed => {
                self.proxy.play(fault.plot());
                tokio::time::sleep(PLAYED).await;
                self.proxy.play(None);
            }
        }
    }

    /// From one worker to four, to two, whoever is still on the way.
    async fn storm(&mut self, dice: &mut Dice) {
        self.shrink_to(1, dice).await;
        moments(dice, 3).await;
        self.grow_to(self.workers.len()).await;
        moments(dice, 5).await;
        self.shrink_to(CREW, dice).await;
    }

    async fn without(&self, server: &str, by: Signal, dice: &mut Dice) {
        self.servers.end(server, by).await;
        moments(dice, 8).await;
        block_in_place(|| self.servers.up());
    }

    /// Nothing reaches it, and nothing comes from it.
    async fn broker_away(&self) {
        let before = self.memory_mib();
        self.proxy.cut(true);
        let (mut most, gone) = (before, clock::instant());
        while gone.elapsed() < AWAY {
            tokio::time::sleep(Duration::from_millis(500)).await;
            most = most.max(self.memory_mib());
        }
        self.proxy.cut(false);
        let back = clock::instant();
        let before_return = self.office.acknowledged();
        let is_back = async || (self.office.acknowledged() > before_return).then_some(());
        eventually("an order is acknowledged after the broker's return", is_back).await;
        let took = back.elapsed();
        println!("         answered {took:.1?} after the broker's return; memory {before} MiB before, {most} at most");
        assert!(
            most <= before + ROOM_MIB,
            "a worker's memory went from {before} MiB to {most} while the broker was away"
        );
    }

    /// Of the worker that has most.
    fn memory_mib(&self) -> u64 {
        self.workers.iter().flatten().map(Worker::memory_mib).max().expect("there is always one")
    }

    /// Waits until a good many orders are acknowledged.
    pub async fn shows_life(&mut self, after: &str) -> Result<(), String> {
        let (wanted, deadline) = (self.office.acknowledged() + SIGN_OF_LIFE, clock::instant() + PATIENCE);
        while self.office.acknowledged() < wanted {
            if clock::instant() >= deadline {
                return Err(format!("within {PATIENCE:?} next to nothing is acknowledged after {after}"));
            }
            self.replace_the_ended().await;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Puts another in the place of each that ended by itself.
    pub async fn replace_the_ended(&mut self) {
        for place in 0..self.workers.len() {
            let Some(said) = self.workers[place].as_mut().and_then(Worker::last_words) else { continue };
            self.tell_of_the_end(&said);
            self.workers[place] = None;
            self.launch(place).await;
        }
    }

    async fn grow_to(&mut self, count: usize) {
        for place in 0..self.workers.len() {
            if self.workers.iter().flatten().count() < count && self.workers[place].is_none() {
                self.launch(place).await;
            }
        }
    }

    /// Some leave in good order, some are killed.
    async fn shrink_to(&mut self, count: usize, dice: &mut Dice) {
        while self.workers.iter().flatten().count() > count {
            let place = self.anybody(dice);
            let worker = self.workers[place].take().expect("it is there");
            self.tell_where_to_ask();
            if dice.roll(2) == 0 {
                worker.kill();
            } else {
                worker.leave();
                let _ = worker.ended().await;
            }
        }
    }

    async fn launch(&mut self, place: usize) {
        let deadline = clock::instant() + PATIENCE;
        while self.workers[place].is_none() {
            match self.bank.try_to_launch(&format!("worker-{place}"), &[]).await {
                Ok(worker) => self.workers[place] = Some(worker),
                Err(said) => {
                    assert!(clock::instant() < deadline, "no worker can be started: {said}");
                    self.tell_of_the_end(&said);
                }
            }
        }
        self.tell_where_to_ask();
    }

    /// Of a worker that nobody has killed.
    fn tell_of_the_end(&mut self, said: &str) {
        self.ended_alone += 1;
        let lines: Vec<_> = said.lines().collect();
        println!("a worker ended by itself: {}", lines[lines.len().saturating_sub(5)..].join("\n  "));
    }

    fn tell_where_to_ask(&self) {
        self.office.go_to(self.workers.iter().flatten().map(|it| it.url.clone()).collect());
    }

    fn anybody(&self, dice: &mut Dice) -> usize {
        let taken: Vec<_> = (0..self.workers.len()).filter(|place| self.workers[*place].is_some()).collect();
        taken[below(dice, taken.len())]
    }
}

/// As long as the dice say, in tenths of a second, below so many seconds.
async fn moments(dice: &mut Dice, seconds: u64) {
    tokio::time::sleep(Duration::from_millis(100 * dice.roll(10 * seconds))).await;
}

fn below(dice: &mut Dice, count: usize) -> usize {
    usize::try_from(dice.roll(count as u64)).expect("below the count")
}
