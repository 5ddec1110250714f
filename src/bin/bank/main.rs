//! Jangle Banking: the application that the engine must carry in full.
//!
//! A stranger to the engine: it knows only what `headwater` offers to everyone. `account` and `registry`
//! say what may happen, `sagas` what takes more than one account, `projections` what it all comes to, `queries`
//! what may be asked; `values` is what they all speak of.

mod account;
mod conservation;
mod demo;
mod projections;
mod queries;
mod registry;
#[cfg(test)]
mod released;
#[cfg(test)]
mod sagas;
mod values;
#[cfg(test)]
mod world;

use std::process::ExitCode;

use headwater::App;

use account::Account;
use conservation::Conservation;
use demo::DemoLoad;
use projections::{Accounts, Ledger};
use queries::{AccountLedger, AccountSummary, AccountsList, BankStats};
use registry::AccountRegistry;

/// Commands are judged a quarter cheaper than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    App::new("bank")
        .aggregate::<AccountRegistry>()
        .aggregate::<Account>()
        .projection(Accounts)
        .projection(Ledger)
        .query::<AccountsList>()
        .query::<AccountSummary>()
        .query::<AccountLedger>()
        .query::<BankStats>()
        .invariant::<Conservation>()
        .demo(DemoLoad)
        .main()
}
