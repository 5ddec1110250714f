//! What holds of an account, whatever is asked of it and in whatever order.

use headwater::testing::Given;
use proptest::prelude::*;

use super::fixtures::{money, name};
use super::{
    Account, AccountCommand, AccountEvent, DeleteAccount, DepositFunds, FLOOR, ForgiveDebt, OpenAccount, WithdrawFunds,
};
use crate::values::{Amount, Money};

/// Small enough that floor and debts are reached often, with the largest now and then.
fn amounts() -> impl Strategy<Value = Amount> {
    prop_oneof![9 => 1..20_000_i64, 1 => 99_999_000..=100_000_000_i64]
        .prop_map(|units| units.try_into().expect("an amount"))
}

/// Whatever may be asked of an account.
pub fn commands() -> impl Strategy<Value = AccountCommand> {
    let open = proptest::option::of(amounts());
    prop_oneof![
        2 => open.prop_map(|initial_deposit| OpenAccount { name: name(), initial_deposit }.into()),
        6 => amounts().prop_map(|amount| DepositFunds { amount }.into()),
        9 => amounts().prop_map(|amount| WithdrawFunds { amount }.into()),
        3 => Just(ForgiveDebt {}.into()),
        1 => Just(DeleteAccount {}.into()),
    ]
}

/// The account that was asked all that.
pub fn after(commands: Vec<AccountCommand>) -> Given<Account> {
    commands.into_iter().fold(Given::nothing(), |account, command| account.when(command).into_given())
}

proptest! {
    #[test]
    fn the_state_is_the_fold_of_the_events(commands in proptest::collection::vec(commands(), 0..60)) {
        let account = after(commands);
        let folded = Given::<Account>::events(account.history().iter().cloned());
        prop_assert_eq!(folded.state(), account.state());
        prop_assert_eq!(folded.version(), account.version());
    }

    #[test]
    fn events_and_state_are_read_back_as_they_were_written(commands in proptest::collection::vec(commands(), 0..60)) {
        after(commands).survives_the_log();
    }

    #[test]
    fn versions_are_dense_and_only_events_raise_them(commands in proptest::collection::vec(commands(), 0..60)) {
        let mut account = Given::<Account>::nothing();
        for command in commands {
            let before = account.version().0;
            let then = account.when(command);
            let events = then.judgement().as_ref().map_or(0, |decision| decision.events().len());
            account = then.into_given();
            prop_assert_eq!(account.version().0, before + i64::try_from(events).expect("a few"));
        }
    }

    #[test]
    fn no_debit_leads_below_the_floor(commands in proptest::collection::vec(commands(), 0..60)) {
        for event in after(commands).history() {
            if let AccountEvent::FundsWithdrawn(event) = event {
                prop_assert!(event.balance >= FLOOR, "{event:?}");
            }
        }
    }

    #[test]
    fn a_refusal_changes_nothing(commands in proptest::collection::vec(commands(), 1..60)) {
        let mut account = Given::<Account>::nothing();
        for command in commands {
            let before = account.state().clone();
            let then = account.when(command);
            let refused = then.judgement().is_err();
            account = then.into_given();
            prop_assert!(!refused || *account.state() == before);
        }
    }

    #[test]
    fn what_came_in_less_what_went_out_is_the_sum_of_the_balances(
        bank in proptest::collection::vec(proptest::collection::vec(commands(), 0..40), 1..5),
    ) {
        let accounts: Vec<Given<Account>> = bank.into_iter().map(after).collect();
        let movements = accounts.iter().flat_map(Given::history).filter_map(AccountEvent::movement);
        let balances = accounts.iter().map(|account| account.state().balance().minor());
        prop_assert_eq!(movements.map(|it| it.change().minor()).sum::<i64>(), balances.sum::<i64>());
    }

    #[test]
    fn every_event_says_the_balance_that_it_leads_to(commands in proptest::collection::vec(commands(), 0..60)) {
        let mut balance = money("0.00");
        for movement in after(commands).history().iter().filter_map(AccountEvent::movement) {
            balance = Money::from_minor(balance.minor() + movement.change().minor());
            prop_assert_eq!(balance, movement.balance);
        }
    }
}
