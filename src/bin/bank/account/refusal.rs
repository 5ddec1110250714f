//! How an account says no.

use headwater::Refusal;
use serde_json::{Value, json};

use crate::values::{Amount, Money};

/// How an account says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefusal {
    /// It was never opened.
    #[error("there is no such account")]
    NotFound,
    /// It was deleted.
    #[error("the account was deleted")]
    Deleted,
    /// It is to be opened a second time.
    #[error("the account exists already")]
    Exists,
    /// A debit would go below the floor.
    #[error("a debit of {amount} from {balance} goes below the floor of {floor}")]
    InsufficientFunds {
        /// What was asked for.
        amount: Amount,
        /// What is there.
        balance: Money,
        /// What must be left.
        floor: Money,
    },
    /// There is no debt to forgive.
    #[error("the account is not in debt, its balance is {balance}")]
    NotInDebt {
        /// What is there.
        balance: Money,
    },
    /// Debts were forgiven as often as they may be.
    #[error("a debt is forgiven at most {times} times")]
    ForgivenessExhausted {
        /// How often.
        times: i32,
    },
}

impl Refusal for AccountRefusal {
    const CODES: &'static [&'static str] = &[
        "account_not_found",
        "account_deleted",
        "account_exists",
        "insufficient_funds",
        "not_in_debt",
        "forgiveness_exhausted",
    ];

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "account_not_found",
            Self::Deleted => "account_deleted",
            Self::Exists => "account_exists",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::NotInDebt { .. } => "not_in_debt",
            Self::ForgivenessExhausted { .. } => "forgiveness_exhausted",
        }
    }

    fn data(&self) -> Option<Value> {
        match self {
            Self::InsufficientFunds { balance, floor, .. } => {
                Some(json!({ "balance": balance.to_string(), "floor": floor.to_string() }))
            }
            Self::NotInDebt { balance } => Some(json!({ "balance": balance.to_string() })),
            _ => None,
        }
    }
}
