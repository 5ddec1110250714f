//! The movements of twenty accounts of a real bank, and what must come out of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What an account must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The number of its events.
    pub version: i64,
    /// What it holds.
    pub balance: String,
}

/// The file of the commands, one a line.
pub fn file() -> PathBuf {
    folder().join("commands.jsonl")
}

/// The commands, one a line.
pub fn lines() -> Vec<String> {
    let text = std::fs::read_to_string(file()).expect("the movements");
    text.lines().map(str::to_owned).collect()
}

/// What must come out of them, by account.
pub fn expected() -> BTreeMap<String, Expected> {
    let text = std::fs::read_to_string(folder().join("balances.csv")).expect("the balances");
    let rows = text.lines().skip(1).map(|row| {
        let [account_id, version, balance, _in_source] = row.split(',').collect::<Vec<_>>()[..] else {
            panic!("{row}: four columns are expected")
        };
        let version = version.parse().expect("a version");
        (account_id.to_owned(), Expected { version, balance: balance.to_owned() })
    });
    rows.collect()
}

/// The highest account number.
pub fn highest() -> String {
    expected().into_keys().next_back().expect("accounts")
}

/// Outcomes as the command line writes them, one a line.
pub fn outcomes(written: &str) -> Vec<Value> {
    written.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/movements")
}
