//! What an account remembers of its transactions: enough that no step is done twice, and little enough
//! that its state stays small.
//!
//! Open ones, and the last thousand that closed. A transfer closes as soon as its money has moved here; a
//! request that was sent when it is credited or comes to nothing; one that was received when it is
//! rejected or debited, or once its deadline has passed.
//!
//! A transaction is known by the account that began it together with its id, and may use an id again that
//! is remembered no more. So the version with which it began is carried along: without it the other side,
//! which may remember longer, would take a second use for a repeat of the first, and the money would be
//! lost.

use std::collections::VecDeque;

use headwater::clock::Timestamp;
use headwater::position::Version;
use serde::{Deserialize, Serialize};

use crate::values::{AccountId, Amount, TransactionId};

/// How many closed transactions are remembered.
pub const CLOSED_REMEMBERED: usize = 1_000;

/// What an account remembers of its transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transactions {
    open: Vec<Transaction>,
    /// The earliest first.
    closed: VecDeque<Transaction>,
    /// The last version with a debit that is remembered no more.
    forgotten_debits_to: Version,
}

/// One use of a transaction id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// As whoever began it named it.
    pub id: TransactionId,
    /// The version of the account that began it, with which it began.
    pub begun_version: Version,
    /// The account on the other side.
    pub other_account: AccountId,
    /// How much.
    pub amount: Amount,
    /// What this account has to do with it.
    pub part: Part,
}

/// What an account has to do with a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// It sent the money.
    SentTransfer(SentTransfer),
    /// It was sent the money.
    ReceivedTransfer(ReceivedTransfer),
    /// It asked for the money.
    SentRequest(SentRequest),
    /// It was asked for the money.
    ReceivedRequest(ReceivedRequest),
}

/// See [`Part::SentTransfer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentTransfer {
    /// Whether it was given back.
    pub rolled_back: bool,
}

/// See [`Part::ReceivedTransfer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedTransfer {}

/// See [`Part::SentRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRequest {
    /// How far it is.
    pub stage: SentStage,
}

/// How far a request is that an account sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SentStage {
    /// Nothing came of it yet.
    Open,
    /// The money was put in.
    Credited,
    /// It came to nothing.
    Rejected,
}

/// See [`Part::ReceivedRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedRequest {
    /// Until when it may be decided and debited.
    pub deadline: Timestamp,
    /// How far it is.
    pub stage: ReceivedStage,
    /// The version with which it was debited; none before.
    pub debit_version: Version,
}

/// How far a request is that an account received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceivedStage {
    /// It is to be decided.
    Pending,
    /// It was approved.
    Approved,
    /// It was declined.
    Rejected,
    /// The money was taken out.
    Debited,
    /// The money was taken out and given back.
    RolledBack,
}

/// Names a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    id: &'k TransactionId,
    /// The version with which it began; none for the last of that id.
    begun_version: Option<Version>,
    /// The account that began it; none for this one.
    begun_by: Option<AccountId>,
}

impl<'k> Key<'k> {
    /// One that this account began.
    pub const fn begun_here(id: &'k TransactionId, begun_version: Option<Version>) -> Self {
        Self { id, begun_version, begun_by: None }
    }

    /// One that another account began.
    pub const fn begun_by(account: AccountId, id: &'k TransactionId, begun_version: Option<Version>) -> Self {
        Self { id, begun_version, begun_by: Some(account) }
    }
}

/// The version that a command says a transaction began with; none if it means the last of its id.
pub fn said(begun_version: Version) -> Option<Version> {
    (begun_version != Version::NONE).then_some(begun_version)
}

impl Part {
    /// Of a transfer that was sent.
    pub const fn sent_transfer(&self) -> Option<&SentTransfer> {
        if let Self::SentTransfer(part) = self { Some(part) } else { None }
    }

    /// Of a transfer that was received.
    pub const fn received_transfer(&self) -> Option<&ReceivedTransfer> {
        if let Self::ReceivedTransfer(part) = self { Some(part) } else { None }
    }

    /// Of a request that was sent.
    pub const fn sent_request(&self) -> Option<&SentRequest> {
        if let Self::SentRequest(part) = self { Some(part) } else { None }
    }

    /// Of a request that was received.
    pub const fn received_request(&self) -> Option<&ReceivedRequest> {
        if let Self::ReceivedRequest(part) = self { Some(part) } else { None }
    }

    /// Of a transfer that was sent.
    pub const fn sent_transfer_mut(&mut self) -> Option<&mut SentTransfer> {
        if let Self::SentTransfer(part) = self { Some(part) } else { None }
    }

    /// Of a request that was sent.
    pub const fn sent_request_mut(&mut self) -> Option<&mut SentRequest> {
        if let Self::SentRequest(part) = self { Some(part) } else { None }
    }

    /// Of a request that was received.
    pub const fn received_request_mut(&mut self) -> Option<&mut ReceivedRequest> {
        if let Self::ReceivedRequest(part) = self { Some(part) } else { None }
    }
}

impl Transaction {
    /// Whether its other account and amount are these.
    pub fn has(&self, other_account: AccountId, amount: Amount) -> bool {
        (self.other_account, self.amount) == (other_account, amount)
    }

    fn is(&self, key: Key<'_>) -> bool {
        let version_is_so = key.begun_version.is_none_or(|version| version == self.begun_version);
        version_is_so && self.begun_by() == key.begun_by && self.id == *key.id
    }

    /// The account that began it; none for this one.
    fn begun_by(&self) -> Option<AccountId> {
        match self.part {
            Part::SentTransfer(_) | Part::SentRequest(_) => None,
            Part::ReceivedTransfer(_) | Part::ReceivedRequest(_) => Some(self.other_account),
        }
    }

    fn is_open(&self) -> bool {
        match &self.part {
            Part::SentTransfer(_) | Part::ReceivedTransfer(_) => false,
            Part::SentRequest(request) => request.stage == SentStage::Open,
            Part::ReceivedRequest(request) => {
                matches!(request.stage, ReceivedStage::Pending | ReceivedStage::Approved)
            }
        }
    }

    fn is_over_at(&self, time: Timestamp) -> bool {
        matches!(&self.part, Part::ReceivedRequest(request) if request.is_over_at(time))
    }

    /// The version of this account with which it was debited; none if it was not.
    fn debit_version(&self) -> Version {
        match &self.part {
            Part::SentTransfer(_) => self.begun_version,
            Part::ReceivedRequest(request) => request.debit_version,
            Part::ReceivedTransfer(_) | Part::SentRequest(_) => Version::NONE,
        }
    }
}

impl ReceivedRequest {
    /// Whether the deadline has passed.
    pub fn is_over_at(&self, time: Timestamp) -> bool {
        time > self.deadline
    }
}

impl Transactions {
    /// The transaction of this name and part, with that part; of several uses of an id the last.
    pub fn find<'t, P>(
        &'t self,
        key: Key<'_>,
        part: fn(&'t Part) -> Option<&'t P>,
    ) -> Option<(&'t Transaction, &'t P)> {
        let found = self.open.iter().chain(&self.closed).filter(|transaction| transaction.is(key));
        let found = found.filter_map(|transaction| Some((transaction, part(&transaction.part)?)));
        found.max_by_key(|(transaction, _)| transaction.begun_version)
    }

    /// Whether this version may have been a debit that is remembered no more.
    pub fn may_have_forgotten_debit(&self, version: Version) -> bool {
        (Version::NONE.next()..=self.forgotten_debits_to).contains(&version)
    }

    /// Remembers a transaction from now on.
    pub fn remember(&mut self, transaction: Transaction) {
        if transaction.is_open() { self.open.push(transaction) } else { self.close(transaction) }
    }

    /// Changes the part of a transaction, if it is remembered, and tells whether it is.
    pub fn change<P>(
        &mut self,
        key: Key<'_>,
        part: fn(&mut Part) -> Option<&mut P>,
        change: impl FnOnce(&mut P),
    ) -> bool {
        let is_it = |transaction: &mut Transaction| transaction.is(key) && part(&mut transaction.part).is_some();
        if let Some(place) = self.open.iter_mut().position(is_it) {
            part(&mut self.open[place].part).map(change);
            if !self.open[place].is_open() {
                let closed = self.open.remove(place);
                self.close(closed);
            }
            return true;
        }
        let mut closed = self.closed.iter_mut().filter(|transaction| transaction.is(key));
        closed.find_map(|transaction| part(&mut transaction.part)).map(change).is_some()
    }

    /// Closes what was received and can no longer be decided or debited at this time.
    pub fn close_overdue(&mut self, time: Timestamp) {
        if self.open.iter().any(|transaction| transaction.is_over_at(time)) {
            let (overdue, open) = self.open.drain(..).partition(|transaction| transaction.is_over_at(time));
            self.open = open;
            let overdue: Vec<Transaction> = overdue;
            for transaction in overdue {
                self.close(transaction);
            }
        }
    }

    fn close(&mut self, transaction: Transaction) {
        self.closed.push_back(transaction);
        while self.closed.len() > CLOSED_REMEMBERED {
            let forgotten = self.closed.pop_front().map_or(Version::NONE, |forgotten| forgotten.debit_version());
            self.forgotten_debits_to = self.forgotten_debits_to.max(forgotten);
        }
    }
}
