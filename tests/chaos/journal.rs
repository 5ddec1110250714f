//! What customers keep of their orders: what they asked for, under which key, and what they were answered.

use serde_json::{Value, json};
use uuid::Uuid;

/// What a customer wants of an account. Amounts are in hundredths.
#[derive(Clone, Debug)]
pub struct Order {
    pub account: String,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Deposit(i64),
    Withdrawal(i64),
    Transfer { to: String, amount: i64 },
}

/// What somebody was told, which is for ever.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The whole outcome.
    Accepted(Value),
    /// The code.
    Refused(String),
}

/// One order, under one key however often it was sent.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Uuid,
    pub order: Order,
    /// `None` for one whose customer gave up before there was any.
    pub answer: Option<Answer>,
}

impl Order {
    pub const fn command(&self) -> &'static str {
        match self.what {
            What::Deposit(_) => "DepositFunds",
            What::Withdrawal(_) => "WithdrawFunds",
            What::Transfer { .. } => "Transfer",
        }
    }

    /// The command's fields; the key names the transaction, too.
    pub fn fields(&self, key: Uuid) -> Value {
        match &self.what {
            What::Deposit(amount) | What::Withdrawal(amount) => json!({ "amount": decimal(*amount) }),
            What::Transfer { to, amount } => {
                json!({ "transaction_id": key.to_string(), "funded_account": to, "amount": decimal(*amount) })
            }
        }
    }

    /// What comes of it where it was accepted: by how much the balance of which account changes, an event each.
    pub fn changes(&self) -> Vec<(&str, i64)> {
        let of = self.account.as_str();
        match &self.what {
            What::Deposit(amount) => vec![(of, *amount)],
            What::Withdrawal(amount) => vec![(of, -amount)],
            What::Transfer { to, amount } => vec![(of, -amount), (to, *amount)],
        }
    }
}

/// A positive amount as commands have it.
fn decimal(hundredths: i64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
