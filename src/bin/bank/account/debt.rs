//! Debts that the bank forgives.

use headwater::Decision;
use serde::{Deserialize, Serialize};

use super::{Account, AccountRefusal, Judgement};
use crate::values::{Amount, Money};

/// How often a debt is forgiven in the life of an account.
const FORGIVEN_AT_MOST: i32 = 2;

/// Forgives the whole debt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgiveDebt {}

/// The whole debt was forgiven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebtForgiven {
    /// How much it was.
    pub amount: Amount,
    /// What is there afterwards: nothing.
    pub balance: Money,
}

impl Account {
    pub(super) fn forgive(&self, _command: &ForgiveDebt) -> Judgement {
        self.must_be_open()?;
        let Ok(amount) = Amount::try_from(-self.balance) else {
            return Err(AccountRefusal::NotInDebt { balance: self.balance });
        };
        if self.debts_forgiven >= FORGIVEN_AT_MOST {
            return Err(AccountRefusal::ForgivenessExhausted { times: FORGIVEN_AT_MOST });
        }
        Ok(Decision::event(DebtForgiven { amount, balance: Money::ZERO }))
    }
}

#[cfg(test)]
mod tests {
    use headwater::testing::Given;

    use super::super::fixtures::{amount, deleted, deposited, forgiven, money, opened, withdrawn};
    use super::*;

    #[test]
    fn the_whole_debt_is_forgiven_and_the_balance_becomes_nothing() {
        Given::<Account>::events([opened(), withdrawn("60.05", "-60.05")])
            .when(ForgiveDebt {})
            .then_events([forgiven("60.05")])
            .then_state(|account| account.balance() == Money::ZERO);
    }

    #[test]
    fn there_is_nothing_to_forgive_at_a_balance_of_nothing_or_more() {
        Given::<Account>::events([opened()]).when(ForgiveDebt {}).then_refused("not_in_debt");
        Given::<Account>::events([opened(), deposited("0.01", "0.01")])
            .when(ForgiveDebt {})
            .then_refused("not_in_debt");
    }

    #[test]
    fn debts_are_forgiven_twice_in_a_lifetime_and_not_a_third_time() {
        let withdraw = || crate::account::WithdrawFunds { amount: amount("1.00") };
        Given::<Account>::events([opened(), withdrawn("1.00", "-1.00"), forgiven("1.00")])
            .when(withdraw())
            .when(ForgiveDebt {})
            .then_events([forgiven("1.00")])
            .when(withdraw())
            .when(ForgiveDebt {})
            .then_refused("forgiveness_exhausted")
            .then_state(|account| account.balance() == money("-1.00"));
    }

    #[test]
    fn no_debt_is_forgiven_where_there_is_no_account() {
        Given::<Account>::nothing().when(ForgiveDebt {}).then_refused("account_not_found");
    }

    #[test]
    fn no_debt_of_a_deleted_account_is_forgiven() {
        let in_debt = Given::<Account>::events([opened(), withdrawn("1.00", "-1.00"), deleted()]);
        in_debt.when(ForgiveDebt {}).then_refused("account_deleted");
    }
}
