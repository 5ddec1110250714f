//! What holds of an account, whatever is asked of it and in whatever order.

use std::time::Duration;

use headwater::clock::Timestamp;
use headwater::position::Version;
use headwater::testing::{BEGINNING, Given};
use proptest::prelude::*;

use super::fixtures::*;
use super::*;
use crate::values::{AccountId, Amount, Money, TransactionId};

/// Small enough that floor and debts are reached often, with the largest now and then.
fn amounts() -> impl Strategy<Value = Amount> + Clone {
    prop_oneof![9 => 1..20_000_i64, 1 => 99_999_000..=100_000_000_i64]
        .prop_map(|units| units.try_into().expect("an amount"))
}

/// So few that they meet.
pub fn accounts() -> impl Strategy<Value = AccountId> + Clone {
    proptest::sample::select(vec![this(), other(), id("000003")])
}

/// So few that they meet.
fn transactions() -> impl Strategy<Value = TransactionId> + Clone {
    proptest::sample::select(vec![transaction("a"), transaction("b"), transaction("c")])
}

fn versions() -> impl Strategy<Value = Version> + Clone {
    (0..12_i64).prop_map(Version)
}

/// About the time that a history takes.
fn deadlines() -> impl Strategy<Value = Timestamp> {
    (0..60_u64).prop_map(|minutes| BEGINNING.plus(Duration::from_mins(minutes)))
}

/// Whatever a client may wish of an account.
pub fn wishes() -> impl Strategy<Value = AccountCommand> {
    let side = (transactions(), accounts(), amounts());
    prop_oneof![
        6 => amounts().prop_map(|amount| DepositFunds { amount }.into()),
        9 => amounts().prop_map(|amount| WithdrawFunds { amount }.into()),
        3 => Just(ForgiveDebt {}.into()),
        1 => Just(DeleteAccount {}.into()),
        6 => side.clone().prop_map(|(transaction_id, funded_account, amount)| {
            Transfer { transaction_id, funded_account, amount }.into()
        }),
        6 => side.prop_map(|(transaction_id, funding_account, amount)| {
            Request { transaction_id, funding_account, amount }.into()
        }),
        6 => (transactions(), accounts())
            .prop_map(|(transaction_id, funded_account)| AcceptRequest { transaction_id, funded_account }.into()),
        3 => (transactions(), accounts())
            .prop_map(|(transaction_id, funded_account)| RejectRequest { transaction_id, funded_account }.into()),
    ]
}

/// Whatever only hand-offs and sagas ask of an account.
fn steps() -> impl Strategy<Value = AccountCommand> {
    let one = (transactions(), accounts(), versions(), amounts());
    let known = (transactions(), accounts(), versions());
    let given_back = (transactions(), versions(), proptest::option::of((accounts(), amounts())));
    let paid_back = (known.clone(), proptest::option::of(amounts()), versions());
    prop_oneof![
        proptest::option::of(amounts())
            .prop_map(|initial_deposit| OpenAccount { name: name(), initial_deposit }.into()),
        one.clone().prop_map(|(transaction_id, funding_account, begun_version, amount)| {
            CreditTransfer { transaction_id, funding_account, begun_version, amount }.into()
        }),
        given_back.prop_map(|(transaction_id, begun_version, debit)| {
            let (funded_account, amount) = debit.unzip();
            RollbackTransferDebit { transaction_id, begun_version, funded_account, amount }.into()
        }),
        (one, deadlines()).prop_map(|((transaction_id, funded_account, begun_version, amount), deadline)| {
            GetRequestApproval { transaction_id, funded_account, begun_version, amount, deadline }.into()
        }),
        known.clone().prop_map(|(transaction_id, _, begun_version)| {
            NotifyRequestRejected { transaction_id, begun_version }.into()
        }),
        known
            .clone()
            .prop_map(|(transaction_id, _, begun_version)| { CreditRequest { transaction_id, begun_version }.into() }),
        known.prop_map(|(transaction_id, funded_account, begun_version)| {
            DebitRequest { transaction_id, funded_account, begun_version }.into()
        }),
        paid_back.prop_map(|((transaction_id, funded_account, begun_version), amount, debit_version)| {
            RollbackRequestDebit { transaction_id, funded_account, begun_version, amount, debit_version }.into()
        }),
    ]
}

/// Whatever may be asked of an account, mostly of one that exists.
fn commands() -> impl Strategy<Value = Vec<AccountCommand>> {
    let any = proptest::collection::vec(prop_oneof![5 => wishes(), 4 => steps()], 0..60);
    (proptest::bool::weighted(0.9), any).prop_map(|(open, any)| {
        let opening = open.then(|| OpenAccount { name: name(), initial_deposit: None }.into());
        opening.into_iter().chain(any).collect()
    })
}

/// The account that was asked all that, a minute after the other.
fn after(commands: Vec<AccountCommand>) -> Given<Account> {
    let minutes = (0..).map(|minutes| BEGINNING.plus(Duration::from_mins(minutes)));
    let account = Given::nothing().id("000001");
    commands
        .into_iter()
        .zip(minutes)
        .fold(account, |account, (command, time)| account.at(time).when(command).into_given())
}

proptest! {
    #[test]
    fn versions_are_dense_and_a_refusal_changes_nothing(commands in commands()) {
        let mut account = Given::<Account>::nothing().id("000001");
        for command in commands {
            let before = account.clone();
            let then = account.when(command);
            let events = then.judgement().as_ref().map_or(0, |decision| decision.events().len());
            let refused = then.judgement().is_err();
            account = then.into_given();
            prop_assert_eq!(account.version().0, before.version().0 + i64::try_from(events).expect("a few"));
            prop_assert!(!refused || account.state() == before.state());
        }
    }

    #[test]
    fn no_debit_leads_below_the_floor(commands in commands()) {
        for movement in after(commands).history().iter().filter_map(AccountEvent::movement) {
            prop_assert!(movement.change() > Money::ZERO || movement.balance >= FLOOR, "{movement:?}");
        }
    }

    #[test]
    fn every_event_says_the_balance_that_it_leads_to(commands in commands()) {
        let account = after(commands);
        let mut balance = Money::ZERO;
        for movement in account.history().iter().filter_map(AccountEvent::movement) {
            balance = balance + movement.change();
            prop_assert_eq!(balance, movement.balance);
        }
        prop_assert_eq!(balance, account.state().balance());
    }

    #[test]
    fn no_command_is_an_event_twice(commands in commands()) {
        let mut account = Given::<Account>::nothing().id("000001");
        for command in commands {
            let moves_each_time = matches!(
                command,
                AccountCommand::DepositFunds(_) | AccountCommand::WithdrawFunds(_) | AccountCommand::ForgiveDebt(_)
            );
            account = account.when(command.clone()).into_given();
            if !moves_each_time {
                let before = account.version();
                account = account.when(command.clone()).into_given();
                prop_assert_eq!(account.version(), before, "{:?}", command);
            }
        }
    }
}

proptest! {
    // Each event is written and read with a schema that is made anew.
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn events_and_state_are_read_back_as_they_were_written(commands in commands()) {
        after(commands).survives_the_log();
    }
}
