//! Money that was asked for: it is paid, or whoever asked is told that it will not be.
//!
//! | stage | input | what follows |
//! |---|---|---|
//! | none | `RequestCreated` | `GetRequestApproval`, and a deadline |
//! | pending | it was refused, `RequestRejected`, the deadline | `NotifyRequestRejected` |
//! | pending | `RequestApproved` | `DebitRequest`, and no deadline any more |
//! | debiting | accepted | `CreditRequest` |
//! | debiting | refused | `NotifyRequestRejected` |
//! | crediting | accepted | the end |
//! | crediting | refused | `RollbackRequestDebit`, issued anew until it is accepted |
//! | rolling back | accepted | `NotifyRequestRejected` |
//! | notifying | accepted | the end |
//!
//! What fails is issued anew after 30 s, and a notification until it is accepted. Everything else comes too
//! late or twice, and does nothing. Money is under way only from the debit on, and no deadline is there then.

use headwater::command::Outcome;
use headwater::position::Version;
use headwater::saga::{Input, Reaction, SagaContext, SagaId};
use headwater::{Recorded, Saga, state};
use serde::{Deserialize, Serialize};

use super::{RETRY_AFTER, saga_id};
use crate::account::{
    Account, AccountEvent, CreditRequest, DebitRequest, GetRequestApproval, NotifyRequestRejected, RollbackRequestDebit,
};
use crate::values::{AccountId, Amount, TransactionId};

/// Lays a request for money before the account that is to pay, and sees to what is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// None before the first event.
    begun: Option<BegunRequest>,
}

/// A request that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BegunRequest {
    transaction_id: TransactionId,
    funded_account: AccountId,
    begun_version: Version,
    funding_account: AccountId,
    amount: Amount,
    /// The version of the account that pays after its debit; none before.
    debit_version: Version,
    stage: RequestStage,
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum RequestStage {
    /// It is to be decided.
    Pending,
    Debiting,
    Crediting,
    RollingBack,
    Notifying,
}

/// The commands of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestStep {
    /// It is laid before the account that is to pay.
    Ask,
    /// The money is taken out.
    Debit,
    /// It is put in.
    Credit,
    /// It is given back.
    RollBack,
    /// Whoever asked is told.
    Notify,
}

state! { Request in "schemas/bank/request" }

impl Saga for Request {
    const NAME: &'static str = "request";
    type Source = Account;
    type Step = RequestStep;

    fn correlate(event: &Recorded<AccountEvent>) -> Option<SagaId> {
        match &event.data {
            AccountEvent::RequestCreated(it) => Some(saga_id(&event.aggregate_id, &it.transaction_id, event.version)),
            AccountEvent::RequestApproved(it) => Some(saga_id(it.funded_account, &it.transaction_id, it.begun_version)),
            AccountEvent::RequestRejected(it) => Some(saga_id(it.funded_account, &it.transaction_id, it.begun_version)),
            _ => None,
        }
    }

    fn react(&mut self, input: Input<Self>, _at: &SagaContext<'_>) -> Reaction<Self> {
        match (input, &mut self.begun) {
            (Input::Event(event), None) => self.begin(event),
            (Input::Event(event), Some(begun)) if begun.stage == RequestStage::Pending => begun.decided(&event.data),
            (Input::Deadline, Some(begun)) if begun.stage == RequestStage::Pending => begun.notify(),
            (Input::Outcome { of, outcome }, Some(begun)) => begun.hear(of, &outcome),
            _ => Reaction::none(),
        }
    }
}

impl Request {
    fn begin(&mut self, event: Recorded<AccountEvent>) -> Reaction<Self> {
        let (AccountEvent::RequestCreated(created), Ok(funded_account)) = (event.data, event.aggregate_id.parse())
        else {
            // A decision on what was never asked for: laid before the account by hand.
            return Reaction::none().end();
        };
        let begun = self.begun.insert(BegunRequest {
            transaction_id: created.transaction_id,
            funded_account,
            begun_version: event.version,
            funding_account: created.funding_account,
            amount: created.amount,
            debit_version: Version::NONE,
            stage: RequestStage::Pending,
        });
        let ask = GetRequestApproval {
            transaction_id: begun.transaction_id.clone(),
            funded_account,
            begun_version: begun.begun_version,
            amount: begun.amount,
            deadline: created.deadline,
        };
        Reaction::none().send::<Account>(RequestStep::Ask, begun.funding_account, ask).deadline(created.deadline)
    }
}

impl BegunRequest {
    fn decided(&mut self, event: &AccountEvent) -> Reaction<Request> {
        match event {
            AccountEvent::RequestApproved(_) => self.debit(),
            AccountEvent::RequestRejected(_) => self.notify(),
            _ => Reaction::none(),
        }
    }

    fn hear(&mut self, of: RequestStep, outcome: &Outcome) -> Reaction<Request> {
        use RequestStage::{Crediting, Debiting, Notifying, Pending, RollingBack};
        use RequestStep::{Ask, Credit, Debit, Notify, RollBack};
        match (self.stage, of, outcome) {
            (Pending, Ask, Outcome::Failed(_))
            | (Debiting, Debit, Outcome::Failed(_))
            | (Crediting, Credit, Outcome::Failed(_)) => Reaction::none().retry(RETRY_AFTER),
            (Pending, Ask, Outcome::Refused(_))
            | (Debiting, Debit, Outcome::Refused(_))
            | (RollingBack, RollBack, Outcome::Accepted(_)) => self.notify(),
            (Debiting, Debit, Outcome::Accepted(debited)) => self.credit(debited.version),
            (Crediting, Credit, Outcome::Refused(_)) => self.roll_back(),
            (Crediting, Credit, Outcome::Accepted(_)) | (Notifying, Notify, Outcome::Accepted(_)) => {
                Reaction::none().end()
            }
            _ => Reaction::none(),
        }
    }

    fn debit(&mut self) -> Reaction<Request> {
        self.stage = RequestStage::Debiting;
        let debit = DebitRequest {
            transaction_id: self.transaction_id.clone(),
            funded_account: self.funded_account,
            begun_version: self.begun_version,
        };
        Reaction::none().send::<Account>(RequestStep::Debit, self.funding_account, debit).no_deadline()
    }

    fn credit(&mut self, debit_version: Version) -> Reaction<Request> {
        (self.stage, self.debit_version) = (RequestStage::Crediting, debit_version);
        let credit = CreditRequest { transaction_id: self.transaction_id.clone(), begun_version: self.begun_version };
        Reaction::none().send::<Account>(RequestStep::Credit, self.funded_account, credit)
    }

    fn roll_back(&mut self) -> Reaction<Request> {
        self.stage = RequestStage::RollingBack;
        let rollback = RollbackRequestDebit {
            transaction_id: self.transaction_id.clone(),
            funded_account: self.funded_account,
            begun_version: self.begun_version,
            amount: Some(self.amount),
            debit_version: self.debit_version,
        };
        Reaction::none().compensate::<Account>(RequestStep::RollBack, self.funding_account, rollback)
    }

    /// Nothing can follow but that whoever asked is told, so it is tried until it is accepted.
    fn notify(&mut self) -> Reaction<Request> {
        self.stage = RequestStage::Notifying;
        let notify =
            NotifyRequestRejected { transaction_id: self.transaction_id.clone(), begun_version: self.begun_version };
        Reaction::none().compensate::<Account>(RequestStep::Notify, self.funded_account, notify).no_deadline()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use headwater::command::Failure;
    use headwater::testing::outcomes::{accepted, failed, refused};
    use headwater::testing::{GivenSaga, ThenSaga, history};

    use super::*;
    use crate::account::fixtures::*;
    use crate::account::{RequestApproved, RequestRejected};

    fn asked() -> GivenSaga<Request> {
        GivenSaga::of("000001/t1#1").event("000001", request_created("4.00"))
    }

    fn pending() -> GivenSaga<Request> {
        asked().outcome(RequestStep::Ask, accepted())
    }

    fn approval() -> RequestApproved {
        RequestApproved { transaction_id: t1(), funded_account: this(), begun_version: Version(1) }
    }

    fn rejection() -> RequestRejected {
        RequestRejected { transaction_id: t1(), funded_account: this(), begun_version: Version(1) }
    }

    fn approved() -> GivenSaga<Request> {
        pending().event("000002", approval())
    }

    fn debited() -> GivenSaga<Request> {
        approved().outcome(RequestStep::Debit, accepted())
    }

    fn refused_to_credit() -> GivenSaga<Request> {
        debited().outcome(RequestStep::Credit, refused("account_deleted"))
    }

    fn rolled_back() -> GivenSaga<Request> {
        refused_to_credit().outcome(RequestStep::RollBack, accepted())
    }

    /// Whoever asked is told; nothing else is done, and then it ends.
    fn assert_notifies(then: ThenSaga<Request>) {
        let told = then.compensates::<Account>(RequestStep::Notify, "000001", notify(1)).sends_in_all(1);
        told.has_no_deadline().goes_on().outcome(RequestStep::Notify, accepted()).then().sends_nothing().ends();
    }

    fn ask_other() -> GetRequestApproval {
        GetRequestApproval { funded_account: this(), begun_version: Version(1), ..ask("4.00") }
    }

    #[test]
    fn what_is_asked_for_is_laid_before_the_account_that_is_to_pay() {
        let asked = asked().then().sends::<Account>(RequestStep::Ask, "000002", ask_other());
        asked.sends_in_all(1).deadline_is(deadline()).goes_on();
        pending().then().sends_nothing().deadline_is(deadline()).goes_on();
    }

    #[test]
    fn an_approval_that_is_refused_is_told_and_ends_it() {
        assert_notifies(asked().outcome(RequestStep::Ask, refused("account_not_found")).then());
    }

    #[test]
    fn a_rejection_is_told_and_ends_it() {
        assert_notifies(pending().event("000002", rejection()).then());
    }

    #[test]
    fn a_deadline_that_passes_is_told_once_and_ends_it() {
        let over = pending().deadline();
        assert_notifies(over.then());
        assert_notifies(asked().deadline().then());
    }

    #[test]
    fn what_is_approved_is_debited_and_no_deadline_interrupts_it() {
        let debit = DebitRequest { funded_account: this(), begun_version: Version(1), ..debit_request() };
        let approved = approved().then().sends::<Account>(RequestStep::Debit, "000002", debit);
        approved.sends_in_all(1).has_no_deadline().goes_on();
    }

    #[test]
    fn a_debit_that_is_refused_is_told_and_ends_it() {
        for code in ["insufficient_funds", "transaction_timed_out", "account_deleted"] {
            assert_notifies(approved().outcome(RequestStep::Debit, refused(code)).then());
        }
    }

    #[test]
    fn what_is_debited_is_credited_and_ends_it() {
        let debited = debited().then().sends::<Account>(RequestStep::Credit, "000001", credit_request(1));
        debited.sends_in_all(1).has_no_deadline().goes_on().outcome(RequestStep::Credit, accepted()).then().ends();
    }

    #[test]
    fn a_credit_that_is_refused_is_given_back_and_told_and_ends_it() {
        let back = RollbackRequestDebit {
            funded_account: this(),
            begun_version: Version(1),
            // The version that the outcome of the debit tells.
            ..roll_request_back(1, "4.00")
        };
        refused_to_credit()
            .then()
            .compensates::<Account>(RequestStep::RollBack, "000002", back)
            .sends_in_all(1)
            .goes_on();
        assert_notifies(rolled_back().then());
    }

    #[test]
    fn a_step_that_fails_is_issued_anew_after_half_a_minute_and_what_was_done_stays_done() {
        for (step, before) in
            [(RequestStep::Ask, asked()), (RequestStep::Debit, approved()), (RequestStep::Credit, debited())]
        {
            let failed = before.outcome(step, failed(Failure::TooLarge)).then().sends_nothing();
            let failed = failed.retries_after(Duration::from_secs(30)).goes_on();
            drop(failed.outcome(step, accepted()));
        }
        let late = asked().outcome(RequestStep::Ask, failed(Failure::TooLarge)).then().deadline_is(deadline());
        assert_notifies(late.deadline().then());
    }

    #[test]
    fn a_step_that_is_skipped_by_hand_counts_as_refused() {
        let skipped = || failed(Failure::Skipped);
        assert_notifies(asked().outcome(RequestStep::Ask, skipped()).then());
        assert_notifies(approved().outcome(RequestStep::Debit, skipped()).then());
        let back = debited().outcome(RequestStep::Credit, skipped());
        assert_notifies(back.outcome(RequestStep::RollBack, accepted()).then());
    }

    #[test]
    fn it_is_given_back_and_told_until_that_is_accepted() {
        for (step, mut saga) in [(RequestStep::RollBack, refused_to_credit()), (RequestStep::Notify, rolled_back())] {
            for outcome in [failed(Failure::TooLarge), failed(Failure::Skipped), refused("account_not_found")] {
                saga = saga.outcome(step, outcome).then().is_reissued().goes_on().into_given();
            }
        }
    }

    #[test]
    fn what_comes_after_the_end_does_nothing() {
        let ended = pending().deadline().outcome(RequestStep::Notify, accepted());
        let late = ended.event("000002", approval()).then().sends_nothing();
        late.event("000002", rejection()).then().sends_nothing().has_no_deadline();
    }

    #[test]
    fn a_decision_on_what_was_never_asked_for_leaves_nothing_open() {
        GivenSaga::<Request>::of("000001/t1#1").event("000002", approval()).then().sends_nothing().ends();
    }

    /// Every input in every stage: what does not belong there does nothing.
    #[test]
    fn what_comes_twice_or_too_late_does_nothing() {
        use RequestStep::{Ask, Credit, Debit, Notify, RollBack};
        let created = history::<Account>("000001", [request_created("4.00")]).remove(0);
        let decisions = history::<Account>("000002", [approval().into(), rejection().into()]);
        let mut saga = Request::default();
        // How each stage is reached, and the step whose outcome is awaited in it.
        let stages = [
            (Input::Event(created.clone()), Ask),
            (Input::Event(decisions[0].clone()), Debit),
            (Input::Outcome { of: Debit, outcome: accepted() }, Credit),
            (Input::Outcome { of: Credit, outcome: refused("account_deleted") }, RollBack),
            (Input::Outcome { of: RollBack, outcome: accepted() }, Notify),
        ];
        let at = SagaContext { id: "000001/t1#1", time: headwater::testing::BEGINNING };
        for (input, awaited) in stages {
            drop(saga.react(input, &at));
            let others = [Ask, Debit, Credit, RollBack, Notify].into_iter().filter(|step| *step != awaited);
            let outcomes = || [accepted(), refused("account_deleted"), failed(Failure::TooLarge)];
            let mut late: Vec<Input<Request>> =
                others.flat_map(|of| outcomes().map(|outcome| Input::Outcome { of, outcome })).collect();
            late.push(Input::Event(created.clone()));
            if awaited != Ask {
                late.push(Input::Deadline);
                late.extend(decisions.iter().cloned().map(Input::Event));
            }
            assert_idle(&mut saga, late, &at);
        }
    }

    fn assert_idle(saga: &mut Request, inputs: Vec<Input<Request>>, at: &SagaContext<'_>) {
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
        headwater::schema::check::<Request>().expect("the state");
        for saga in [asked(), approved(), debited(), refused_to_credit(), rolled_back()] {
            saga.survives_the_log();
        }
    }
}
