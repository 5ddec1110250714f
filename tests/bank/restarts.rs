//! A worker that is killed and started again begins from its local store, and reads from the log only what is
//! new; on both logs.

use reqwest::blocking::Response;

use super::world::{Bank, Served};

/// How many records a worker has read from the log to restore its accounts, by where it began; none if it did not
/// begin there.
fn restored(worker: &Served, from: &str) -> Option<u64> {
    let metrics = reqwest::blocking::get(format!("http://{}/metrics", worker.address())).and_then(Response::text);
    let metrics = metrics.expect("its metrics");
    let begins = "headwater_restored_records_total{";
    let line = metrics.lines().find(|line| {
        let has = |label: &str, value: &str| line.contains(&format!("{label}=\"{value}\""));
        line.starts_with(begins) && has("aggregate", "account") && has("from", from)
    })?;
    line.rsplit(' ').next().and_then(|count| count.parse().ok())
}

/// The account's version after so many deposits.
fn deposit(bank: &Bank, account: &str, times: usize) -> i64 {
    let mut version = 0;
    for _ in 0..times {
        let outcome = bank.ask(&["send", "account", account, "DepositFunds", r#"{"amount":"1.00"}"#]);
        assert_eq!(outcome["outcome"], "accepted", "{outcome}");
        version = outcome["version"].as_i64().expect("its version");
    }
    version
}

fn starts_from_its_store(mut bank: Bank) {
    bank.set("HEADWATER_INSTANCE", "one");
    // A partition that moves from one lane to another would be written when it is let go.
    bank.set("HEADWATER_PROCESSOR__LANES", "1");
    bank.set("HEADWATER_PROCESSOR__STORE", "true");
    bank.set("HEADWATER_PROCESSOR__STORE_SECONDS", "3600");
    let worker = bank.serve(&["run"]);
    worker.wait_until_ready();
    let created = bank.ask(&["send", "account_registry", "registry", "CreateAccount", r#"{"name":"Customer"}"#]);
    let account = created["data"].as_str().expect("an account's number").to_owned();
    let version = deposit(&bank, &account, 4);
    worker.stop();

    let worker = bank.serve(&["run"]);
    worker.wait_until_ready();
    assert_eq!((restored(&worker, "store"), restored(&worker, "log")), (Some(0), None), "it left in good order");
    deposit(&bank, &account, 3);
    worker.kill();

    let worker = bank.serve(&["run"]);
    worker.wait_until_ready();
    let read = restored(&worker, "store").expect("the store is not wiped");
    assert_eq!(read, 6, "3 deposits are 3 events and 3 outcomes");
    assert_eq!(restored(&worker, "log"), None);
    assert_eq!(deposit(&bank, &account, 2), version + 5);
    worker.kill();
    bank.succeed(&["verify"]);
}

#[test]
fn a_killed_worker_starts_from_its_store_on_the_embedded_log() {
    starts_from_its_store(Bank::embedded());
}

#[test]
fn a_killed_worker_starts_from_its_store_on_real_servers() {
    if let Some(bank) = Bank::on_servers() {
        starts_from_its_store(bank);
    }
}
