//! Customers who pay in all the time, each payment under a key of its own, and who send one again until they
//! know what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use headwater::clock;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::bank::{Bank, PATIENCE, eventually};

/// How many payments are sent again at once.
const AT_ONCE: usize = 32;

/// Customers at work.
pub struct Customers {
    tasks: JoinSet<Vec<Payment>>,
    office: Arc<Office>,
}

/// A payment, and what was said of it when it was accepted.
struct Payment {
    account: String,
    key: Uuid,
    outcome: Value,
}

/// What customers share.
struct Office {
    http: Client,
    url: Mutex<String>,
    /// How often there was which answer, by status; 0 for none at all.
    answers: Mutex<BTreeMap<u16, usize>>,
    /// Whether a gateway may be gone without a word.
    may_crash: bool,
    closed: watch::Sender<bool>,
}

/// What became of an attempt.
enum Attempt {
    Accepted(Value),
    /// The same, and the connection is closed: this gateway is about to leave.
    Last(Value),
    /// Not known, or not now.
    Again,
}

impl Customers {
    /// So many customers of a gateway, who share out the accounts.
    pub fn begin(url: &str, accounts: &[String], count: usize, may_crash: bool) -> Self {
        let http = Client::builder().timeout(PATIENCE).build().expect("a client");
        let (url, closed) = (Mutex::new(url.to_owned()), watch::Sender::new(false));
        let office = Arc::new(Office { http, url, answers: Mutex::default(), may_crash, closed });
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (office, account) = (office.clone(), accounts[number % accounts.len()].clone());
            tasks.spawn(async move { office.pay_on(account).await });
        }
        Self { tasks, office }
    }

    /// Where to send from now on.
    pub fn go_to(&self, url: &str) {
        url.clone_into(&mut self.office.url.lock().expect("not poisoned"));
    }

    /// How often there was an answer of this status.
    pub fn answered(&self, status: u16) -> usize {
        self.office.answers.lock().expect("not poisoned").get(&status).copied().unwrap_or_default()
    }

    /// How often there was which answer.
    pub fn answers(&self) -> BTreeMap<u16, usize> {
        self.office.answers.lock().expect("not poisoned").clone()
    }

    /// Waits for so many more answers of this status.
    pub async fn have(&self, more: usize, status: u16) {
        let wanted = self.answered(status) + more;
        eventually("answers", async || (self.answered(status) >= wanted).then_some(())).await;
    }

    /// Waits until each has had its last answer: of payments that are begun, or because the gateway leaves.
    pub async fn finish(self) -> Payments {
        self.office.closed.send_replace(true);
        self.dismissed().await
    }

    /// Waits until the gateway has told each that it leaves.
    pub async fn dismissed(self) -> Payments {
        let payments = self.tasks.join_all().await.into_iter().flatten().collect();
        Payments { payments, office: self.office }
    }
}

impl Office {
    /// Pays until the office is closed, or the gateway says that it leaves.
    async fn pay_on(&self, account: String) -> Vec<Payment> {
        let mut payments = Vec::new();
        while !*self.closed.borrow() {
            let key = clock::new_id();
            let (outcome, is_last) = self.pay(&account, key).await;
            payments.push(Payment { account: account.clone(), key, outcome });
            if is_last {
                break;
            }
        }
        payments
    }

    /// Pays once, however often it has to be sent.
    async fn pay(&self, account: &str, key: Uuid) -> (Value, bool) {
        loop {
            match self.attempt(account, key).await {
                Attempt::Accepted(outcome) => return (outcome, false),
                Attempt::Last(outcome) => return (outcome, true),
                Attempt::Again => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    }

    fn request(&self, account: &str, key: Uuid) -> RequestBuilder {
        let url = self.url.lock().expect("not poisoned").clone();
        let request = self.http.post(format!("{url}/account/{account}/DepositFunds"));
        request.header("idempotency-key", key.to_string()).json(&json!({"amount": "0.01"}))
    }

    async fn attempt(&self, account: &str, key: Uuid) -> Attempt {
        let answer = match self.request(account, key).send().await {
            Ok(answer) => answer,
            Err(error) if self.may_crash && !error.is_timeout() => {
                self.count(0);
                return Attempt::Again;
            }
            Err(error) => panic!("a request failed: {error:?}"),
        };
        let (status, heads) = (answer.status(), answer.headers().clone());
        let text = match answer.text().await {
            Ok(text) => text,
            Err(error) if self.may_crash => {
                eprintln!("an answer was cut: {error}");
                return Attempt::Again;
            }
            Err(error) => panic!("an answer was cut: {error:?}"),
        };
        self.count(status.as_u16());
        match status {
            StatusCode::OK => {
                let outcome = serde_json::from_str(&text).expect("an outcome");
                let is_last = heads.get("connection").is_some_and(|it| it == "close");
                if is_last { Attempt::Last(outcome) } else { Attempt::Accepted(outcome) }
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(heads.contains_key("retry-after"), "{text}");
                Attempt::Again
            }
            StatusCode::GATEWAY_TIMEOUT => Attempt::Again,
            status => panic!("{status}: {text}"),
        }
    }

    fn count(&self, status: u16) {
        *self.answers.lock().expect("not poisoned").entry(status).or_default() += 1;
    }
}

/// Payments that were accepted.
pub struct Payments {
    payments: Vec<Payment>,
    office: Arc<Office>,
}

impl Payments {
    pub fn count(&self) -> usize {
        self.payments.len()
    }

    /// Holds the bank to what it said: each payment is there once, and whoever sends it again at this gateway
    /// has the first outcome.
    pub async fn are_kept(&self, bank: &Bank, url: &str) {
        url.clone_into(&mut self.office.url.lock().expect("not poisoned"));
        let again = futures::stream::iter(&self.payments).map(async |payment| {
            let (again, _) = self.office.pay(&payment.account, payment.key).await;
            assert_eq!(again, payment.outcome, "another outcome of {}", payment.key);
        });
        again.buffer_unordered(AT_ONCE).collect::<()>().await;
        let accounts: BTreeSet<_> = self.payments.iter().map(|it| &it.account).collect();
        for account in accounts {
            let of_account = self.payments.iter().filter(|it| it.account == *account);
            let versions = of_account.map(|it| it.outcome["version"].as_i64().expect("a version"));
            let versions: BTreeSet<_> = versions.collect();
            // The first two came with the account and what was paid in then.
            let last = bank.version(account);
            let first = versions.first().copied().unwrap_or_default();
            assert_eq!(versions, (first..=last).collect(), "payments into {account}");
            assert!(first <= 3, "{account} begins with {first}");
            let count = self.payments.iter().filter(|it| it.account == *account).count();
            assert_eq!(versions.len(), count, "two payments into {account} are one");
        }
    }
}
