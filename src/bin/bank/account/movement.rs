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
    /// It was sent to another account.
    TransferDebit,
    /// Another account sent it.
    TransferCredit,
    /// It was sent, and came back.
    TransferRollback,
    /// Another account asked for it.
    RequestDebit,
    /// It was asked for.
    RequestCredit,
    /// Another account asked for it, and it came back.
    RequestRollback,
}

impl AccountEvent {
    /// The money that this event moved; `None` if it moved none.
    pub const fn movement(&self) -> Option<Movement> {
        let (kind, amount, balance) = match self {
            Self::AccountCreated(_)
            | Self::AccountDeleted(_)
            | Self::RequestCreated(_)
            | Self::RequestReceived(_)
            | Self::RequestApproved(_)
            | Self::RequestRejected(_)
            | Self::RequestRejectionReceived(_) => return None,
            Self::FundsDeposited(event) => (MovementKind::Deposit, event.amount, event.balance),
            Self::FundsWithdrawn(event) => (MovementKind::Withdrawal, event.amount, event.balance),
            Self::DebtForgiven(event) => (MovementKind::DebtForgiven, event.amount, event.balance),
            Self::TransferDebited(event) => (MovementKind::TransferDebit, event.amount, event.balance),
            Self::TransferCredited(event) => (MovementKind::TransferCredit, event.amount, event.balance),
            Self::TransferDebitRolledBack(event) => (MovementKind::TransferRollback, event.amount, event.balance),
            Self::RequestDebited(event) => (MovementKind::RequestDebit, event.amount, event.balance),
            Self::RequestCredited(event) => (MovementKind::RequestCredit, event.amount, event.balance),
            Self::RequestDebitRolledBack(event) => (MovementKind::RequestRollback, event.amount, event.balance),
        };
        Some(Movement { kind, amount, balance })
    }
}

impl Movement {
    /// What the account has more than before, or less.
    pub fn change(&self) -> Money {
        use MovementKind::{RequestDebit, TransferDebit, Withdrawal};
        let amount = self.amount.money();
        if matches!(self.kind, Withdrawal | TransferDebit | RequestDebit) { -amount } else { amount }
    }
}

impl MovementKind {
    /// Its name in views.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::DebtForgiven => "debt_forgiven",
            Self::TransferDebit => "transfer_debit",
            Self::TransferCredit => "transfer_credit",
            Self::TransferRollback => "transfer_rollback",
            Self::RequestDebit => "request_debit",
            Self::RequestCredit => "request_credit",
            Self::RequestRollback => "request_rollback",
        }
    }
}
