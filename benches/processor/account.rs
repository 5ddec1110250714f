//! The account that every peer in the comparison keeps: a balance with a floor.

use std::fmt;

use headwater::aggregate::{Aggregate, Context, Decision, EventContext, Refusal};
use headwater::{messages, state};
use serde::{Deserialize, Serialize};

const FLOOR: i64 = -10_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    balance: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deposit {
    pub amount: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Withdraw {
    pub amount: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deposited {
    amount: i64,
    balance: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Withdrawn {
    amount: i64,
    balance: i64,
}

state! { Account in "benches/processor/account" }
messages! { pub enum Command in "benches/processor/account" { Deposit, Withdraw } }
messages! { pub enum Event in "benches/processor/account" { Deposited, Withdrawn } }

#[derive(Debug)]
pub struct InsufficientFunds;

impl fmt::Display for InsufficientFunds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("insufficient funds")
    }
}

impl std::error::Error for InsufficientFunds {}

impl Refusal for InsufficientFunds {
    const CODES: &'static [&'static str] = &["insufficient_funds"];

    fn code(&self) -> &'static str {
        "insufficient_funds"
    }
}

impl Aggregate for Account {
    const NAME: &'static str = "account";
    type Id = String;
    type Command = Command;
    type Event = Event;
    type Refusal = InsufficientFunds;

    fn decide(&self, command: Command, _: &Context<'_>) -> Result<Decision<Event>, InsufficientFunds> {
        match command {
            Command::Deposit(Deposit { amount }) => {
                Ok(Decision::event(Deposited { amount, balance: self.balance + amount }))
            }
            Command::Withdraw(Withdraw { amount }) if self.balance - amount < FLOOR => Err(InsufficientFunds),
            Command::Withdraw(Withdraw { amount }) => {
                Ok(Decision::event(Withdrawn { amount, balance: self.balance - amount }))
            }
        }
    }

    fn evolve(&mut self, event: &Event, _: &EventContext<'_>) {
        match event {
            Event::Deposited(Deposited { balance, .. }) | Event::Withdrawn(Withdrawn { balance, .. }) => {
                self.balance = *balance;
            }
        }
    }
}
