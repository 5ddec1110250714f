//! What holds of every command of an account: which are judged where there is no account or it was deleted,
//! which are repeats, in which order the judgement is made, and what is remembered for how long.

use headwater::Refusal;
use headwater::position::Version;
use headwater::testing::Given;

use super::fixtures::*;
use super::transactions::CLOSED_REMEMBERED;
use super::*;

/// One command of each kind.
fn commands() -> Vec<AccountCommand> {
    vec![
        OpenAccount { name: name(), initial_deposit: None }.into(),
        DepositFunds { amount: amount("1.00") }.into(),
        WithdrawFunds { amount: amount("1.00") }.into(),
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
        roll_request_back(3, "4.00").into(),
    ]
}

fn ten() -> Given<Account> {
    Given::events([opened(), deposited("10.00", "10.00")]).id("000001")
}

fn code(account: Given<Account>, command: &AccountCommand) -> &'static str {
    account.when(command.clone()).judgement().as_ref().map_or_else(Refusal::code, |_| "accepted")
}

#[test]
fn there_is_one_command_of_each_kind_here() {
    use headwater::schema::Message;
    let kinds: std::collections::HashSet<_> = commands().iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), AccountCommand::SCHEMAS.len());
}

#[test]
fn every_command_but_the_opening_is_refused_where_there_is_no_account() {
    for command in commands() {
        let expected = if matches!(command, AccountCommand::OpenAccount(_)) { "accepted" } else { "account_not_found" };
        assert_eq!(code(Given::nothing().id("000001"), &command), expected, "{command:?}");
    }
}

#[test]
fn every_command_on_a_deleted_account_is_refused_but_repeats_and_what_gives_back_or_tells() {
    for command in commands() {
        let expected = match command {
            AccountCommand::OpenAccount(_) => "account_exists",
            AccountCommand::DeleteAccount(_) => "accepted",
            AccountCommand::RollbackTransferDebit(_)
            | AccountCommand::RollbackRequestDebit(_)
            | AccountCommand::NotifyRequestRejected(_) => "unknown_transaction",
            _ => "account_deleted",
        };
        assert_eq!(code(ten().and_events([deleted()]), &command), expected, "{command:?}");
    }
}

#[test]
fn every_step_of_an_unknown_transaction_is_refused() {
    for command in commands() {
        let is_step = matches!(
            command,
            AccountCommand::AcceptRequest(_)
                | AccountCommand::RejectRequest(_)
                | AccountCommand::NotifyRequestRejected(_)
                | AccountCommand::DebitRequest(_)
                | AccountCommand::CreditRequest(_)
                | AccountCommand::RollbackTransferDebit(_)
                | AccountCommand::RollbackRequestDebit(_)
        );
        if is_step {
            assert_eq!(code(ten(), &command), "unknown_transaction", "{command:?}");
        }
    }
}

/// Each step with an account that has taken it.
fn repeats() -> Vec<(Given<Account>, AccountCommand)> {
    let sent = || ten().and_events([transfer_debited("4.00", "6.00")]);
    let asked = || ten().and_events([request_created("4.00")]);
    let received = || ten().and_events([request_received("4.00")]);
    let debited = || received().and_events([request_approved(), request_debited("4.00", "6.00")]);
    vec![
        (sent(), transfer("4.00").into()),
        (ten().and_events([transfer_credited(3, "4.00", "14.00")]), credit_transfer(3, "4.00").into()),
        (sent().and_events([transfer_rolled_back(3, "4.00", "10.00")]), roll_transfer_back(3, "4.00").into()),
        (asked(), request("4.00").into()),
        (received(), ask("4.00").into()),
        (received().and_events([request_approved()]), accept().into()),
        (received().and_events([request_rejected()]), reject().into()),
        (asked().and_events([rejection_received(3)]), notify(3).into()),
        (debited(), debit_request().into()),
        (asked().and_events([request_credited(3, "4.00", "14.00")]), credit_request(3).into()),
        (debited().and_events([request_rolled_back("4.00", "10.00")]), roll_request_back(5, "4.00").into()),
    ]
}

#[test]
fn every_repeat_of_a_step_is_accepted_and_changes_nothing() {
    for (account, command) in repeats() {
        account.when(command).then_no_events();
    }
}

#[test]
fn a_repeat_comes_before_the_account_s_deletion_and_the_deadline() {
    for (account, command) in repeats() {
        let deleted = account.and_events([deleted()]).at(too_late());
        deleted.when(command).then_no_events();
    }
}

#[test]
fn the_account_s_deletion_comes_before_the_deadline() {
    let received = ten().and_events([request_received("4.00"), deleted()]).at(too_late());
    for command in [ask("4.00").into(), accept().into(), reject().into(), debit_request().into()] {
        let known =
            if matches!(command, AccountCommand::GetRequestApproval(_)) { "accepted" } else { "account_deleted" };
        assert_eq!(code(received.clone(), &command), known, "{command:?}");
    }
    let unknown = ten().and_events([deleted()]).at(too_late());
    assert_eq!(code(unknown, &ask("4.00").into()), "account_deleted");
}

#[test]
fn the_deadline_comes_before_the_rule() {
    let rejected = ten().and_events([request_received("400.00"), request_rejected()]).at(too_late());
    for command in [accept().into(), debit_request().into()] {
        assert_eq!(code(rejected.clone(), &command), "transaction_timed_out", "{command:?}");
    }
}

#[test]
fn only_what_a_client_may_wish_for_is_open_to_clients() {
    use headwater::schema::Message;
    let internal = AccountCommand::SCHEMAS.iter().filter(|schema| schema.internal).map(|schema| schema.name);
    let expected = [
        "OpenAccount",
        "CreditTransfer",
        "RollbackTransferDebit",
        "GetRequestApproval",
        "NotifyRequestRejected",
        "DebitRequest",
        "CreditRequest",
        "RollbackRequestDebit",
    ];
    assert_eq!(internal.collect::<Vec<_>>(), expected);
}

/// The account after so many transfers to it, each of a cent.
fn after_transfers(account: Given<Account>, count: usize) -> Given<Account> {
    (0..count).fold(account, |account, _| {
        let transaction_id = transaction(&format!("other {}", account.version()));
        account.when(CreditTransfer { transaction_id, ..credit_transfer(3, "0.01") }).into_given()
    })
}

#[test]
fn a_transaction_id_may_be_used_again_once_it_is_beyond_those_remembered() {
    let sent = ten().and_events([transfer_debited("4.00", "6.00")]);
    let remembered = after_transfers(sent, CLOSED_REMEMBERED - 1);
    remembered.clone().when(transfer("5.00")).then_refused("transaction_id_taken");
    let forgotten = after_transfers(remembered, 1);
    forgotten.when(transfer("5.00")).then_events([transfer_debited("5.00", "11.00")]);
}

#[test]
fn the_state_stays_small_whatever_happened() {
    let size = |account: &Given<Account>| serde_json::to_string(account.state()).expect("a state").len();
    let full = after_transfers(ten(), 2 * CLOSED_REMEMBERED);
    let more = after_transfers(full.clone(), CLOSED_REMEMBERED);
    assert!(size(&more) < size(&full) + size(&full) / 10, "{} after {}", size(&more), size(&full));
}

#[test]
fn an_open_request_is_remembered_however_much_happened_since() {
    let asked = after_transfers(ten().and_events([request_created("4.00")]), CLOSED_REMEMBERED + 1);
    asked.clone().when(request("5.00")).then_refused("transaction_id_taken");
    asked.when(credit_request(3)).then_events([request_credited(3, "4.00", "24.01")]);
    let received = after_transfers(ten().and_events([request_received("4.00")]), CLOSED_REMEMBERED + 1);
    received.when(accept()).then_events([request_approved()]);
}

#[test]
fn a_received_request_is_forgotten_with_those_that_closed_once_its_deadline_has_passed() {
    let received = ten().and_events([request_received("4.00")]);
    let at_the_deadline = after_transfers(received.clone().at(deadline()), CLOSED_REMEMBERED + 1);
    at_the_deadline.when(accept()).then_events([request_approved()]);
    let remembered = after_transfers(received.at(too_late()), CLOSED_REMEMBERED - 1);
    remembered.clone().when(accept()).then_refused("transaction_timed_out");
    after_transfers(remembered, 1).when(accept()).then_refused("unknown_transaction");
}

#[test]
fn money_is_given_back_even_where_the_debit_is_forgotten_and_then_not_again() {
    let sent = after_transfers(ten().and_events([transfer_debited("4.00", "6.00")]), CLOSED_REMEMBERED);
    let back = sent.when(roll_transfer_back(3, "4.00")).then_events([transfer_rolled_back(3, "4.00", "20.00")]);
    back.when(roll_transfer_back(3, "4.00")).then_no_events();

    let paid = ten().and_events([request_received("4.00"), request_approved(), request_debited("4.00", "6.00")]);
    let paid = after_transfers(paid, CLOSED_REMEMBERED);
    let back = paid.when(roll_request_back(5, "4.00")).then_events([request_rolled_back("4.00", "20.00")]);
    back.when(roll_request_back(5, "4.00")).then_no_events();
}

#[test]
fn what_was_never_debited_is_not_given_back_however_much_was_forgotten() {
    let full = after_transfers(ten().and_events([transfer_debited("4.00", "6.00")]), CLOSED_REMEMBERED);
    let later = RollbackTransferDebit { begun_version: Version(4), ..roll_transfer_back(4, "4.00") };
    full.clone().when(later).then_refused("unknown_transaction");
    full.when(roll_request_back(4, "4.00")).then_refused("unknown_transaction");
}

#[test]
fn events_and_state_are_read_back_as_they_were_written() {
    for (account, _) in repeats() {
        account.survives_the_log();
    }
}
