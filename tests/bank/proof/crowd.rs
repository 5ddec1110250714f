//! Many clients at once, and the worker of the sagas, which is killed while they are served.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use headwater::clock;
use serde_json::{Value, json};

use super::client::{Client, Verdict};
use super::dice::Dice;
use crate::world::{Bank, Served};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A saga worker that does nothing for so long has nothing to do.
const IDLE: Duration = Duration::from_secs(20);

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub operations: u64,
    pub clients: u64,
    pub accounts: u64,
    pub kills: u64,
    pub seed: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// Commands that clients sent.
    pub operations: u64,
    pub accepted: u64,
    pub refused: u64,
    /// Sagas.
    pub begun: u64,
    /// Those of them that must take back, or tell that nothing comes of it.
    pub compensated: u64,
    pub kills: u64,
}

/// What all of them share.
#[derive(Default)]
struct Shared {
    operations: AtomicU64,
    kills: AtomicU64,
}

/// See the module.
pub struct Crowd<'a> {
    plan: Plan,
    bank: &'a Bank,
    client: Client,
    shared: Arc<Shared>,
}

impl<'a> Crowd<'a> {
    pub fn new(plan: &Plan, bank: &'a Bank, address: &str) -> Self {
        Self { plan: *plan, bank, client: Client::of(address), shared: Arc::default() }
    }

    /// Everybody comes, does what they want, and goes; with the worker of the sagas that was not killed.
    pub fn run(&self) -> (Told, Served) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            self.client.ready().await;
            let mut customers: Vec<_> = (0..self.plan.clients).map(|number| self.customer(number)).collect();
            self.open_accounts(&mut customers).await;
            let at_work = customers.into_iter().map(|customer| tokio::spawn(customer.live()));
            let (told, sagas) = tokio::join!(join_all(at_work), self.kill());
            let told = told.into_iter().map(|told| told.expect("a client came to its end"));
            let kills = self.shared.kills.load(Ordering::SeqCst);
            (Told { kills, ..told.fold(Told::default(), Told::and) }, sagas)
        })
    }

    fn customer(&self, number: u64) -> Customer {
        let dice = Dice(self.plan.seed.wrapping_mul(1_000_003).wrapping_add(number));
        let (plan, client, shared) = (self.plan, self.client.clone(), self.shared.clone());
        let (live, left, asked, told) = (Vec::new(), Vec::new(), Vec::new(), Told::default());
        Customer { plan, number, client, shared, dice, live, left, asked, told, begun: 0 }
    }

    /// Every tenth account is of one who asks for money and leaves.
    async fn open_accounts(&self, customers: &mut [Customer]) {
        let share = self.plan.accounts / self.plan.clients + 1;
        let opened = join_all(customers.iter_mut().map(|customer| customer.open(share))).await;
        let all: Vec<String> =
            opened.into_iter().flatten().take(usize::try_from(self.plan.accounts).unwrap_or(usize::MAX)).collect();
        let (left, live): (Vec<_>, Vec<_>) = all.iter().cloned().enumerate().partition(|(place, _)| place % 10 == 0);
        let (left, live): (Vec<_>, Vec<_>) =
            (left.into_iter().map(|it| it.1).collect(), live.into_iter().map(|it| it.1).collect());
        for customer in customers.iter_mut() {
            (customer.live, customer.left) = (live.clone(), left.clone());
        }
        let clients = customers.len();
        join_all(customers.iter_mut().enumerate().map(|(number, customer)| {
            let mine: Vec<_> = left.iter().skip(number).step_by(clients).cloned().collect();
            customer.leave(mine)
        }))
        .await;
    }

    /// Kills the worker of the sagas in the middle of its work, again and again; not the last one.
    async fn kill(&self) -> Served {
        const SAGAS: [&str; 3] = ["run", "--role", "sagas"];
        let mut dice = Dice(self.plan.seed);
        while self.shared.kills.load(Ordering::SeqCst) < self.plan.kills {
            let worker = self.bank.serve(&SAGAS);
            busy(&worker, 1 + dice.roll(30)).await;
            worker.kill();
            self.shared.kills.fetch_add(1, Ordering::SeqCst);
        }
        self.bank.serve(&SAGAS)
    }
}

/// Comes back once a worker has taken so much in, or has had nothing to do for long.
async fn busy(worker: &Served, inputs: u64) {
    let asked = Client::of(worker.address());
    let began = clock::instant();
    loop {
        let metrics = asked.get("/metrics").await.unwrap_or_default();
        let taken = metrics.lines().filter(|line| line.starts_with("headwater_saga_inputs_total"));
        let taken: f64 = taken.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum();
        #[expect(clippy::cast_precision_loss, reason = "small")]
        if taken >= inputs as f64 || began.elapsed() > IDLE {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A request that was made and is to be answered.
struct Asked {
    by: String,
    of: String,
    transaction: String,
    /// Whether it cannot be paid, or not be credited.
    in_vain: bool,
}

/// One client with what it knows.
struct Customer {
    plan: Plan,
    number: u64,
    client: Client,
    shared: Arc<Shared>,
    dice: Dice,
    live: Vec<String>,
    left: Vec<String>,
    asked: Vec<Asked>,
    told: Told,
    begun: u64,
}

impl Customer {
    /// Opens so many accounts.
    async fn open(&mut self, count: u64) -> Vec<String> {
        let mut opened = Vec::new();
        for _ in 0..count {
            let data = json!({ "name": "Somebody", "initial_deposit": "10000.00" });
            match self.client.tell("account_registry", "registry", "CreateAccount", &data).await {
                Verdict::Accepted(id) => opened.push(id.as_str().expect("an account's number").to_owned()),
                Verdict::Refused(code) => panic!("no account: {code}"),
            }
        }
        opened
    }

    /// These ask for money and leave.
    async fn leave(&mut self, accounts: Vec<String>) {
        for by in accounts {
            for _ in 0..2 {
                let of = self.pick();
                self.ask(by.clone(), of, "7.00", true).await;
            }
            assert!(self.tell(&by, "DeleteAccount", json!({})).await, "{by} left before");
        }
    }

    /// Does what it wants until all have done enough; then answers what is still asked.
    async fn live(mut self) -> Told {
        loop {
            let done = self.shared.operations.load(Ordering::SeqCst);
            if done >= self.plan.operations {
                break;
            }
            // Nobody runs ahead of the kills.
            let paced = (self.shared.kills.load(Ordering::SeqCst) + 1) * self.plan.operations / self.plan.kills.max(1);
            if done > paced {
                tokio::time::sleep(LOOK_EVERY).await;
            } else {
                self.want().await;
            }
        }
        while !self.asked.is_empty() {
            self.answer().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.told
    }

    async fn want(&mut self) {
        let (account, amount) = (self.pick(), format!("{}.{:02}", 1 + self.dice.roll(50), self.dice.roll(100)));
        match self.dice.roll(100) {
            0..20 => drop(self.tell(&account, "DepositFunds", json!({ "amount": amount })).await),
            20..35 => drop(self.tell(&account, "WithdrawFunds", json!({ "amount": amount })).await),
            35..65 => self.send(account, &amount).await,
            65..80 => {
                let of = self.pick();
                let in_vain = self.dice.roll(3) == 0;
                self.ask(account, of, if in_vain { "1000000.00" } else { &amount }, in_vain).await;
            }
            _ => self.answer().await,
        }
    }

    /// Half of it to one who has left.
    async fn send(&mut self, from: String, amount: &str) {
        let in_vain = self.dice.roll(2) == 0;
        let to = if in_vain { self.dice.pick(&self.left).to_owned() } else { self.pick() };
        let transaction = self.transaction();
        let data = json!({ "transaction_id": transaction, "funded_account": to, "amount": amount });
        if from != to && self.tell(&from, "Transfer", data).await {
            self.told.begun += 1;
            self.told.compensated += u64::from(in_vain);
        }
    }

    async fn ask(&mut self, by: String, of: String, amount: &str, in_vain: bool) {
        let transaction = self.transaction();
        let data = json!({ "transaction_id": transaction, "funding_account": of, "amount": amount });
        if by != of && self.tell(&by, "Request", data).await {
            self.told.begun += 1;
            self.asked.push(Asked { by, of, transaction, in_vain });
        }
    }

    /// One of the requests, if it has come to the one who is to pay.
    async fn answer(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let place = usize::try_from(self.dice.roll(self.asked.len() as u64)).unwrap_or(0);
        let asked = self.asked.swap_remove(place);
        let reject = self.dice.roll(4) == 0;
        let command = if reject { "RejectRequest" } else { "AcceptRequest" };
        let data = json!({ "transaction_id": asked.transaction, "funded_account": asked.by });
        if self.tell(&asked.of, command, data).await {
            self.told.compensated += u64::from(reject || asked.in_vain);
        } else {
            self.asked.push(asked);
        }
    }

    /// Whether it was accepted.
    async fn tell(&mut self, account: &str, command: &str, data: Value) -> bool {
        self.shared.operations.fetch_add(1, Ordering::SeqCst);
        self.told.operations += 1;
        match self.client.tell("account", account, command, &data).await {
            Verdict::Accepted(_) => {
                self.told.accepted += 1;
                true
            }
            Verdict::Refused(code) => {
                let expected = ["insufficient_funds", "unknown_transaction"].contains(&code.as_str());
                assert!(expected, "{command} {data} to {account}: {code}");
                self.told.refused += 1;
                false
            }
        }
    }

    fn pick(&mut self) -> String {
        self.dice.pick(&self.live).to_owned()
    }

    fn transaction(&mut self) -> String {
        self.begun += 1;
        format!("{}-{}", self.number, self.begun)
    }
}

impl Told {
    const fn and(self, other: Self) -> Self {
        Self {
            operations: self.operations + other.operations,
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
            begun: self.begun + other.begun,
            compensated: self.compensated + other.compensated,
            kills: self.kills + other.kills,
        }
    }
}
