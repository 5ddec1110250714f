//! The beginning and the end of an account.

use headwater::Decision;
use serde::{Deserialize, Serialize};

use super::{Account, AccountRefusal, FundsDeposited, Judgement, Standing};
use crate::values::{Amount, Money, Name};

/// Opens the account. Handed over by the registry, or sent by an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAccount {
    /// The name on it.
    pub name: Name,
    /// What is put in at once.
    pub initial_deposit: Option<Amount>,
}

/// Deletes the account, at any balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteAccount {}

/// The account was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountCreated {
    /// The name on it.
    pub name: Name,
}

/// The account was deleted. Its balance stays on the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDeleted {}

impl Account {
    pub(super) fn open(&self, command: OpenAccount) -> Judgement {
        if self.standing != Standing::Unopened {
            return Err(AccountRefusal::Exists);
        }
        let created = Decision::event(AccountCreated { name: command.name });
        Ok(match command.initial_deposit {
            Some(amount) => created.and(FundsDeposited { amount, balance: Money::ZERO + amount }),
            None => created,
        })
    }

    pub(super) fn delete(&self, _command: &DeleteAccount) -> Judgement {
        match self.standing {
            Standing::Unopened => Err(AccountRefusal::NotFound),
            Standing::Open => Ok(Decision::event(AccountDeleted {})),
            Standing::Deleted => Ok(Decision::none()),
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater::testing::Given;

    use super::super::fixtures::{amount, deleted, deposited, money, name, opened, withdrawn};
    use super::*;

    fn open(initial_deposit: Option<&str>) -> OpenAccount {
        OpenAccount { name: name(), initial_deposit: initial_deposit.map(amount) }
    }

    #[test]
    fn an_account_opens_empty() {
        Given::<Account>::nothing()
            .when(open(None))
            .then_events([opened()])
            .then_state(|account| account.balance() == Money::ZERO);
    }

    #[test]
    fn an_account_opens_with_its_initial_deposit() {
        Given::<Account>::nothing()
            .when(open(Some("12.34")))
            .then_events([opened(), deposited("12.34", "12.34")])
            .then_state(|account| account.balance() == money("12.34"));
    }

    #[test]
    fn an_account_opens_only_once() {
        Given::<Account>::events([opened()]).when(open(None)).then_refused("account_exists");
        Given::<Account>::events([opened(), deleted()]).when(open(None)).then_refused("account_exists");
    }

    #[test]
    fn an_account_is_deleted_at_any_balance_which_stays_on_the_books() {
        for movement in [deposited("10.00", "10.00"), withdrawn("99.00", "-99.00")] {
            let before = Given::<Account>::events([opened(), movement]);
            let balance = before.state().balance();
            let after = before.when(DeleteAccount {}).then_events([deleted()]);
            after.then_state(|account| account.balance() == balance);
        }
    }

    #[test]
    fn a_second_deletion_is_accepted_and_changes_nothing() {
        Given::<Account>::events([opened(), deleted()]).when(DeleteAccount {}).then_no_events();
    }

    #[test]
    fn what_does_not_exist_is_not_deleted() {
        Given::<Account>::nothing().when(DeleteAccount {}).then_refused("account_not_found");
    }
}
