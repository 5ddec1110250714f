//! What was once released stays readable: the bytes of every release are in `tests/data/released`.

use headwater::Saga;
use headwater::clock::Timestamp;
use headwater::saga::{Input, SagaContext};
use headwater::testing::outcomes::{accepted, refused};
use headwater::testing::{Golden, history};

use crate::account::fixtures::*;
use crate::account::{
    Account, AccountCommand, AccountEvent, DeleteAccount, DepositFunds, ForgiveDebt, OpenAccount, WithdrawFunds,
};
use crate::registry::{
    AccountIdProvisioned, AccountIdsReserved, AccountRegistry, CreateAccount, RegistryCommand, RegistryEvent,
    ReserveAccountIds,
};
use crate::sagas::{Request, RequestStep, Transfer, TransferStep};
use crate::values::AccountId;

const TIME: Timestamp = Timestamp(1_767_225_600_000_000);

fn golden() -> Golden {
    Golden::new("bank", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/released"))
}

/// What a saga has come to after each of these inputs.
fn stages<S: Saga>(inputs: impl IntoIterator<Item = Input<S>>) -> Vec<S> {
    let mut saga = S::default();
    let at = SagaContext { id: "000001/t1#1", time: TIME };
    let taken = inputs.into_iter().map(|input| {
        drop(saga.react(input, &at));
        saga.clone()
    });
    taken.collect()
}

#[test]
fn commands_to_an_account_stay_readable() {
    let (name, amount) = (name(), amount("12.34"));
    let commands: [AccountCommand; 17] = [
        OpenAccount { name: name.clone(), initial_deposit: None }.into(),
        OpenAccount { name, initial_deposit: Some(amount) }.into(),
        DepositFunds { amount }.into(),
        WithdrawFunds { amount }.into(),
        ForgiveDebt {}.into(),
        DeleteAccount {}.into(),
        transfer("4.00").into(),
        credit_transfer(3, "4.00").into(),
        roll_transfer_back(3, "4.00").into(),
        request("4.00").into(),
        ask("4.00").into(),
        accept().into(),
        reject().into(),
        notify(3).into(),
        debit_request().into(),
        credit_request(3).into(),
        roll_request_back(5, "4.00").into(),
    ];
    golden().commands::<Account>(&commands);
}

#[test]
fn events_of_an_account_stay_readable() {
    let events: [AccountEvent; 16] = [
        opened(),
        deposited("10.00", "10.00"),
        withdrawn("25.05", "-15.05"),
        forgiven("15.05"),
        deleted(),
        transfer_debited("4.00", "6.00"),
        transfer_credited(3, "4.00", "14.00"),
        transfer_rolled_back(3, "4.00", "10.00"),
        request_created("4.00"),
        request_received("4.00"),
        request_approved(),
        request_rejected(),
        rejection_received(3),
        request_debited("4.00", "6.00"),
        request_credited(3, "4.00", "14.00"),
        request_rolled_back("4.00", "10.00"),
    ];
    golden().events::<Account>(&events);
}

#[test]
fn commands_to_the_registry_stay_readable() {
    let commands: [RegistryCommand; 2] = [
        CreateAccount { name: name(), initial_deposit: Some(amount("0.01")) }.into(),
        ReserveAccountIds { up_to: AccountId::LAST }.into(),
    ];
    golden().commands::<AccountRegistry>(&commands);
}

#[test]
fn events_of_the_registry_stay_readable() {
    let events: [RegistryEvent; 2] = [
        AccountIdProvisioned { account_id: AccountId::FIRST, name: name() }.into(),
        AccountIdsReserved { up_to: AccountId::LAST }.into(),
    ];
    golden().events::<AccountRegistry>(&events);
}

#[test]
fn states_of_a_transfer_stay_readable() {
    let debited = history::<Account>("000001", [transfer_debited("4.00", "6.00")]).remove(0);
    let refused = Input::Outcome { of: TransferStep::Credit, outcome: refused("account_deleted") };
    let states = stages::<Transfer>([Input::Event(debited), refused]);
    golden().saga_states(&states);
}

#[test]
fn states_of_a_request_stay_readable() {
    let outcome = |of, outcome| Input::Outcome { of, outcome };
    let created = history::<Account>("000001", [request_created("4.00")]).remove(0);
    let approved = history::<Account>("000002", [request_approved()]).remove(0);
    let inputs = [
        Input::Event(created),
        Input::Event(approved),
        outcome(RequestStep::Debit, accepted()),
        outcome(RequestStep::Credit, refused("account_deleted")),
        outcome(RequestStep::RollBack, accepted()),
    ];
    golden().saga_states(&stages::<Request>(inputs));
}
