//! How an account says no.

use headwater::Refusal;
use headwater::clock::Timestamp;
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
    /// Both sides are the same account.
    #[error("an account neither sends money to itself nor asks itself for it")]
    SameAccount,
    /// The account began another transaction of this id.
    #[error("the account began another transaction of this id; use a new id for a new transaction")]
    TransactionIdTaken,
    /// The account knows of no such transaction.
    #[error("there is no such transaction")]
    UnknownTransaction,
    /// It is too late.
    #[error("the transaction was open until {deadline}")]
    TransactionTimedOut {
        /// Until when it was open.
        deadline: Timestamp,
    },
    /// It was decided otherwise.
    #[error("the request was decided otherwise already")]
    AlreadyDecided,
    /// It is to be debited without having been approved.
    #[error("the request is not approved")]
    NotApproved,
    /// It is to be given back without having been debited.
    #[error("the request was not debited")]
    NotDebited,
    /// It came to nothing before.
    #[error("the request was rejected before")]
    RequestRejected,
}

impl Refusal for AccountRefusal {
    const CODES: &'static [&'static str] = &[
        "account_not_found",
        "account_deleted",
        "account_exists",
        "insufficient_funds",
        "not_in_debt",
        "forgiveness_exhausted",
        "same_account",
        "transaction_id_taken",
        "unknown_transaction",
        "transaction_timed_out",
        "already_decided",
        "not_approved",
        "not_debited",
        "request_rejected",
    ];

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "account_not_found",
            Self::Deleted => "account_deleted",
            Self::Exists => "account_exists",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::NotInDebt { .. } => "not_in_debt",
            Self::ForgivenessExhausted { .. } => "forgiveness_exhausted",
            Self::SameAccount => "same_account",
            Self::TransactionIdTaken => "transaction_id_taken",
            Self::UnknownTransaction => "unknown_transaction",
            Self::TransactionTimedOut { .. } => "transaction_timed_out",
            Self::AlreadyDecided => "already_decided",
            Self::NotApproved => "not_approved",
            Self::NotDebited => "not_debited",
            Self::RequestRejected => "request_rejected",
        }
    }

    fn data(&self) -> Option<Value> {
        match self {
            Self::InsufficientFunds { balance, floor, .. } => {
                Some(json!({ "balance": balance.to_string(), "floor": floor.to_string() }))
            }
            Self::NotInDebt { balance } => Some(json!({ "balance": balance.to_string() })),
            Self::TransactionTimedOut { deadline } => Some(json!({ "deadline": deadline.to_string() })),
            _ => None,
        }
    }
}
