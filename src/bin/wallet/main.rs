//! Wallets: credit, debit, what is there, and every attempt there ever was.

mod amount;
mod commands;
mod http;
mod ksuid;
mod queries;
#[cfg(test)]
mod released;
mod views;
mod wallet;

use std::process::ExitCode;

use headwater::App;

use commands::{Load, ShowHistory};
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
        .routes(http::routes)
        .command::<ShowHistory>()
        .command::<Load>()
        .main()
}
