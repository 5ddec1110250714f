//! Money asked for, as the account sees it that was asked: the funding one.

use headwater::clock::Timestamp;
use headwater::position::Version;
use headwater::{Context, Decision};
use serde::{Deserialize, Serialize};

use super::transactions::{Key, Part, ReceivedRequest, ReceivedStage, Transaction, said};
use super::{Account, AccountRefusal, Judgement};
use crate::values::{AccountId, Amount, Money, TransactionId};

/// Lays a request before the account. Issued by the saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetRequestApproval {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who asked, and began the transaction.
    pub funded_account: AccountId,
    /// The version with which it began.
    pub begun_version: Version,
    /// How much.
    pub amount: Amount,
    /// Until when it may be decided and debited.
    pub deadline: Timestamp,
}

/// Agrees to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptRequest {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who asked, and began the transaction.
    pub funded_account: AccountId,
}

/// Declines to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectRequest {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who asked, and began the transaction.
    pub funded_account: AccountId,
}

/// Takes out what was agreed to be paid. Issued by the saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebitRequest {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who asked, and began the transaction.
    pub funded_account: AccountId,
    /// The version with which it began; none for the last of that id.
    pub begun_version: Version,
}

/// Gives back what was paid and could not be put in. Issued by the saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRequestDebit {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who asked, and began the transaction.
    pub funded_account: AccountId,
    /// The version with which it began; none for the last of that id.
    pub begun_version: Version,
    /// How much was debited; needed once the account has forgotten.
    pub amount: Option<Amount>,
    /// This account's version after the debit; needed once the account has forgotten.
    pub debit_version: Version,
}

/// A request came in, and is to be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestReceived {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who asked, and began the transaction.
    pub funded_account: AccountId,
    /// The version with which it began.
    pub begun_version: Version,
    /// How much.
    pub amount: Amount,
    /// Until when it may be decided and debited.
    pub deadline: Timestamp,
}

/// It was agreed to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestApproved {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who asked, and began the transaction.
    pub funded_account: AccountId,
    /// The version with which it began.
    pub begun_version: Version,
}

/// It was declined to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRejected {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who asked, and began the transaction.
    pub funded_account: AccountId,
    /// The version with which it began.
    pub begun_version: Version,
}

/// What was agreed to be paid was taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestDebited {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who asked, and began the transaction.
    pub funded_account: AccountId,
    /// The version with which it began.
    pub begun_version: Version,
    /// How much.
    pub amount: Amount,
    /// What is there afterwards.
    pub balance: Money,
}

/// What was taken out and could not be put in was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestDebitRolledBack {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who asked, and began the transaction.
    pub funded_account: AccountId,
    /// The version with which it began.
    pub begun_version: Version,
    /// How much.
    pub amount: Amount,
    /// What is there afterwards.
    pub balance: Money,
}

/// A request that was received, as it is remembered.
type Received<'a> = Option<(&'a Transaction, &'a ReceivedRequest)>;

impl Account {
    pub(super) fn get_request_approval(&self, command: GetRequestApproval, at: &Context<'_>) -> Judgement {
        let GetRequestApproval { transaction_id, funded_account, begun_version, amount, deadline } = command;
        if self.received_request(Key::begun_by(funded_account, &transaction_id, said(begun_version))).is_some() {
            return Ok(Decision::none());
        }
        self.must_be_open()?;
        if at.time > deadline {
            return Err(AccountRefusal::TransactionTimedOut { deadline });
        }
        Ok(Decision::event(RequestReceived { transaction_id, funded_account, begun_version, amount, deadline }))
    }

    pub(super) fn accept_request(&self, command: AcceptRequest, at: &Context<'_>) -> Judgement {
        use ReceivedStage::{Approved, Debited, RolledBack};
        let AcceptRequest { transaction_id, funded_account } = command;
        let received = self.received_request(Key::begun_by(funded_account, &transaction_id, None));
        if received.is_some_and(|(_, it)| matches!(it.stage, Approved | Debited | RolledBack)) {
            return Ok(Decision::none());
        }
        let begun_version = self.to_be_decided(received, at)?;
        Ok(Decision::event(RequestApproved { transaction_id, funded_account, begun_version }))
    }

    pub(super) fn reject_request(&self, command: RejectRequest, at: &Context<'_>) -> Judgement {
        let RejectRequest { transaction_id, funded_account } = command;
        let received = self.received_request(Key::begun_by(funded_account, &transaction_id, None));
        if received.is_some_and(|(_, it)| it.stage == ReceivedStage::Rejected) {
            return Ok(Decision::none());
        }
        let begun_version = self.to_be_decided(received, at)?;
        Ok(Decision::event(RequestRejected { transaction_id, funded_account, begun_version }))
    }

    pub(super) fn debit_request(&self, command: DebitRequest, at: &Context<'_>) -> Judgement {
        let DebitRequest { transaction_id, funded_account, begun_version } = command;
        let received = self.received_request(Key::begun_by(funded_account, &transaction_id, said(begun_version)));
        if received.is_some_and(|(_, it)| matches!(it.stage, ReceivedStage::Debited | ReceivedStage::RolledBack)) {
            return Ok(Decision::none());
        }
        let (known, request) = self.in_time(received, at)?;
        if request.stage != ReceivedStage::Approved {
            return Err(AccountRefusal::NotApproved);
        }
        let (begun_version, amount) = (known.begun_version, known.amount);
        let balance = self.debited(amount)?;
        Ok(Decision::event(RequestDebited { transaction_id, funded_account, begun_version, amount, balance }))
    }

    /// Also on a deleted account, and after the deadline: the money has to go somewhere.
    ///
    /// As with a transfer, the saga's word is taken for a debit that is remembered no more.
    pub(super) fn roll_request_back(&self, command: RollbackRequestDebit) -> Judgement {
        let RollbackRequestDebit { transaction_id, funded_account, begun_version, amount, debit_version } = command;
        let received = self.received_request(Key::begun_by(funded_account, &transaction_id, said(begun_version)));
        if received.is_some_and(|(_, it)| it.stage == ReceivedStage::RolledBack) {
            return Ok(Decision::none());
        }
        self.must_exist()?;
        let (begun_version, amount) = match (received, amount) {
            (Some((known, it)), _) if it.stage == ReceivedStage::Debited => (known.begun_version, known.amount),
            (Some(_), _) => return Err(AccountRefusal::NotDebited),
            (None, Some(amount)) if self.transactions.may_have_forgotten_debit(debit_version) => {
                (begun_version, amount)
            }
            (None, _) => return Err(AccountRefusal::UnknownTransaction),
        };
        let balance = self.balance + amount;
        Ok(Decision::event(RequestDebitRolledBack { transaction_id, funded_account, begun_version, amount, balance }))
    }

    fn received_request(&self, key: Key<'_>) -> Received<'_> {
        self.transactions.find(key, Part::received_request)
    }

    /// The version with which a request began that may still be decided.
    fn to_be_decided(&self, received: Received<'_>, at: &Context<'_>) -> Result<Version, AccountRefusal> {
        let (known, request) = self.in_time(received, at)?;
        if request.stage == ReceivedStage::Pending {
            Ok(known.begun_version)
        } else {
            Err(AccountRefusal::AlreadyDecided)
        }
    }

    fn in_time<'a>(
        &self,
        received: Received<'a>,
        at: &Context<'_>,
    ) -> Result<(&'a Transaction, &'a ReceivedRequest), AccountRefusal> {
        self.must_be_open()?;
        let (known, request) = received.ok_or(AccountRefusal::UnknownTransaction)?;
        if request.is_over_at(at.time) {
            return Err(AccountRefusal::TransactionTimedOut { deadline: request.deadline });
        }
        Ok((known, request))
    }

    pub(super) fn request_received(&mut self, event: &RequestReceived) {
        let RequestReceived { transaction_id, funded_account, begun_version, amount, deadline } = event.clone();
        let (stage, debit_version) = (ReceivedStage::Pending, Version::NONE);
        let part = Part::ReceivedRequest(ReceivedRequest { deadline, stage, debit_version });
        let other_account = funded_account;
        self.transactions.remember(Transaction { id: transaction_id, begun_version, other_account, amount, part });
    }

    /// How far a request is that this account received.
    pub(super) fn request_is(&mut self, from: AccountId, id: &TransactionId, begun: Version, stage: ReceivedStage) {
        let key = Key::begun_by(from, id, Some(begun));
        self.transactions.change(key, Part::received_request_mut, |request| request.stage = stage);
    }

    pub(super) fn request_debited(&mut self, event: &RequestDebited, version: Version) {
        let key = Key::begun_by(event.funded_account, &event.transaction_id, Some(event.begun_version));
        self.transactions.change(key, Part::received_request_mut, |request| {
            (request.stage, request.debit_version) = (ReceivedStage::Debited, version);
        });
    }

    pub(super) fn request_rolled_back(&mut self, event: &RequestDebitRolledBack, now: Timestamp) {
        let RequestDebitRolledBack { transaction_id, funded_account, begun_version, amount, .. } = event.clone();
        let key = Key::begun_by(funded_account, &transaction_id, Some(begun_version));
        let stage = ReceivedStage::RolledBack;
        if !self.transactions.change(key, Part::received_request_mut, |request| request.stage = stage) {
            // Its deadline is forgotten; after a debit it means nothing any more.
            let part = Part::ReceivedRequest(ReceivedRequest { deadline: now, stage, debit_version: Version::NONE });
            let (id, other_account) = (transaction_id, funded_account);
            self.transactions.remember(Transaction { id, begun_version, other_account, amount, part });
        }
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

    fn pending() -> Given<Account> {
        ten().and_events([request_received("4.00")])
    }

    fn approved() -> Given<Account> {
        pending().and_events([request_approved()])
    }

    fn rejected() -> Given<Account> {
        pending().and_events([request_rejected()])
    }

    fn debited() -> Given<Account> {
        approved().and_events([request_debited("4.00", "6.00")])
    }

    fn rolled_back() -> Given<Account> {
        debited().and_events([request_rolled_back("4.00", "10.00")])
    }

    #[test]
    fn a_request_is_laid_before_the_account_once_and_in_time() {
        ten().when(ask("4.00")).then_events([request_received("4.00")]).when(ask("4.00")).then_no_events();
        ten().at(deadline()).when(ask("4.00")).then_events([request_received("4.00")]);
        ten().at(too_late()).when(ask("4.00")).then_refused("transaction_timed_out");
    }

    #[test]
    fn a_request_is_accepted_once_and_in_time() {
        pending().when(accept()).then_events([request_approved()]).when(accept()).then_no_events();
        pending().at(deadline()).when(accept()).then_events([request_approved()]);
        pending().at(too_late()).when(accept()).then_refused("transaction_timed_out");
    }

    #[test]
    fn a_request_is_rejected_once_and_in_time() {
        pending().when(reject()).then_events([request_rejected()]).when(reject()).then_no_events();
        pending().at(deadline()).when(reject()).then_events([request_rejected()]);
        pending().at(too_late()).when(reject()).then_refused("transaction_timed_out");
    }

    #[test]
    fn what_was_decided_is_not_decided_otherwise() {
        rejected().when(accept()).then_refused("already_decided");
        for account in [approved(), debited(), rolled_back()] {
            account.when(reject()).then_refused("already_decided");
        }
    }

    #[test]
    fn what_was_accepted_is_taken_out_once_and_in_time() {
        approved().when(debit_request()).then_events([request_debited("4.00", "6.00")]);
        for account in [debited(), rolled_back()] {
            account.at(too_late()).when(debit_request()).then_no_events();
        }
        approved().at(too_late()).when(debit_request()).then_refused("transaction_timed_out");
    }

    #[test]
    fn nothing_is_taken_out_that_was_not_accepted() {
        for account in [pending(), rejected()] {
            account.when(debit_request()).then_refused("not_approved");
        }
    }

    #[test]
    fn a_request_takes_out_to_exactly_the_floor_and_not_below() {
        let approved = |how_much| ten().and_events([request_received(how_much), request_approved()]);
        approved("110.00").when(debit_request()).then_events([request_debited("110.00", "-100.00")]);
        approved("110.01").when(debit_request()).then_refused("insufficient_funds");
    }

    #[test]
    fn what_was_taken_out_is_given_back_once_and_at_any_time() {
        let after = debited().at(too_late()).when(roll_request_back(5, "4.00"));
        after.then_events([request_rolled_back("4.00", "10.00")]).when(roll_request_back(5, "4.00")).then_no_events();
    }

    #[test]
    fn what_was_taken_out_is_given_back_to_a_deleted_account_too() {
        let after = debited().and_events([deleted()]).when(roll_request_back(5, "4.00"));
        after.then_events([request_rolled_back("4.00", "10.00")]);
    }

    #[test]
    fn nothing_is_given_back_that_was_not_taken_out() {
        for account in [pending(), approved(), rejected()] {
            account.when(roll_request_back(5, "4.00")).then_refused("not_debited");
        }
    }

    #[test]
    fn what_was_never_received_is_unknown() {
        ten().when(accept()).then_refused("unknown_transaction");
        ten().when(reject()).then_refused("unknown_transaction");
        ten().when(debit_request()).then_refused("unknown_transaction");
        ten().when(roll_request_back(5, "4.00")).then_refused("unknown_transaction");
        let of_another = AcceptRequest { funded_account: id("000003"), ..accept() };
        pending().when(of_another).then_refused("unknown_transaction");
    }

    #[test]
    fn a_decision_is_on_the_last_request_of_that_id() {
        let again = GetRequestApproval { begun_version: Version(2008), ..ask("5.00") };
        let before = rejected().when(again).into_given();
        let approved = RequestApproved { transaction_id: t1(), funded_account: other(), begun_version: Version(2008) };
        before.when(accept()).then_events([approved]);
    }
}
