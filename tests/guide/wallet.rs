//! The wallet of the README, with its tests.

use std::num::NonZeroU32;

use headwater::projection::{Changes, ColumnType, Events, Projection, Table, Tables};
use headwater::testing::{FoldedView, Given, history, triple_shuffle};
use headwater::{Aggregate, Context, Decision, EventContext, Recorded, Refusal, messages, state};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credit {
    pub amount: NonZeroU32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Debit {
    pub amount: NonZeroU32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    pub by: i64,
    pub balance: i64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Wallet {
    balance: i64,
}

state! { Wallet in "schemas/wallet/wallet" }
messages! { pub enum Command in "schemas/wallet/wallet/commands" { Credit, Debit } }
messages! { pub enum Event in "schemas/wallet/wallet/events" { Moved } }

#[derive(Debug, thiserror::Error)]
#[error("the balance would be {0}")]
pub struct Overdrawn(i64);

impl Refusal for Overdrawn {
    const CODES: &'static [&'static str] = &["overdrawn"];
    fn code(&self) -> &'static str {
        "overdrawn"
    }
}

impl Aggregate for Wallet {
    const NAME: &'static str = "wallet";
    type Id = String;
    type Command = Command;
    type Event = Event;
    type Refusal = Overdrawn;

    fn decide(&self, command: Command, _: &Context<'_>) -> Result<Decision<Event>, Overdrawn> {
        let by = match command {
            Command::Credit(Credit { amount }) => i64::from(amount.get()),
            Command::Debit(Debit { amount }) => -i64::from(amount.get()),
        };
        let balance = self.balance + by;
        if balance < 0 { Err(Overdrawn(balance)) } else { Ok(Decision::event(Moved { by, balance })) }
    }

    fn evolve(&mut self, Event::Moved(moved): &Event, _: &EventContext<'_>) {
        self.balance = moved.balance;
    }
}

pub struct Balances;

impl Projection for Balances {
    const NAME: &'static str = "balances";
    type Source = Wallet;

    fn tables() -> Tables {
        let table = Table::rows("balances").key("wallet", ColumnType::Text).versioned("balance", ColumnType::Integer);
        Tables::new().with(table)
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        let Event::Moved(moved) = &event.data;
        rows.at("balances", ("wallet", &event.aggregate_id)).set_versioned("balance", moved.balance, event.version);
    }
}

pub fn amount(of: u32) -> NonZeroU32 {
    NonZeroU32::new(of).expect("not zero")
}

#[test]
fn a_wallet_pays_what_it_has() {
    Given::<Wallet>::events([Moved { by: 5, balance: 5 }])
        .when(Debit { amount: amount(3) })
        .then_events([Moved { by: -3, balance: 2 }])
        .when(Debit { amount: amount(3) })
        .then_refused("overdrawn")
        .then_state(|wallet| wallet.balance == 2);
}

#[test]
fn balances_are_the_same_in_any_order() {
    let moved = |by, balance| Event::from(Moved { by, balance });
    let events = history::<Wallet>("anna", [moved(5, 5), moved(-3, 2), moved(4, 6)]);
    triple_shuffle(&Balances, &events, 1);
    let anna: Option<Wallet> = FoldedView::of(&Balances, &events).get("balances", ("wallet", "anna"));
    assert_eq!(anna.map(|row| row.balance), Some(6));
}
