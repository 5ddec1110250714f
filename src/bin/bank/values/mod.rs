//! The values that the bank's commands, events and views are made of.
//!
//! Each is valid from construction, whether it was made by code or read from bytes: nothing behind these
//! types has to check again. A violation names the field and the rule.

mod account_id;
mod money;
mod name;
mod text;
mod transaction_id;

pub use account_id::AccountId;
pub use money::{Amount, Money};
pub use name::Name;
pub use transaction_id::TransactionId;
