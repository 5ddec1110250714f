//! Money asked for, as the account sees it that asked: the funded one.

use std::time::Duration;

use headwater::clock::Timestamp;
use headwater::position::Version;
use headwater::{Context, Decision, EventContext};
use serde::{Deserialize, Serialize};

use super::transactions::{Key, Part, SentRequest, SentStage, Transaction, said};
use super::{Account, AccountRefusal, Judgement, must_be_another};
use crate::values::{AccountId, Amount, Money, TransactionId};

/// How long a request may wait to be decided and debited.
pub const REQUEST_OPEN: Duration = Duration::from_mins(30);

/// Asks another account for money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who is to pay.
    pub funding_account: AccountId,
    /// How much.
    pub amount: Amount,
}

/// Tells that the request came to nothing. Issued by the saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyRequestRejected {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The version with which it began; none for the last of that id.
    pub begun_version: Version,
}

/// Puts in what was asked for and paid. Issued by the saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditRequest {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The version with which it began; none for the last of that id.
    pub begun_version: Version,
}

/// Another account was asked for money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCreated {
    /// The transaction, which began with this event.
    pub transaction_id: TransactionId,
    /// Who is to pay.
    pub funding_account: AccountId,
    /// How much.
    pub amount: Amount,
    /// Until when it may be decided and debited.
    pub deadline: Timestamp,
}

/// The request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRejectionReceived {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who was to pay.
    pub funding_account: AccountId,
    /// The version with which it began.
    pub begun_version: Version,
}

/// What was asked for was put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCredited {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who paid.
    pub funding_account: AccountId,
    /// The version with which it began.
    pub begun_version: Version,
    /// How much.
    pub amount: Amount,
    /// What is there afterwards.
    pub balance: Money,
}

impl Account {
    pub(super) fn request(&self, command: Request, at: &Context<'_>) -> Judgement {
        let Request { transaction_id, funding_account, amount } = command;
        let begun = self.transactions.find(Key::begun_here(&transaction_id, None), Some);
        let is_repeat =
            |(it, part): (&Transaction, &Part)| matches!(part, Part::SentRequest(_)) && it.has(funding_account, amount);
        if begun.is_some_and(is_repeat) {
            return Ok(Decision::none());
        }
        self.must_be_open()?;
        must_be_another(at, funding_account)?;
        if begun.is_some() {
            return Err(AccountRefusal::TransactionIdTaken);
        }
        let deadline = at.time.plus(REQUEST_OPEN);
        Ok(Decision::event(RequestCreated { transaction_id, funding_account, amount, deadline }))
    }

    /// Also on a deleted account: the saga goes on until it is told.
    pub(super) fn notify_request_rejected(&self, command: NotifyRequestRejected) -> Judgement {
        let NotifyRequestRejected { transaction_id, begun_version } = command;
        let sent = self.sent_request(&transaction_id, begun_version);
        if matches!(sent, Some((_, SentStage::Rejected))) {
            return Ok(Decision::none());
        }
        self.must_exist()?;
        match sent {
            None => Err(AccountRefusal::UnknownTransaction),
            Some((_, SentStage::Credited | SentStage::Rejected)) => Err(AccountRefusal::AlreadyDecided),
            Some((it, SentStage::Open)) => Ok(Decision::event(RequestRejectionReceived {
                transaction_id,
                funding_account: it.other_account,
                begun_version: it.begun_version,
            })),
        }
    }

    pub(super) fn credit_request(&self, command: CreditRequest) -> Judgement {
        let CreditRequest { transaction_id, begun_version } = command;
        let sent = self.sent_request(&transaction_id, begun_version);
        if matches!(sent, Some((_, SentStage::Credited))) {
            return Ok(Decision::none());
        }
        self.must_be_open()?;
        match sent {
            None => Err(AccountRefusal::UnknownTransaction),
            Some((_, SentStage::Credited | SentStage::Rejected)) => Err(AccountRefusal::RequestRejected),
            Some((it, SentStage::Open)) => Ok(Decision::event(RequestCredited {
                transaction_id,
                funding_account: it.other_account,
                begun_version: it.begun_version,
                amount: it.amount,
                balance: self.balance + it.amount,
            })),
        }
    }

    fn sent_request(&self, id: &TransactionId, begun_version: Version) -> Option<(&Transaction, SentStage)> {
        let (known, sent) = self.transactions.find(Key::begun_here(id, said(begun_version)), Part::sent_request)?;
        Some((known, sent.stage))
    }

    pub(super) fn request_created(&mut self, event: &RequestCreated, at: &EventContext<'_>) {
        self.transactions.remember(Transaction {
            id: event.transaction_id.clone(),
            begun_version: at.version,
            other_account: event.funding_account,
            amount: event.amount,
            part: Part::SentRequest(SentRequest { stage: SentStage::Open }),
        });
    }

    /// What became of a request that this account sent.
    pub(super) fn request_closed(&mut self, id: &TransactionId, begun_version: Version, stage: SentStage) {
        let key = Key::begun_here(id, Some(begun_version));
        self.transactions.change(key, Part::sent_request_mut, |sent| sent.stage = stage);
    }
}

#[cfg(test)]
mod tests {
    use headwater::testing::Given;

    use super::super::fixtures::*;
    use super::*;

    fn ten() -> Given<Account> {
        Given::events([opened(), deposited("10.00", "10.00")]).id("000001")
    }

    fn asked() -> Given<Account> {
        ten().and_events([request_created("4.00")])
    }

    fn told() -> Given<Account> {
        asked().and_events([rejection_received(3)])
    }

    #[test]
    fn a_request_may_be_decided_for_half_an_hour_and_moves_no_money() {
        let after = ten().when(request("4.00")).then_events([request_created("4.00")]);
        after.then_state(|account| account.balance() == money("10.00"));
    }

    #[test]
    fn a_request_to_the_account_itself_is_refused() {
        ten().when(Request { funding_account: this(), ..request("4.00") }).then_refused("same_account");
    }

    #[test]
    fn the_same_request_again_is_accepted_and_changes_nothing() {
        for account in [asked(), told(), asked().and_events([request_credited(3, "4.00", "14.00")])] {
            account.when(request("4.00")).then_no_events();
        }
    }

    #[test]
    fn another_transaction_of_the_same_id_is_refused() {
        asked().when(request("4.01")).then_refused("transaction_id_taken");
        asked().when(Request { funding_account: id("000003"), ..request("4.00") }).then_refused("transaction_id_taken");
    }

    #[test]
    fn what_was_asked_for_is_put_in_once() {
        let credited = asked().when(credit_request(3)).then_events([request_credited(3, "4.00", "14.00")]);
        credited.when(credit_request(3)).then_no_events();
    }

    #[test]
    fn what_was_not_asked_for_is_not_put_in() {
        ten().when(credit_request(3)).then_refused("unknown_transaction");
        asked().when(credit_request(4)).then_refused("unknown_transaction");
    }

    #[test]
    fn nothing_is_put_in_after_a_rejection() {
        told().when(credit_request(3)).then_refused("request_rejected");
    }

    #[test]
    fn whoever_asked_is_told_once_that_it_came_to_nothing() {
        let told = asked().when(notify(3)).then_events([rejection_received(3)]);
        told.when(notify(3)).then_no_events();
    }

    #[test]
    fn whoever_asked_is_told_on_a_deleted_account_too() {
        asked().and_events([deleted()]).when(notify(3)).then_events([rejection_received(3)]);
    }

    #[test]
    fn nobody_is_told_of_what_was_not_asked_for_or_was_paid() {
        ten().when(notify(3)).then_refused("unknown_transaction");
        asked().and_events([request_credited(3, "4.00", "14.00")]).when(notify(3)).then_refused("already_decided");
    }
}
