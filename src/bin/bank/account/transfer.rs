//! Money sent to another account: debited here, credited there, given back here if that cannot be.

use headwater::position::Version;
use headwater::{Context, Decision, EventContext};
use serde::{Deserialize, Serialize};

use super::transactions::{Key, Part, ReceivedTransfer, SentTransfer, Transaction, said};
use super::{Account, AccountRefusal, Judgement, must_be_another};
use crate::values::{AccountId, Amount, Money, TransactionId};

/// Sends money to another account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who is to have it.
    pub funded_account: AccountId,
    /// How much.
    pub amount: Amount,
}

/// Puts in what another account sent. Issued by the saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditTransfer {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who sent it, and began the transaction.
    pub funding_account: AccountId,
    /// The version with which it began; none for the last of that id.
    pub begun_version: Version,
    /// How much.
    pub amount: Amount,
}

/// Gives back what was sent and could not be put in. Issued by the saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackTransferDebit {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The version with which it began; none for the last of that id.
    pub begun_version: Version,
    /// Who was to have it; needed once the account has forgotten.
    pub funded_account: Option<AccountId>,
    /// How much; needed once the account has forgotten.
    pub amount: Option<Amount>,
}

/// Money was sent to another account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferDebited {
    /// The transaction, which began with this event.
    pub transaction_id: TransactionId,
    /// Who is to have it.
    pub funded_account: AccountId,
    /// How much.
    pub amount: Amount,
    /// What is there afterwards.
    pub balance: Money,
}

/// Money that another account sent was put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferCredited {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who sent it, and began the transaction.
    pub funding_account: AccountId,
    /// The version with which it began.
    pub begun_version: Version,
    /// How much.
    pub amount: Amount,
    /// What is there afterwards.
    pub balance: Money,
}

/// Money that was sent and could not be put in was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferDebitRolledBack {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Who was to have it.
    pub funded_account: AccountId,
    /// The version with which it began.
    pub begun_version: Version,
    /// How much.
    pub amount: Amount,
    /// What is there afterwards.
    pub balance: Money,
}

impl Account {
    pub(super) fn transfer(&self, command: Transfer, at: &Context<'_>) -> Judgement {
        let Transfer { transaction_id, funded_account, amount } = command;
        let begun = self.transactions.find(Key::begun_here(&transaction_id, None), Some);
        let is_repeat =
            |(it, part): (&Transaction, &Part)| matches!(part, Part::SentTransfer(_)) && it.has(funded_account, amount);
        if begun.is_some_and(is_repeat) {
            return Ok(Decision::none());
        }
        self.must_be_open()?;
        must_be_another(at, funded_account)?;
        if begun.is_some() {
            return Err(AccountRefusal::TransactionIdTaken);
        }
        let balance = self.debited(amount)?;
        Ok(Decision::event(TransferDebited { transaction_id, funded_account, amount, balance }))
    }

    pub(super) fn credit_transfer(&self, command: CreditTransfer) -> Judgement {
        let CreditTransfer { transaction_id, funding_account, begun_version, amount } = command;
        let key = Key::begun_by(funding_account, &transaction_id, said(begun_version));
        if self.transactions.find(key, Part::received_transfer).is_some() {
            return Ok(Decision::none());
        }
        self.must_be_open()?;
        let balance = self.balance + amount;
        Ok(Decision::event(TransferCredited { transaction_id, funding_account, begun_version, amount, balance }))
    }

    /// Also on a deleted account: the money has to go somewhere.
    ///
    /// A debit may lie behind more transactions than are remembered; then the saga's word is taken for it. It
    /// gives its word once, and what it gave back is remembered anew.
    pub(super) fn roll_transfer_back(&self, command: RollbackTransferDebit) -> Judgement {
        let RollbackTransferDebit { transaction_id, begun_version, funded_account, amount } = command;
        let key = Key::begun_here(&transaction_id, said(begun_version));
        let sent = self.transactions.find(key, Part::sent_transfer);
        if sent.is_some_and(|(_, sent)| sent.rolled_back) {
            return Ok(Decision::none());
        }
        self.must_exist()?;
        let (begun_version, funded_account, amount) = match (sent, funded_account, amount) {
            (Some((it, _)), ..) => (it.begun_version, it.other_account, it.amount),
            (None, Some(funded_account), Some(amount)) if self.transactions.may_have_forgotten_debit(begun_version) => {
                (begun_version, funded_account, amount)
            }
            _ => return Err(AccountRefusal::UnknownTransaction),
        };
        let balance = self.balance + amount;
        Ok(Decision::event(TransferDebitRolledBack { transaction_id, funded_account, begun_version, amount, balance }))
    }

    pub(super) fn transfer_debited(&mut self, event: &TransferDebited, at: &EventContext<'_>) {
        self.transactions.remember(Transaction {
            id: event.transaction_id.clone(),
            begun_version: at.version,
            other_account: event.funded_account,
            amount: event.amount,
            part: Part::SentTransfer(SentTransfer { rolled_back: false }),
        });
    }

    pub(super) fn transfer_credited(&mut self, event: &TransferCredited) {
        self.transactions.remember(Transaction {
            id: event.transaction_id.clone(),
            begun_version: event.begun_version,
            other_account: event.funding_account,
            amount: event.amount,
            part: Part::ReceivedTransfer(ReceivedTransfer {}),
        });
    }

    pub(super) fn transfer_rolled_back(&mut self, event: &TransferDebitRolledBack) {
        let key = Key::begun_here(&event.transaction_id, Some(event.begun_version));
        if !self.transactions.change(key, Part::sent_transfer_mut, |sent| sent.rolled_back = true) {
            self.transactions.remember(Transaction {
                id: event.transaction_id.clone(),
                begun_version: event.begun_version,
                other_account: event.funded_account,
                amount: event.amount,
                part: Part::SentTransfer(SentTransfer { rolled_back: true }),
            });
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

    fn sent() -> Given<Account> {
        ten().and_events([transfer_debited("4.00", "6.00")])
    }

    #[test]
    fn a_transfer_lowers_the_balance() {
        ten().when(transfer("4.00")).then_events([transfer_debited("4.00", "6.00")]);
    }

    #[test]
    fn a_transfer_to_the_account_itself_is_refused() {
        let to_itself = Transfer { funded_account: this(), ..transfer("4.00") };
        ten().when(to_itself).then_refused("same_account");
    }

    #[test]
    fn a_transfer_goes_to_exactly_the_floor_and_not_below() {
        ten().when(transfer("110.00")).then_events([transfer_debited("110.00", "-100.00")]);
        ten().when(transfer("110.01")).then_refused("insufficient_funds");
    }

    #[test]
    fn the_same_transfer_again_is_accepted_and_changes_nothing() {
        sent().when(transfer("4.00")).then_no_events();
        let rolled_back = sent().and_events([transfer_rolled_back(3, "4.00", "10.00")]);
        rolled_back.when(transfer("4.00")).then_no_events();
    }

    #[test]
    fn another_transaction_of_the_same_id_is_refused() {
        sent().when(transfer("4.01")).then_refused("transaction_id_taken");
        let to_another = Transfer { funded_account: id("000003"), ..transfer("4.00") };
        sent().when(to_another).then_refused("transaction_id_taken");
        sent().when(request("4.00")).then_refused("transaction_id_taken");
        let asked = ten().and_events([request_created("4.00")]);
        asked.when(transfer("4.00")).then_refused("transaction_id_taken");
    }

    #[test]
    fn what_was_sent_is_put_in_once() {
        let credited = ten().when(credit_transfer(3, "4.00")).then_events([transfer_credited(3, "4.00", "14.00")]);
        credited.when(credit_transfer(3, "4.00")).then_no_events();
    }

    #[test]
    fn two_accounts_may_use_the_same_transaction_id() {
        let from_another = CreditTransfer { funding_account: id("000003"), ..credit_transfer(3, "4.00") };
        let before = sent().and_events([transfer_credited(3, "4.00", "10.00")]);
        let after = before.when(from_another).into_given();
        assert_eq!(after.state().balance(), money("14.00"));
    }

    #[test]
    fn a_transaction_id_that_is_used_again_is_put_in_again() {
        let before = ten().and_events([transfer_credited(3, "4.00", "14.00")]);
        before.when(credit_transfer(2008, "4.00")).then_events([transfer_credited(2008, "4.00", "18.00")]);
    }

    #[test]
    fn what_was_sent_is_given_back_once() {
        let given_back =
            sent().when(roll_transfer_back(3, "4.00")).then_events([transfer_rolled_back(3, "4.00", "10.00")]);
        given_back.when(roll_transfer_back(3, "4.00")).then_no_events();
    }

    #[test]
    fn what_was_sent_is_given_back_to_a_deleted_account_too() {
        let deleted = sent().and_events([deleted()]);
        deleted.when(roll_transfer_back(3, "4.00")).then_events([transfer_rolled_back(3, "4.00", "10.00")]);
    }

    #[test]
    fn what_was_not_sent_is_not_given_back() {
        for version in [0, 3, 4] {
            ten().when(roll_transfer_back(version, "4.00")).then_refused("unknown_transaction");
        }
        sent().when(roll_transfer_back(4, "4.00")).then_refused("unknown_transaction");
        let asked = ten().and_events([request_created("4.00")]);
        asked.when(roll_transfer_back(3, "4.00")).then_refused("unknown_transaction");
    }

    #[test]
    fn a_rollback_without_more_than_the_id_is_that_of_the_last_transfer_of_it() {
        let bare = RollbackTransferDebit { funded_account: None, amount: None, ..roll_transfer_back(0, "1.00") };
        sent().when(bare).then_events([transfer_rolled_back(3, "4.00", "10.00")]);
    }
}
