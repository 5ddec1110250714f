//! The account: one customer's money.
//!
//! Each file below holds one family of commands with the events that they lead to, and how both are
//! judged and folded. Every event that moves money says the balance it leads to, so that a reader needs
//! no other event to know it. No debit ever leads below the floor.

mod approval;
mod cash;
mod debt;
#[cfg(test)]
pub mod fixtures;
mod lifecycle;
mod movement;
#[cfg(test)]
pub mod properties;
mod refusal;
mod request;
#[cfg(test)]
mod table;
mod transactions;
mod transfer;

use headwater::{Aggregate, Context, Decision, EventContext, messages, state};
use serde::{Deserialize, Serialize};

pub use approval::{
    AcceptRequest, DebitRequest, GetRequestApproval, RejectRequest, RequestApproved, RequestDebitRolledBack,
    RequestDebited, RequestReceived, RequestRejected, RollbackRequestDebit,
};
pub use cash::{DepositFunds, FundsDeposited, FundsWithdrawn, WithdrawFunds};
pub use debt::{DebtForgiven, ForgiveDebt};
pub use lifecycle::{AccountCreated, AccountDeleted, DeleteAccount, OpenAccount};
pub use movement::{Movement, MovementKind};
pub use refusal::AccountRefusal;
pub use request::{
    CreditRequest, NotifyRequestRejected, Request, RequestCreated, RequestCredited, RequestRejectionReceived,
};
pub use transfer::{
    CreditTransfer, RollbackTransferDebit, Transfer, TransferCredited, TransferDebitRolledBack, TransferDebited,
};

use crate::values::{AccountId, Amount, Money};
use transactions::{ReceivedStage, SentStage, Transactions};

/// The lowest balance that a debit may lead to.
pub const FLOOR: Money = Money::from_minor(-10_000);

/// One customer's account. After its deletion the balance stays on the books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    standing: Standing,
    balance: Money,
    debts_forgiven: i32,
    transactions: Transactions,
}

/// Where an account is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Standing {
    #[default]
    Unopened,
    Open,
    Deleted,
}

state! { Account in "schemas/bank/account" }

messages! {
    /// What may be asked of an account.
    pub enum AccountCommand in "schemas/bank/account/commands" {
        internal OpenAccount,
        DepositFunds,
        WithdrawFunds,
        ForgiveDebt,
        DeleteAccount,
        Transfer,
        internal CreditTransfer,
        internal RollbackTransferDebit,
        Request,
        internal GetRequestApproval,
        AcceptRequest,
        RejectRequest,
        internal NotifyRequestRejected,
        internal DebitRequest,
        internal CreditRequest,
        internal RollbackRequestDebit,
    }
}

messages! {
    /// What can happen to an account.
    pub enum AccountEvent in "schemas/bank/account/events" {
        AccountCreated,
        FundsDeposited,
        FundsWithdrawn,
        DebtForgiven,
        AccountDeleted,
        TransferDebited,
        TransferCredited,
        TransferDebitRolledBack,
        RequestCreated,
        RequestReceived,
        RequestApproved,
        RequestRejected,
        RequestRejectionReceived,
        RequestDebited,
        RequestCredited,
        RequestDebitRolledBack,
    }
}

/// What an account says to a command.
type Judgement = Result<Decision<AccountEvent>, AccountRefusal>;

impl Aggregate for Account {
    const NAME: &'static str = "account";
    type Id = AccountId;
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Refusal = AccountRefusal;
    const ID_PATTERN: Option<&'static str> = Some(AccountId::PATTERN);

    /// Each command is judged in this order: is it a repeat, does the account exist, is it in time, does the
    /// rule allow it.
    fn decide(&self, command: AccountCommand, at: &Context<'_>) -> Judgement {
        match command {
            AccountCommand::OpenAccount(command) => self.open(command),
            AccountCommand::DepositFunds(command) => self.deposit(&command),
            AccountCommand::WithdrawFunds(command) => self.withdraw(&command),
            AccountCommand::ForgiveDebt(command) => self.forgive(&command),
            AccountCommand::DeleteAccount(command) => self.delete(&command),
            AccountCommand::Transfer(command) => self.transfer(command, at),
            AccountCommand::CreditTransfer(command) => self.credit_transfer(command),
            AccountCommand::RollbackTransferDebit(command) => self.roll_transfer_back(command),
            AccountCommand::Request(command) => self.request(command, at),
            AccountCommand::GetRequestApproval(command) => self.get_request_approval(command, at),
            AccountCommand::AcceptRequest(command) => self.accept_request(command, at),
            AccountCommand::RejectRequest(command) => self.reject_request(command, at),
            AccountCommand::NotifyRequestRejected(command) => self.notify_request_rejected(command),
            AccountCommand::DebitRequest(command) => self.debit_request(command, at),
            AccountCommand::CreditRequest(command) => self.credit_request(command),
            AccountCommand::RollbackRequestDebit(command) => self.roll_request_back(command),
        }
    }

    fn evolve(&mut self, event: &AccountEvent, at: &EventContext<'_>) {
        self.transactions.close_overdue(at.occurred_at);
        if let Some(movement) = event.movement() {
            self.balance = movement.balance;
        }
        match event {
            AccountEvent::AccountCreated(_) => self.standing = Standing::Open,
            AccountEvent::FundsDeposited(_) | AccountEvent::FundsWithdrawn(_) => {}
            AccountEvent::DebtForgiven(_) => self.debts_forgiven += 1,
            AccountEvent::AccountDeleted(_) => self.standing = Standing::Deleted,
            AccountEvent::TransferDebited(event) => self.transfer_debited(event, at),
            AccountEvent::TransferCredited(event) => self.transfer_credited(event),
            AccountEvent::TransferDebitRolledBack(event) => self.transfer_rolled_back(event),
            AccountEvent::RequestCreated(event) => self.request_created(event, at),
            AccountEvent::RequestReceived(event) => self.request_received(event),
            AccountEvent::RequestApproved(it) => {
                self.request_is(it.funded_account, &it.transaction_id, it.begun_version, ReceivedStage::Approved);
            }
            AccountEvent::RequestRejected(it) => {
                self.request_is(it.funded_account, &it.transaction_id, it.begun_version, ReceivedStage::Rejected);
            }
            AccountEvent::RequestRejectionReceived(event) => {
                self.request_closed(&event.transaction_id, event.begun_version, SentStage::Rejected);
            }
            AccountEvent::RequestDebited(event) => self.request_debited(event, at.version),
            AccountEvent::RequestCredited(event) => {
                self.request_closed(&event.transaction_id, event.begun_version, SentStage::Credited);
            }
            AccountEvent::RequestDebitRolledBack(event) => self.request_rolled_back(event, at.occurred_at),
        }
    }
}

impl Account {
    /// What the account holds.
    #[cfg(test)]
    pub const fn balance(&self) -> Money {
        self.balance
    }

    /// Refuses what only an open account may do.
    const fn must_be_open(&self) -> Result<(), AccountRefusal> {
        match self.standing {
            Standing::Unopened => Err(AccountRefusal::NotFound),
            Standing::Open => Ok(()),
            Standing::Deleted => Err(AccountRefusal::Deleted),
        }
    }

    /// Also when it was deleted.
    fn must_exist(&self) -> Result<(), AccountRefusal> {
        if self.standing == Standing::Unopened { Err(AccountRefusal::NotFound) } else { Ok(()) }
    }

    /// The balance after a debit.
    fn debited(&self, amount: Amount) -> Result<Money, AccountRefusal> {
        let balance = self.balance - amount;
        if balance < FLOOR {
            return Err(AccountRefusal::InsufficientFunds { amount, balance: self.balance, floor: FLOOR });
        }
        Ok(balance)
    }
}

fn must_be_another(at: &Context<'_>, other: AccountId) -> Result<(), AccountRefusal> {
    if at.id.parse() == Ok(other) { Err(AccountRefusal::SameAccount) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use headwater::schema::check;

    use super::*;

    #[test]
    fn types_and_schemas_say_the_same() {
        check::<Account>().expect("the state");
        check::<AccountCommand>().expect("the commands");
        check::<AccountEvent>().expect("the events");
    }
}
