//! Jangle Banking: the application that the engine must carry in full.
//!
//! A stranger to the engine: it knows only what `headwater` offers to everyone. `account` and `registry`
//! say what may happen, `sagas` what takes more than one account, `projections` what it all comes to, `queries`
//! what may be asked; `values` is what they all speak of.

mod account;
mod conservation;
mod demo;
#[cfg(test)]
mod kills;
mod projections;
mod queries;
mod registry;
#[cfg(test)]
mod released;
mod sagas;
#[cfg(test)]
mod simulated;
mod teller;
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
use sagas::{Request, Transfer};
use teller::Teller;

/// Commands are judged a quarter cheaper than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bank().main()
}

fn bank() -> App {
    App::new("bank")
        .aggregate::<AccountRegistry>()
        .aggregate::<Account>()
        .projection(Accounts)
        .projection(Ledger)
        .query::<AccountsList>()
        .query::<AccountSummary>()
        .query::<AccountLedger>()
        .query::<BankStats>()
        .saga::<Transfer>()
        .saga::<Request>()
        .command::<Teller>()
        .invariant::<Conservation>()
        .demo(DemoLoad)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_api_is_the_one_that_was_reviewed() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/bank/openapi.json");
        let document = super::bank().openapi().expect("a document");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &document).expect("written");
        }
        let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(document, reviewed, "if the change is meant, run the tests with UPDATE_DOCS=1");
    }
}
