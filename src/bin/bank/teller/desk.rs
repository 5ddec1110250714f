//! The teller at work: carries orders out, one after the other, and says what came of them.
//!
//! Whatever was done here is seen here: each question waits until the views have reached the last positions
//! that were told.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater::clock;
use headwater::position::{Partition, Position};
use serde_json::{Value, json};

use super::counter::{Counter, CounterError, Slip, Verdict};
use super::known::Known;
use super::order::{Order, WORDINGS};
use super::shown::{self, Shown};
use crate::registry::RegistryId;
use crate::values::{AccountId, Amount, Name, TransactionId};

/// How long a first deposit is waited for.
const OPENS_WITHIN: Duration = Duration::from_secs(5);
const OPENING_PAUSE: Duration = Duration::from_millis(20);

/// The teller, and the customer before it.
pub struct Desk {
    counter: Counter,
    selected: Option<AccountId>,
    /// Where each partition stood after the last that was done there.
    seen: BTreeMap<(String, Partition), Position>,
    known: Known,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// No account is selected.
    #[error("no account is selected; `select 000001` or `create NAME` first")]
    NoneSelected,
    /// There is no such account.
    #[error("there is no account {0}")]
    NoAccount(AccountId),
    /// The bank said no.
    #[error("refused: {message} ({code})")]
    Refused {
        /// Its code.
        code: String,
        /// Why.
        message: String,
    },
    /// It has no answer.
    #[error(transparent)]
    Counter(#[from] CounterError),
}

type Answer = Result<Shown, DeskError>;

impl Desk {
    /// A teller who knows nothing yet.
    pub fn new(counter: Counter, known: Known) -> Self {
        Self { counter, selected: None, seen: BTreeMap::new(), known }
    }

    /// The account that is spoken of.
    pub const fn selected(&self) -> Option<AccountId> {
        self.selected
    }

    /// Leaves.
    pub async fn leave(self) {
        self.counter.leave().await;
    }

    /// Carries an order out.
    pub async fn carry_out(&mut self, order: Order) -> Answer {
        match order {
            Order::Create { name, deposit } => self.create(&name, deposit).await,
            Order::Select(account) => self.select(account).await,
            Order::Deposit(amount) => self.tell("DepositFunds", json!({ "amount": amount.to_string() })).await,
            Order::Withdraw(amount) => self.tell("WithdrawFunds", json!({ "amount": amount.to_string() })).await,
            Order::Send { amount, to, transaction } => {
                self.begin("Transfer", ("funded_account", to), amount, transaction).await
            }
            Order::Request { amount, from, transaction } => {
                self.begin("Request", ("funding_account", from), amount, transaction).await
            }
            Order::Requests => Ok(Shown::requests(&self.summary().await?)),
            Order::Accept { from, transaction } => self.decide("AcceptRequest", from, &transaction).await,
            Order::Reject { from, transaction } => self.decide("RejectRequest", from, &transaction).await,
            Order::Forgive => self.tell("ForgiveDebt", json!({})).await,
            Order::Delete => self.delete().await,
            Order::Balance => Ok(Shown::balance(self.summary().await?)),
            Order::Ledger => self.ledger().await,
            Order::Accounts => self.accounts().await,
            Order::Stats => {
                let stats = self.ask("BankStats", &[]).await?.unwrap_or_default();
                Ok(Shown::pairs(stats))
            }
            Order::Help => Ok(Shown::help(&WORDINGS)),
            Order::Quit => Ok(Shown::nothing()),
        }
    }

    /// The reply tells where the registry stood; the account itself opens a moment later, and until then the
    /// view knows only its name. So a deposit is waited for.
    async fn create(&mut self, name: &Name, deposit: Option<Amount>) -> Answer {
        let data = json!({ "name": name, "initial_deposit": deposit.map(|amount| amount.to_string()) });
        let slip = Slip { aggregate: "account_registry", id: RegistryId.to_string(), command: "CreateAccount", data };
        let account = self.hand_in(slip).await?;
        let account = account.as_str().and_then(|text| text.parse().ok());
        let unreadable = || CounterError::Failed("the reply tells no account number".to_owned());
        self.selected = Some(account.ok_or_else(unreadable)?);
        let began = clock::instant();
        let mut summary = self.summary().await?;
        while deposit.is_some() && summary["balance"] == "0.00" && began.elapsed() < OPENS_WITHIN {
            clock::sleep(OPENING_PAUSE).await;
            summary = self.summary().await?;
        }
        Ok(Shown::balance(summary))
    }

    async fn select(&mut self, account: AccountId) -> Answer {
        let before = self.selected.replace(account);
        let summary = self.summary().await;
        if summary.is_err() {
            self.selected = before;
        }
        Ok(Shown::balance(summary?))
    }

    async fn delete(&mut self) -> Answer {
        let account = self.account()?;
        self.send(account, "DeleteAccount", json!({})).await?;
        self.known.forget(account);
        self.selected = None;
        Ok(Shown::done(format!("account {account} is deleted"), json!({ "deleted": account })))
    }

    /// A command to the selected account; then its balance.
    async fn tell(&mut self, command: &'static str, data: Value) -> Answer {
        let account = self.account()?;
        self.send(account, command, data).await?;
        Ok(Shown::balance(self.summary().await?))
    }

    async fn begin(
        &mut self,
        command: &'static str,
        (side, other): (&str, AccountId),
        amount: Amount,
        transaction: Option<TransactionId>,
    ) -> Answer {
        let transaction = transaction.map_or_else(|| format!("{:012x}", clock::random() >> 16), |it| it.to_string());
        let account = self.account()?;
        let data = json!({ "transaction_id": transaction, side: other, "amount": amount.to_string() });
        self.send(account, command, data).await?;
        self.known.account(other);
        Ok(Shown::begun(&transaction, self.summary().await?))
    }

    async fn decide(&mut self, command: &'static str, from: AccountId, transaction: &TransactionId) -> Answer {
        self.tell(command, json!({ "transaction_id": transaction, "funded_account": from })).await
    }

    async fn ledger(&mut self) -> Answer {
        let account = self.account()?;
        let page = self.ask("AccountLedger", &[("account_id", account.to_string())]).await?;
        Ok(Shown::ledger(&page.ok_or(DeskError::NoAccount(account))?))
    }

    async fn accounts(&mut self) -> Answer {
        let page = self.ask("AccountsList", &[]).await?.unwrap_or_default();
        for account in shown::accounts_of(&page) {
            self.known.account(account);
        }
        Ok(Shown::accounts(&page))
    }

    /// The selected account as the view has it.
    async fn summary(&mut self) -> Result<Value, DeskError> {
        let account = self.account()?;
        let summary = self.ask("AccountSummary", &[("account_id", account.to_string())]).await?;
        let summary = summary.ok_or(DeskError::NoAccount(account))?;
        self.known.account(account);
        self.known.requests(&summary["requests"]);
        Ok(summary)
    }

    fn account(&self) -> Result<AccountId, DeskError> {
        self.selected.ok_or(DeskError::NoneSelected)
    }

    async fn send(&mut self, account: AccountId, command: &'static str, data: Value) -> Result<Value, DeskError> {
        self.hand_in(Slip { aggregate: "account", id: account.to_string(), command, data }).await
    }

    /// The reply to a command that was accepted.
    async fn hand_in(&mut self, slip: Slip) -> Result<Value, DeskError> {
        match self.counter.hand_in(&slip).await? {
            Verdict::Accepted { data, position } => {
                if let Some(position) = position {
                    self.seen.insert((position.aggregate.clone(), position.partition), position);
                }
                Ok(data)
            }
            Verdict::Refused { code, message } => Err(DeskError::Refused { code, message }),
        }
    }

    async fn ask(&self, query: &str, fields: &[(&str, String)]) -> Result<Option<Value>, DeskError> {
        let at: Vec<Position> = self.seen.values().cloned().collect();
        Ok(self.counter.ask(query, fields, &at).await?)
    }
}
