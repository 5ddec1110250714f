//! The views of the bank: what its events come to.

mod accounts;
#[cfg(test)]
mod fixtures;
mod ledger;

pub use accounts::Accounts;
pub use ledger::Ledger;
