//! A saga's rules as sentences, and what the kit does not let a story say.

use std::time::Duration;

use headwater::command::Failure;
use headwater::testing::outcomes::{accepted, failed, refused};
use headwater::testing::{BEGINNING, GivenSaga};

use crate::purse::{Approved, Delivery, Purse, RETRY, Receive, Sent, Step, TakeBack};

fn sent(patience: i64) -> Sent {
    Sent { number: 7, to: "b".to_owned(), amount: 5, patience }
}

fn under_way() -> GivenSaga<Delivery> {
    GivenSaga::of("a/7").event("a", sent(0))
}

#[test]
fn an_event_leads_to_a_command_and_its_acceptance_to_the_end() {
    let delivered = under_way().then().sends::<Purse>(Step::Receive, "b", Receive { amount: 5 }).sends_in_all(1);
    let delivered = delivered.goes_on().outcome(Step::Receive, accepted()).then().sends_nothing().ends();
    delivered.into_given().survives_the_log();
}

#[test]
fn a_refusal_is_compensated() {
    let refused = under_way().outcome(Step::Receive, refused("locked")).then();
    let refused = refused.compensates::<Purse>(Step::TakeBack, "a", TakeBack { amount: 5 }).goes_on();
    refused.outcome(Step::TakeBack, accepted()).then().ends();
}

#[test]
fn a_compensation_that_is_not_accepted_is_issued_anew_without_the_saga_hearing_of_it() {
    let stuck = under_way().outcome(Step::Receive, refused("locked")).outcome(Step::TakeBack, refused("locked"));
    let stuck = stuck.then().is_reissued().sends_nothing().goes_on();
    let stuck = stuck.outcome(Step::TakeBack, failed(Failure::Skipped)).then().is_reissued();
    stuck.outcome(Step::TakeBack, accepted()).then().ends();
}

#[test]
fn a_step_that_failed_may_be_retried_and_one_that_was_skipped_counts_as_refused() {
    let failed_once = under_way().outcome(Step::Receive, failed(Failure::TooLarge));
    let failed_once = failed_once.then().retries_after(RETRY).state(|saga| saga.failures == 1);
    let skipped = failed_once.outcome(Step::Receive, failed(Failure::Skipped));
    skipped.then().compensates::<Purse>(Step::TakeBack, "a", TakeBack { amount: 5 });
}

#[test]
fn an_answer_about_a_copy_is_no_input() {
    for code in [Failure::Conflict, Failure::TooOld, Failure::ClockSkew] {
        under_way().outcome(Step::Receive, failed(code)).then().is_reissued().state(|saga| saga.failures == 0);
    }
}

#[test]
fn a_deadline_is_an_input_unless_it_was_taken_away() {
    let waiting = || GivenSaga::<Delivery>::of("a/7").event("a", sent(1500)).then();
    let over = waiting().sends_nothing().deadline_is(BEGINNING.plus(Duration::from_millis(1500))).deadline();
    over.then().compensates::<Purse>(Step::TakeBack, "a", TakeBack { amount: 5 });
    waiting().event("a", Approved { number: 7 }).then().has_no_deadline().sends_in_all(1);
}

#[test]
fn nothing_comes_in_after_the_end() {
    let ended = under_way().outcome(Step::Receive, accepted());
    ended.event("a", Approved { number: 7 }).then().sends_nothing().ends();
}

#[test]
fn what_is_not_true_is_found() {
    type Lie = Box<dyn Fn()>;
    let lies: Vec<(&str, Lie)> = vec![
        (
            "sends::<Purse>",
            Box::new(|| drop(under_way().then().sends::<Purse>(Step::Receive, "c", Receive { amount: 5 }))),
        ),
        ("kind", Box::new(|| drop(under_way().then().compensates::<Purse>(Step::Receive, "b", Receive { amount: 5 })))),
        ("ends", Box::new(|| drop(under_way().then().ends()))),
        ("another saga's event", Box::new(|| drop(GivenSaga::<Delivery>::of("a/8").event("a", sent(0))))),
        ("not under way", Box::new(|| drop(under_way().outcome(Step::TakeBack, accepted())))),
        ("no deadline", Box::new(|| drop(under_way().deadline()))),
        ("state", Box::new(|| drop(under_way().then().state(|saga| saga.amount == 6)))),
        ("time runs back", Box::new(|| drop(under_way().at(BEGINNING.minus(Duration::from_secs(1)))))),
    ];
    for (what, lie) in lies {
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(lie));
        assert!(told.is_err(), "{what}: nobody objected");
    }
}
