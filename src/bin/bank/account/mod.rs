//! The account: one customer's money.
//!
//! Each file below holds one family of commands with the events that they lead to, and how both are
//! judged and folded. Every event that moves money says the balance it leads to, so that a reader needs
//! no other event to know it. No debit ever leads below the floor.

mod cash;
mod debt;
#[cfg(test)]
pub mod fixtures;
mod lifecycle;
mod movement;
#[cfg(test)]
pub mod properties;
mod refusal;

use headwater::{Aggregate, Context, Decision, EventContext, messages, state};
use serde::{Deserialize, Serialize};

pub use cash::{DepositFunds, FundsDeposited, FundsWithdrawn, WithdrawFunds};
pub use debt::{DebtForgiven, ForgiveDebt};
pub use lifecycle::{AccountCreated, AccountDeleted, DeleteAccount, OpenAccount};
pub use movement::{Movement, MovementKind};
pub use refusal::AccountRefusal;

use crate::values::{AccountId, Amount, Money};

/// The lowest balance that a debit may lead to.
pub const FLOOR: Money = Money::from_minor(-10_000);

/// One customer's account. After its deletion the balance stays on the books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    standing: Standing,
    balance: Money,
    debts_forgiven: i32,
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

    fn decide(&self, command: AccountCommand, _at: &Context<'_>) -> Judgement {
        match command {
            AccountCommand::OpenAccount(command) => self.open(command),
            AccountCommand::DepositFunds(command) => self.deposit(&command),
            AccountCommand::WithdrawFunds(command) => self.withdraw(&command),
            AccountCommand::ForgiveDebt(command) => self.forgive(&command),
            AccountCommand::DeleteAccount(command) => self.delete(&command),
        }
    }

    fn evolve(&mut self, event: &AccountEvent, _at: &EventContext<'_>) {
        match event {
            AccountEvent::AccountCreated(_) => self.standing = Standing::Open,
            AccountEvent::FundsDeposited(event) => self.balance = event.balance,
            AccountEvent::FundsWithdrawn(event) => self.balance = event.balance,
            AccountEvent::DebtForgiven(event) => {
                self.balance = event.balance;
                self.debts_forgiven += 1;
            }
            AccountEvent::AccountDeleted(_) => self.standing = Standing::Deleted,
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

    /// The balance after a debit.
    fn debited(&self, amount: Amount) -> Result<Money, AccountRefusal> {
        let balance = self.balance - amount;
        if balance < FLOOR {
            return Err(AccountRefusal::InsufficientFunds { amount, balance: self.balance, floor: FLOOR });
        }
        Ok(balance)
    }
}

#[cfg(test)]
mod tests {
    use headwater::schema::{Message, check};

    use super::*;

    #[test]
    fn types_and_schemas_say_the_same() {
        check::<Account>().expect("the state");
        check::<AccountCommand>().expect("the commands");
        check::<AccountEvent>().expect("the events");
    }

    #[test]
    fn no_client_may_open_an_account() {
        let internal = AccountCommand::SCHEMAS.iter().filter(|schema| schema.internal).map(|schema| schema.name);
        assert_eq!(internal.collect::<Vec<_>>(), ["OpenAccount"]);
    }
}
