//! A saga on the README's wallet, with its tests.

use std::num::NonZeroU32;
use std::time::Duration;

use headwater::command::Outcome;
use headwater::saga::{Input, Reaction, SagaContext, SagaId};
use headwater::testing::GivenSaga;
use headwater::testing::outcomes::{accepted, refused};
use headwater::{App, Recorded, Saga, state};
use serde::{Deserialize, Serialize};

use crate::wallet::{Credit, Debit, Event, Moved, Wallet, amount};

const SAVINGS: &str = "savings";
const ENOUGH: i64 = 100;
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Brings what is more than enough in a wallet to the savings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sweep {
    wallet: String,
    excess: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    Take,
    Save,
    GiveBack,
}

state! { Sweep in "tests/guide/schemas/sweep" }

impl Saga for Sweep {
    const NAME: &'static str = "sweep";
    type Source = Wallet;
    type Step = Step;

    fn correlate(event: &Recorded<Event>) -> Option<SagaId> {
        let Event::Moved(moved) = &event.data;
        let is_ours = event.aggregate_id != SAVINGS && moved.by > 0 && moved.balance > ENOUGH;
        is_ours.then(|| SagaId::of(&event.aggregate_id, event.version))
    }

    fn react(&mut self, input: Input<Self>, _: &SagaContext<'_>) -> Reaction<Self> {
        match input {
            Input::Event(event) => self.begin(&event),
            Input::Outcome { of, outcome } => self.go_on(&of, &outcome),
            Input::Deadline => Reaction::none(),
        }
    }
}

impl Sweep {
    fn begin(&mut self, event: &Recorded<Event>) -> Reaction<Self> {
        let Event::Moved(moved) = &event.data;
        self.wallet.clone_from(&event.aggregate_id);
        self.excess = u32::try_from(moved.balance - ENOUGH).unwrap_or(u32::MAX);
        let Some(amount) = NonZeroU32::new(self.excess) else { return Reaction::none().end() };
        Reaction::none().send::<Wallet>(Step::Take, &self.wallet, Debit { amount })
    }

    fn go_on(&self, of: &Step, outcome: &Outcome) -> Reaction<Self> {
        let Some(amount) = NonZeroU32::new(self.excess) else { return Reaction::none() };
        let credit = Credit { amount };
        match (of, outcome) {
            // It was not acted on: its record could not be understood, or was too large.
            (_, Outcome::Failed(_)) => Reaction::none().retry(RETRY_AFTER),
            (Step::Take, Outcome::Accepted(_)) => Reaction::none().send::<Wallet>(Step::Save, SAVINGS, credit),
            (Step::Save, Outcome::Refused(_)) => {
                Reaction::none().compensate::<Wallet>(Step::GiveBack, &self.wallet, credit)
            }
            // Saved, given back, or spent before it could be taken.
            _ => Reaction::none().end(),
        }
    }
}

fn too_much() -> Moved {
    Moved { by: 30, balance: 130 }
}

#[test]
fn what_is_too_much_is_saved() {
    GivenSaga::<Sweep>::of("anna/1")
        .event("anna", too_much())
        .then()
        .sends::<Wallet>(Step::Take, "anna", Debit { amount: amount(30) })
        .outcome(Step::Take, accepted())
        .then()
        .sends::<Wallet>(Step::Save, SAVINGS, Credit { amount: amount(30) })
        .outcome(Step::Save, accepted())
        .then()
        .ends();
}

#[test]
fn what_cannot_be_saved_is_given_back() {
    GivenSaga::<Sweep>::of("anna/1")
        .event("anna", too_much())
        .outcome(Step::Take, accepted())
        .outcome(Step::Save, refused("overdrawn"))
        .then()
        .compensates::<Wallet>(Step::GiveBack, "anna", Credit { amount: amount(30) })
        .outcome(Step::GiveBack, accepted())
        .then()
        .ends();
}

#[test]
fn what_was_spent_meanwhile_is_no_longer_too_much() {
    GivenSaga::<Sweep>::of("anna/1").event("anna", too_much()).outcome(Step::Take, refused("overdrawn")).then().ends();
}

#[test]
fn an_application_takes_it_in() {
    let app = App::new("guide").aggregate::<Wallet>().saga::<Sweep>();
    assert!(app.openapi().is_ok());
    headwater::schema::check::<Sweep>().expect("type and schema agree");
}
