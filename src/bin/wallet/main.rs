//! Wallets: credit, debit, what is there, and every attempt there ever was.

mod amount;
mod commands;
mod ksuid;
mod queries;
mod views;
mod wallet;

use std::process::ExitCode;

use headwater::App;

use commands::ShowHistory;
use queries::{ReadBalance, ReadHistory, ReadTransactions};
use views::{History, Transactions};
use wallet::Wallet;

fn main() -> ExitCode {
    App::new("wallet")
        .aggregate::<Wallet>()
        .projection(Transactions)
        .projection(History)
        .query::<ReadBalance>()
        .query::<ReadTransactions>()
        .query::<ReadHistory>()
        .command::<ShowHistory>()
        .main()
}
