//! Money that comes in over the counter, and goes out.

use headwater::Decision;
use serde::{Deserialize, Serialize};

use super::{Account, Judgement};
use crate::values::{Amount, Money};

/// Puts money in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositFunds {
    /// How much.
    pub amount: Amount,
}

/// Takes money out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawFunds {
    /// How much.
    pub amount: Amount,
}

/// Money was put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundsDeposited {
    /// How much.
    pub amount: Amount,
    /// What is there afterwards.
    pub balance: Money,
}

/// Money was taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundsWithdrawn {
    /// How much.
    pub amount: Amount,
    /// What is there afterwards.
    pub balance: Money,
}

impl Account {
    pub(super) fn deposit(&self, command: &DepositFunds) -> Judgement {
        self.must_be_open()?;
        let balance = self.balance + command.amount;
        Ok(Decision::event(FundsDeposited { amount: command.amount, balance }))
    }

    pub(super) fn withdraw(&self, command: &WithdrawFunds) -> Judgement {
        self.must_be_open()?;
        let balance = self.debited(command.amount)?;
        Ok(Decision::event(FundsWithdrawn { amount: command.amount, balance }))
    }
}

#[cfg(test)]
mod tests {
    use headwater::testing::Given;
    use serde_json::json;

    use super::super::fixtures::{amount, deleted, deposited, money, opened, withdrawn};
    use super::*;

    fn deposit(text: &str) -> DepositFunds {
        DepositFunds { amount: amount(text) }
    }

    fn withdraw(text: &str) -> WithdrawFunds {
        WithdrawFunds { amount: amount(text) }
    }

    #[test]
    fn a_deposit_raises_the_balance() {
        Given::<Account>::events([opened(), deposited("10.00", "10.00")])
            .when(deposit("2.34"))
            .then_events([deposited("2.34", "12.34")])
            .then_state(|account| account.balance() == money("12.34"));
    }

    #[test]
    fn a_withdrawal_lowers_the_balance() {
        Given::<Account>::events([opened(), deposited("10.00", "10.00")])
            .when(withdraw("2.34"))
            .then_events([withdrawn("2.34", "7.66")])
            .then_state(|account| account.balance() == money("7.66"));
    }

    #[test]
    fn the_same_deposit_twice_is_two_deposits() {
        Given::<Account>::events([opened()])
            .when(deposit("1.00"))
            .when(deposit("1.00"))
            .then_events([deposited("1.00", "2.00")]);
    }

    #[test]
    fn a_withdrawal_to_exactly_the_floor_is_accepted() {
        Given::<Account>::events([opened(), deposited("10.00", "10.00")])
            .when(withdraw("110.00"))
            .then_events([withdrawn("110.00", "-100.00")]);
    }

    #[test]
    fn a_withdrawal_one_unit_below_the_floor_is_refused() {
        Given::<Account>::events([opened(), deposited("10.00", "10.00")])
            .when(withdraw("110.01"))
            .then_refused("insufficient_funds")
            .then_refusal_data(&json!({ "balance": "10.00", "floor": "-100.00" }))
            .then_state(|account| account.balance() == money("10.00"));
    }

    #[test]
    fn an_account_that_does_not_exist_takes_and_gives_nothing() {
        Given::<Account>::nothing().when(deposit("1.00")).then_refused("account_not_found");
        Given::<Account>::nothing().when(withdraw("1.00")).then_refused("account_not_found");
    }

    #[test]
    fn a_deleted_account_takes_and_gives_nothing() {
        let given = Given::<Account>::events([opened(), deposited("10.00", "10.00"), deleted()]);
        given.clone().when(deposit("1.00")).then_refused("account_deleted");
        given.when(withdraw("1.00")).then_refused("account_deleted");
    }
}
