//! Short words for what the tests of the account speak of.
//!
//! The tests look at account 000001; on the other side is 000002.

use headwater::clock::Timestamp;
use headwater::position::Version;
use headwater::testing::BEGINNING;

use super::request::REQUEST_OPEN;
use super::*;
use crate::values::{AccountId, Amount, Money, Name, TransactionId};

pub fn money(text: &str) -> Money {
    text.parse().expect("money")
}

pub fn amount(text: &str) -> Amount {
    money(text).try_into().expect("an amount")
}

pub fn name() -> Name {
    "Emmet".try_into().expect("a name")
}

pub fn id(text: &str) -> AccountId {
    text.parse().expect("an account id")
}

/// The account that the tests look at.
pub fn this() -> AccountId {
    id("000001")
}

/// The account on the other side.
pub fn other() -> AccountId {
    id("000002")
}

pub fn transaction(text: &str) -> TransactionId {
    text.try_into().expect("a transaction id")
}

pub fn t1() -> TransactionId {
    transaction("t1")
}

/// Until when a request may be decided that was made at the beginning.
pub fn deadline() -> Timestamp {
    BEGINNING.plus(REQUEST_OPEN)
}

/// The moment after that.
pub fn too_late() -> Timestamp {
    Timestamp(deadline().0 + 1)
}

pub fn opened() -> AccountEvent {
    AccountCreated { name: name() }.into()
}

pub fn deposited(how_much: &str, balance: &str) -> AccountEvent {
    FundsDeposited { amount: amount(how_much), balance: money(balance) }.into()
}

pub fn withdrawn(how_much: &str, balance: &str) -> AccountEvent {
    FundsWithdrawn { amount: amount(how_much), balance: money(balance) }.into()
}

pub fn forgiven(debt: &str) -> AccountEvent {
    DebtForgiven { amount: amount(debt), balance: Money::ZERO }.into()
}

pub fn deleted() -> AccountEvent {
    AccountDeleted {}.into()
}

pub fn transfer_debited(how_much: &str, balance: &str) -> AccountEvent {
    let (amount, balance) = (amount(how_much), money(balance));
    TransferDebited { transaction_id: t1(), funded_account: other(), amount, balance }.into()
}

/// Of a transfer that began with `version` of the other account.
pub fn transfer_credited(version: i64, how_much: &str, balance: &str) -> AccountEvent {
    let (begun_version, amount, balance) = (Version(version), amount(how_much), money(balance));
    TransferCredited { transaction_id: t1(), funding_account: other(), begun_version, amount, balance }.into()
}

/// Of a transfer that began with `version` of this account.
pub fn transfer_rolled_back(version: i64, how_much: &str, balance: &str) -> AccountEvent {
    let (begun_version, amount, balance) = (Version(version), amount(how_much), money(balance));
    TransferDebitRolledBack { transaction_id: t1(), funded_account: other(), begun_version, amount, balance }.into()
}

pub fn request_created(how_much: &str) -> AccountEvent {
    let (amount, deadline) = (amount(how_much), deadline());
    RequestCreated { transaction_id: t1(), funding_account: other(), amount, deadline }.into()
}

/// Of a request that began with `version` of this account.
pub fn request_credited(version: i64, how_much: &str, balance: &str) -> AccountEvent {
    let (begun_version, amount, balance) = (Version(version), amount(how_much), money(balance));
    RequestCredited { transaction_id: t1(), funding_account: other(), begun_version, amount, balance }.into()
}

/// Of a request that began with `version` of this account.
pub fn rejection_received(version: i64) -> AccountEvent {
    let begun_version = Version(version);
    RequestRejectionReceived { transaction_id: t1(), funding_account: other(), begun_version }.into()
}

/// The version of the other account with which its request begins.
pub const BEGUN: Version = Version(7);

pub fn request_received(how_much: &str) -> AccountEvent {
    let (amount, deadline) = (amount(how_much), deadline());
    RequestReceived { transaction_id: t1(), funded_account: other(), begun_version: BEGUN, amount, deadline }.into()
}

pub fn request_approved() -> AccountEvent {
    RequestApproved { transaction_id: t1(), funded_account: other(), begun_version: BEGUN }.into()
}

pub fn request_rejected() -> AccountEvent {
    RequestRejected { transaction_id: t1(), funded_account: other(), begun_version: BEGUN }.into()
}

pub fn request_debited(how_much: &str, balance: &str) -> AccountEvent {
    let (amount, balance) = (amount(how_much), money(balance));
    RequestDebited { transaction_id: t1(), funded_account: other(), begun_version: BEGUN, amount, balance }.into()
}

pub fn request_rolled_back(how_much: &str, balance: &str) -> AccountEvent {
    let (amount, balance) = (amount(how_much), money(balance));
    RequestDebitRolledBack { transaction_id: t1(), funded_account: other(), begun_version: BEGUN, amount, balance }
        .into()
}

/// Sends to the other account.
pub fn transfer(how_much: &str) -> Transfer {
    Transfer { transaction_id: t1(), funded_account: other(), amount: amount(how_much) }
}

/// What the other account sent with its version `version`.
pub fn credit_transfer(version: i64, how_much: &str) -> CreditTransfer {
    let (begun_version, amount) = (Version(version), amount(how_much));
    CreditTransfer { transaction_id: t1(), funding_account: other(), begun_version, amount }
}

/// What this account sent with its version `version`, as the saga says it.
pub fn roll_transfer_back(version: i64, how_much: &str) -> RollbackTransferDebit {
    let (funded_account, amount) = (Some(other()), Some(amount(how_much)));
    RollbackTransferDebit { transaction_id: t1(), begun_version: Version(version), funded_account, amount }
}

/// Asks the other account.
pub fn request(how_much: &str) -> Request {
    Request { transaction_id: t1(), funding_account: other(), amount: amount(how_much) }
}

pub fn notify(version: i64) -> NotifyRequestRejected {
    NotifyRequestRejected { transaction_id: t1(), begun_version: Version(version) }
}

pub fn credit_request(version: i64) -> CreditRequest {
    CreditRequest { transaction_id: t1(), begun_version: Version(version) }
}

/// The other account asks.
pub fn ask(how_much: &str) -> GetRequestApproval {
    let (amount, deadline) = (amount(how_much), deadline());
    GetRequestApproval { transaction_id: t1(), funded_account: other(), begun_version: BEGUN, amount, deadline }
}

pub fn accept() -> AcceptRequest {
    AcceptRequest { transaction_id: t1(), funded_account: other() }
}

pub fn reject() -> RejectRequest {
    RejectRequest { transaction_id: t1(), funded_account: other() }
}

pub fn debit_request() -> DebitRequest {
    DebitRequest { transaction_id: t1(), funded_account: other(), begun_version: BEGUN }
}

/// What was debited with `version` of this account, as the saga says it.
pub fn roll_request_back(version: i64, how_much: &str) -> RollbackRequestDebit {
    let (amount, debit_version) = (Some(amount(how_much)), Version(version));
    RollbackRequestDebit { transaction_id: t1(), funded_account: other(), begun_version: BEGUN, amount, debit_version }
}
