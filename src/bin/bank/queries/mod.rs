//! What may be asked of the bank.

mod account_ledger;
mod account_summary;
mod accounts_list;
mod bank_stats;
mod shown;

pub use account_ledger::AccountLedger;
pub use account_summary::AccountSummary;
pub use accounts_list::AccountsList;
pub use bank_stats::BankStats;
