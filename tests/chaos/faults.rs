//! The faults: which there are, in which order a seed draws them, and how each is done.

use std::time::Duration;

use rustix::process::Signal;
use tokio::task::block_in_place;

use super::bank::{Bank, Worker};
use super::customers::Office;
use super::dice::Dice;
use super::own_servers::OwnServers;

/// Workers between storms.
const CREW: usize = 2;
/// Longer than the session of a group's member, which is 15 s, so that others take over.
const PAUSED_AT_LEAST: Duration = Duration::from_secs(17);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    WorkerKilled,
    WorkerPaused,
    RebalanceStorm,
    BrokerKilled,
    PostgresKilled,
}

impl Fault {
    pub const OF_WORKERS_AND_VIEWS: &[Self] =
        &[Self::WorkerKilled, Self::WorkerPaused, Self::RebalanceStorm, Self::PostgresKilled];
    pub const EVERY: &[Self] =
        &[Self::WorkerKilled, Self::WorkerPaused, Self::RebalanceStorm, Self::PostgresKilled, Self::BrokerKilled];
}

/// Draws faults: each kind comes once before any comes again, save that workers are killed thrice.
pub struct Bag {
    kinds: &'static [Fault],
    left: Vec<Fault>,
}

impl Bag {
    pub const fn new(kinds: &'static [Fault]) -> Self {
        Self { kinds, left: Vec::new() }
    }

    pub fn draw(&mut self, dice: &mut Dice) -> Fault {
        if self.left.is_empty() {
            self.left.extend_from_slice(self.kinds);
            self.left.extend([Fault::WorkerKilled, Fault::WorkerKilled]);
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
    /// By the place that names their state: one that is started anew finds it.
    workers: [Option<Worker>; 4],
    /// How often a worker ended that nobody had killed.
    pub ended_alone: usize,
}

impl<'a> Crew<'a> {
    pub async fn start(bank: &'a Bank, servers: &'a OwnServers, office: &'a Office) -> Self {
        let mut crew = Self { bank, servers, office, workers: Default::default(), ended_alone: 0 };
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
            Fault::BrokerKilled => self.without("kafka", dice).await,
            Fault::PostgresKilled => self.without("postgres", dice).await,
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

    async fn without(&self, server: &str, dice: &mut Dice) {
        self.servers.end(server, Signal::KILL).await;
        moments(dice, 8).await;
        block_in_place(|| self.servers.up());
    }

    /// Puts another in the place of each that ended by itself.
    pub async fn replace_the_ended(&mut self) {
        for place in 0..self.workers.len() {
            let Some(said) = self.workers[place].as_mut().and_then(Worker::last_words) else { continue };
            self.ended_alone += 1;
            let lines: Vec<_> = said.lines().collect();
            println!("a worker ended by itself: {}", lines[lines.len().saturating_sub(5)..].join("\n  "));
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
        self.workers[place] = None;
        self.workers[place] = Some(self.bank.launch(&format!("worker-{place}"), &[]).await);
        self.tell_where_to_ask();
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
