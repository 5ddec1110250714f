//! Money that was sent: it comes to whom it was sent to, or back.
//!
//! | stage | input | what follows |
//! |---|---|---|
//! | none | `TransferDebited` | `CreditTransfer` |
//! | crediting | accepted | the end |
//! | crediting | refused | `RollbackTransferDebit`, issued anew until it is accepted |
//! | crediting | failed | the same again after 30 s |
//! | rolling back | accepted | the end |
//!
//! Everything else comes too late or twice, and does nothing.

use headwater::command::Outcome;
use headwater::position::Version;
use headwater::saga::{Input, Reaction, SagaContext, SagaId};
use headwater::{Recorded, Saga, state};
use serde::{Deserialize, Serialize};

use super::{RETRY_AFTER, saga_id};
use crate::account::{Account, AccountEvent, CreditTransfer, RollbackTransferDebit};
use crate::values::{AccountId, Amount, TransactionId};

/// Brings money that was sent to whom it was sent to, or back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// None before the first event.
    begun: Option<BegunTransfer>,
}

/// A transfer that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BegunTransfer {
    transaction_id: TransactionId,
    funding_account: AccountId,
    begun_version: Version,
    funded_account: AccountId,
    amount: Amount,
    stage: TransferStage,
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum TransferStage {
    Crediting,
    RollingBack,
}

/// The commands of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferStep {
    /// The money is put in.
    Credit,
    /// It is given back.
    RollBack,
}

state! { Transfer in "schemas/bank/transfer" }

impl Saga for Transfer {
    const NAME: &'static str = "transfer";
    type Source = Account;
    type Step = TransferStep;

    fn correlate(event: &Recorded<AccountEvent>) -> Option<SagaId> {
        match &event.data {
            AccountEvent::TransferDebited(debited) => {
                Some(saga_id(&event.aggregate_id, &debited.transaction_id, event.version))
            }
            _ => None,
        }
    }

    fn react(&mut self, input: Input<Self>, _at: &SagaContext<'_>) -> Reaction<Self> {
        match (input, &mut self.begun) {
            (Input::Event(event), None) => self.begin(event),
            (Input::Outcome { of, outcome }, Some(begun)) => begun.hear(of, &outcome),
            _ => Reaction::none(),
        }
    }
}

impl Transfer {
    fn begin(&mut self, event: Recorded<AccountEvent>) -> Reaction<Self> {
        let AccountEvent::TransferDebited(debited) = event.data else { return Reaction::none() };
        let Ok(funding_account) = event.aggregate_id.parse() else { return Reaction::none() };
        let begun = self.begun.insert(BegunTransfer {
            transaction_id: debited.transaction_id,
            funding_account,
            begun_version: event.version,
            funded_account: debited.funded_account,
            amount: debited.amount,
            stage: TransferStage::Crediting,
        });
        let credit = CreditTransfer {
            transaction_id: begun.transaction_id.clone(),
            funding_account,
            begun_version: begun.begun_version,
            amount: begun.amount,
        };
        Reaction::none().send::<Account>(TransferStep::Credit, begun.funded_account, credit)
    }
}

impl BegunTransfer {
    fn hear(&mut self, of: TransferStep, outcome: &Outcome) -> Reaction<Transfer> {
        match (self.stage, of, outcome) {
            (TransferStage::Crediting, TransferStep::Credit, Outcome::Refused(_)) => self.roll_back(),
            (TransferStage::Crediting, TransferStep::Credit, Outcome::Failed(_)) => Reaction::none().retry(RETRY_AFTER),
            (TransferStage::Crediting, TransferStep::Credit, Outcome::Accepted(_))
            | (TransferStage::RollingBack, TransferStep::RollBack, Outcome::Accepted(_)) => Reaction::none().end(),
            _ => Reaction::none(),
        }
    }

    fn roll_back(&mut self) -> Reaction<Transfer> {
        self.stage = TransferStage::RollingBack;
        let rollback = RollbackTransferDebit {
            transaction_id: self.transaction_id.clone(),
            begun_version: self.begun_version,
            funded_account: Some(self.funded_account),
            amount: Some(self.amount),
        };
        Reaction::none().compensate::<Account>(TransferStep::RollBack, self.funding_account, rollback)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use headwater::command::Failure;
    use headwater::testing::outcomes::{accepted, failed, refused};
    use headwater::testing::{GivenSaga, ThenSaga};

    use super::*;
    use crate::account::fixtures::*;

    fn debited() -> ThenSaga<Transfer> {
        GivenSaga::of("000001/t1#1").event("000001", transfer_debited("4.00", "6.00")).then()
    }

    fn refused_to_credit() -> ThenSaga<Transfer> {
        debited().outcome(TransferStep::Credit, refused("account_deleted")).then()
    }

    fn credit() -> CreditTransfer {
        CreditTransfer { funding_account: this(), ..credit_transfer(1, "4.00") }
    }

    #[test]
    fn what_was_debited_is_credited() {
        debited()
            .sends::<Account>(TransferStep::Credit, "000002", credit())
            .sends_in_all(1)
            .has_no_deadline()
            .goes_on();
    }

    #[test]
    fn once_credited_it_ends() {
        debited().outcome(TransferStep::Credit, accepted()).then().sends_nothing().ends();
    }

    #[test]
    fn what_cannot_be_credited_is_given_back() {
        let rollback = roll_transfer_back(1, "4.00");
        refused_to_credit()
            .compensates::<Account>(TransferStep::RollBack, "000001", rollback)
            .sends_in_all(1)
            .goes_on();
    }

    #[test]
    fn once_given_back_it_ends() {
        refused_to_credit().outcome(TransferStep::RollBack, accepted()).then().sends_nothing().ends();
    }

    #[test]
    fn a_credit_that_fails_is_issued_anew_after_half_a_minute() {
        let failed = debited().outcome(TransferStep::Credit, failed(Failure::TooLarge)).then();
        let failed = failed.sends_nothing().retries_after(Duration::from_secs(30)).goes_on();
        failed.outcome(TransferStep::Credit, accepted()).then().ends();
    }

    #[test]
    fn a_credit_that_is_skipped_by_hand_is_given_back() {
        let skipped = debited().outcome(TransferStep::Credit, failed(Failure::Skipped)).then();
        skipped.compensates::<Account>(TransferStep::RollBack, "000001", roll_transfer_back(1, "4.00"));
    }

    #[test]
    fn it_is_given_back_until_that_is_accepted() {
        let mut saga = refused_to_credit();
        for outcome in [failed(Failure::TooLarge), failed(Failure::Skipped), refused("account_not_found")] {
            saga = saga.outcome(TransferStep::RollBack, outcome).then().is_reissued().goes_on();
        }
        saga.outcome(TransferStep::RollBack, accepted()).then().ends();
    }

    #[test]
    fn each_use_of_a_transaction_id_is_a_saga_of_its_own() {
        let debits = headwater::testing::history::<Account>(
            "000001",
            [transfer_debited("4.00", "6.00"), transfer_debited("4.00", "2.00")],
        );
        let ids: Vec<_> = debits.iter().filter_map(Transfer::correlate).collect();
        assert_eq!(ids, [SagaId::new("000001/t1#1"), SagaId::new("000001/t1#2")]);
    }

    #[test]
    fn only_debits_of_transfers_are_its_business() {
        let events = [opened(), transfer_credited(3, "4.00", "4.00"), request_debited("1.00", "3.00")];
        let others = headwater::testing::history::<Account>("000001", events);
        assert!(others.iter().all(|event| Transfer::correlate(event).is_none()));
    }

    /// Every input in every stage: what does not belong there does nothing.
    #[test]
    fn what_comes_twice_or_too_late_does_nothing() {
        let debit = &headwater::testing::history::<Account>("000001", [transfer_debited("4.00", "6.00")])[0];
        let at = SagaContext { id: "000001/t1#1", time: headwater::testing::BEGINNING };
        let outcomes = || [accepted(), refused("account_deleted"), failed(Failure::TooLarge)];
        let heard = |of: TransferStep| outcomes().map(|outcome| Input::Outcome { of, outcome });

        let mut saga = Transfer::default();
        let before = heard(TransferStep::Credit).into_iter().chain(heard(TransferStep::RollBack));
        assert_idle(&mut saga, before.chain([Input::Deadline]), &at);
        drop(saga.react(Input::Event(debit.clone()), &at));
        let crediting = heard(TransferStep::RollBack).into_iter();
        assert_idle(&mut saga, crediting.chain([Input::Deadline, Input::Event(debit.clone())]), &at);
        drop(saga.react(Input::Outcome { of: TransferStep::Credit, outcome: refused("account_deleted") }, &at));
        let rolling_back = heard(TransferStep::Credit).into_iter();
        assert_idle(&mut saga, rolling_back.chain([Input::Deadline, Input::Event(debit.clone())]), &at);
    }

    fn assert_idle(saga: &mut Transfer, inputs: impl Iterator<Item = Input<Transfer>>, at: &SagaContext<'_>) {
        let before = saga.clone();
        for input in inputs {
            let told = format!("{input:?} to {before:?}");
            let reaction = saga.react(input, at);
            assert!(reaction.commands().is_empty() && reaction.retries_after().is_none(), "{told}: {reaction:?}");
            assert!(
                !reaction.ends() && reaction.deadline_change().is_none() && *saga == before,
                "{told}: {reaction:?}"
            );
        }
    }

    #[test]
    fn its_state_is_read_back_as_it_was_written() {
        headwater::schema::check::<Transfer>().expect("the state");
        debited().into_given().survives_the_log();
        refused_to_credit().into_given().survives_the_log();
    }
}
