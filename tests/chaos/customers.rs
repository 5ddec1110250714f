//! Customers who want something all the time, and ask any gateway, again and again, what became of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headwater::clock;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::bank::PATIENCE;
use super::dice::Dice;
use super::journal::{Answer, Entry, Order, What};

/// How long a gateway may be silent; one that is stopped always is.
const SILENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// Where customers ask, and what they count together.
pub struct Office {
    http: Client,
    gateways: Mutex<Vec<String>>,
    next: AtomicUsize,
    /// How often there was which answer, by status; 0 for none at all.
    answers: Mutex<BTreeMap<u16, usize>>,
    closed: watch::Sender<bool>,
    /// Whether some order had no answer for too long.
    is_silent: AtomicBool,
}

/// Customers at work.
pub struct Customers {
    tasks: JoinSet<Vec<Entry>>,
    office: Arc<Office>,
}

impl Office {
    pub fn new() -> Arc<Self> {
        let http = Client::builder().timeout(SILENCE).build().expect("a client");
        let (gateways, answers) = (Mutex::default(), Mutex::default());
        let closed = watch::Sender::new(false);
        Arc::new(Self { http, gateways, next: AtomicUsize::new(0), answers, closed, is_silent: AtomicBool::default() })
    }

    /// Where to ask from now on.
    pub fn go_to(&self, gateways: Vec<String>) {
        *self.gateways.lock().expect("not poisoned") = gateways;
    }

    /// How often there was which answer.
    pub fn answers(&self) -> BTreeMap<u16, usize> {
        self.answers.lock().expect("not poisoned").clone()
    }

    /// How often there was an answer.
    pub fn acknowledged(&self) -> usize {
        let answers = self.answers();
        [StatusCode::OK, StatusCode::UNPROCESSABLE_ENTITY].iter().filter_map(|it| answers.get(&it.as_u16())).sum()
    }

    /// Asks one gateway after the other until one knows; what the last one said if none does. After one order that
    /// nobody knew of, others are asked for once only.
    pub async fn ask_until_answered(&self, order: &Order, key: Uuid) -> Result<Answer, String> {
        let deadline = clock::instant() + PATIENCE;
        loop {
            match self.ask(order, key).await {
                Err(last) if clock::instant() >= deadline || self.is_silent.load(Ordering::Relaxed) => {
                    self.is_silent.store(true, Ordering::Relaxed);
                    return Err(format!("{key}, {order:?}: no answer, for up to {PATIENCE:?}: {last}"));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
                answered => return answered,
            }
        }
    }

    /// Asks the next gateway; what it said instead of an answer.
    async fn ask(&self, order: &Order, key: Uuid) -> Result<Answer, String> {
        let gateway = {
            let gateways = self.gateways.lock().expect("not poisoned");
            gateways[self.next.fetch_add(1, Ordering::Relaxed) % gateways.len()].clone()
        };
        let place = format!("{gateway}/account/{}/{}", order.account, order.command());
        let request = self.http.post(place).header("idempotency-key", key.to_string()).json(&order.fields(key));
        let told = match request.send().await {
            Ok(response) => {
                let status = response.status();
                response.json::<Value>().await.map(|told| (status, told))
            }
            Err(error) => Err(error),
        };
        let status = told.as_ref().map_or(0, |(status, _)| status.as_u16());
        *self.answers.lock().expect("not poisoned").entry(status).or_default() += 1;
        match told {
            Ok((StatusCode::OK, outcome)) => Ok(Answer::Accepted(outcome)),
            Ok((StatusCode::UNPROCESSABLE_ENTITY, problem)) => {
                Ok(Answer::Refused(problem["code"].as_str().expect("a code").to_owned()))
            }
            Ok((StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT, problem)) => Err(problem.to_string()),
            Ok((status, problem)) => panic!("{key}, {order:?}: {status}: {problem}"),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Customers {
    /// So many customers, who move money into, out of and between these accounts.
    pub fn begin(office: &Arc<Office>, accounts: &[String], count: u64, seed: u64) -> Self {
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (office, accounts) = (office.clone(), accounts.to_vec());
            let dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(number));
            tasks.spawn(async move { live(&office, &accounts, dice).await });
        }
        Self { tasks, office: office.clone() }
    }

    /// Waits until each knows what became of the order that is under way: their journal.
    pub async fn finish(self) -> Vec<Entry> {
        self.office.closed.send_replace(true);
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

/// One customer, until the office is closed. Some give up where the first answer does not come.
async fn live(office: &Office, accounts: &[String], mut dice: Dice) -> Vec<Entry> {
    let mut journal = Vec::new();
    while !*office.closed.borrow() {
        let (key, order) = (clock::new_id(), order(accounts, &mut dice));
        let answer = match office.ask(&order, key).await {
            Ok(answer) => Some(answer),
            Err(_) if dice.roll(5) == 0 => None,
            Err(_) => office.ask_until_answered(&order, key).await.ok(),
        };
        if answer.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
        journal.push(Entry { key, order, answer });
    }
    journal
}

/// Some of them more than the account has.
fn order(accounts: &[String], dice: &mut Dice) -> Order {
    let account = dice.pick(accounts).to_owned();
    let amount = i64::try_from(1 + dice.roll(10_000)).expect("small");
    let to = dice.pick(accounts);
    let what = match dice.roll(10) {
        0..3 if to != account => What::Transfer { to: to.to_owned(), amount },
        3..6 => What::Withdrawal(amount),
        _ => What::Deposit(amount),
    };
    Order { account, what }
}
