//! Short words for what the tests of the account speak of.

use super::{AccountCreated, AccountDeleted, AccountEvent, DebtForgiven, FundsDeposited, FundsWithdrawn};
use crate::values::{Amount, Money, Name};

pub fn money(text: &str) -> Money {
    text.parse().expect("money")
}

pub fn amount(text: &str) -> Amount {
    money(text).try_into().expect("an amount")
}

pub fn name() -> Name {
    "Emmet".try_into().expect("a name")
}

pub fn opened() -> AccountEvent {
    AccountCreated { name: name() }.into()
}

pub fn deposited(how_much: &str, balance: &str) -> AccountEvent {
    FundsDeposited { amount: amount(how_much), balance: money(balance) }.into()
}

pub fn withdrawn(how_much: &str, balance: &str) -> AccountEvent {
    FundsWithdrawn { amount: amount(how_much), balance: money(balance) }.into()
}

pub fn forgiven(debt: &str) -> AccountEvent {
    DebtForgiven { amount: amount(debt), balance: Money::ZERO }.into()
}

pub fn deleted() -> AccountEvent {
    AccountDeleted {}.into()
}
