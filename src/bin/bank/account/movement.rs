//! Money that moved, whatever moved it.

use super::AccountEvent;
use crate::values::{Amount, Money};

/// What an event did to the money of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Why it moved.
    pub kind: MovementKind,
    /// How much.
    pub amount: Amount,
    /// What was there afterwards.
    pub balance: Money,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MovementKind {
    /// It was put in.
    Deposit,
    /// It was taken out.
    Withdrawal,
    /// The bank forgave it.
    DebtForgiven,
}

impl AccountEvent {
    /// The money that this event moved; `None` if it moved none.
    pub const fn movement(&self) -> Option<Movement> {
        let (kind, amount, balance) = match self {
            Self::AccountCreated(_) | Self::AccountDeleted(_) => return None,
            Self::FundsDeposited(event) => (MovementKind::Deposit, event.amount, event.balance),
            Self::FundsWithdrawn(event) => (MovementKind::Withdrawal, event.amount, event.balance),
            Self::DebtForgiven(event) => (MovementKind::DebtForgiven, event.amount, event.balance),
        };
        Some(Movement { kind, amount, balance })
    }
}

impl Movement {
    /// What the account has more than before, or less.
    pub fn change(&self) -> Money {
        match self.kind {
            MovementKind::Deposit | MovementKind::DebtForgiven => self.amount.money(),
            MovementKind::Withdrawal => -self.amount.money(),
        }
    }
}

impl MovementKind {
    /// Its name in views.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::DebtForgiven => "debt_forgiven",
        }
    }
}
