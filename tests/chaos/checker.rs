//! Holds the bank to what customers were told: against their journal, and against the bank's own log.
//!
//! Every order is sent once more under its key. One that was answered must be answered the same; one that was
//! given up gets its answer now. What was accepted then tells each account's balance and how many events it has:
//! one more or one less was lost, invented or done twice.

use std::collections::BTreeMap;

use futures::StreamExt;
use serde_json::Value;

use super::bank::{Bank, eventually};
use super::customers::Office;
use super::journal::{Answer, Entry};

/// How many orders are sent again at once.
const AT_ONCE: usize = 16;
/// What every account has before the first order: it was opened, with a deposit.
const OPENED: Page = Page { version: 2, balance: 100 };

/// An account's version and its balance, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    version: i64,
    balance: i64,
}

/// What does not hold of a bank whose workers are well; empty if everything does.
pub async fn violations(bank: &Bank, office: &Office, accounts: &[String], journal: &[Entry]) -> Vec<String> {
    let again: Vec<Answer> = futures::stream::iter(journal)
        .map(|entry| office.ask_until_answered(&entry.order, entry.key))
        .buffered(AT_ONCE)
        .collect()
        .await;
    eventually("every transfer ends", async || bank.succeed(&["sagas", "ls", "--json"]).is_empty().then_some(())).await;
    let mut found = other_answers(journal, &again);
    let due = due(accounts, journal, &again);
    for account in accounts {
        let (is, due) = (page(&bank.inspect(account)), due[account.as_str()]);
        if is != due {
            found.push(format!("account {account} is {is:?}, but by what was acknowledged it is {due:?}"));
        }
    }
    found.extend(of_the_log(bank));
    found
}

/// Answers that changed, and versions that two orders were told.
fn other_answers(journal: &[Entry], again: &[Answer]) -> Vec<String> {
    let mut found = Vec::new();
    let mut told = BTreeMap::new();
    for (Entry { key, order, answer }, again) in journal.iter().zip(again) {
        if answer.as_ref().is_some_and(|answer| answer != again) {
            found.push(format!("{key}, {order:?}: answered {answer:?}, and {again:?} when it was sent again"));
        }
        let Answer::Accepted(outcome) = again else { continue };
        let version = outcome["version"].as_i64();
        if let Some(other) = told.insert((&order.account, version), key) {
            found.push(format!("{key} and {other} both made version {version:?} of account {}", order.account));
        }
    }
    found
}

/// What each account must be.
fn due<'a>(accounts: &'a [String], journal: &'a [Entry], again: &[Answer]) -> BTreeMap<&'a str, Page> {
    let mut pages: BTreeMap<_, _> = accounts.iter().map(|account| (account.as_str(), OPENED)).collect();
    let accepted = journal.iter().zip(again).filter(|(_, again)| matches!(again, Answer::Accepted(_)));
    for (account, change) in accepted.flat_map(|(entry, _)| entry.order.changes()) {
        let page = pages.get_mut(account).expect("an account of the load");
        page.version += 1;
        page.balance += change;
    }
    pages
}

fn page(inspected: &Value) -> Page {
    let balance = inspected["state"]["balance"].as_str().expect("a balance");
    let balance = balance.replace('.', "").parse().expect("with two decimals");
    Page { version: inspected["version"].as_i64().expect("a version"), balance }
}

/// What the audit of the whole log finds, and what is parked.
fn of_the_log(bank: &Bank) -> Vec<String> {
    let report: Value = serde_json::from_str(&bank.succeed(&["verify", "--json"])).expect("JSON");
    let mut found: Vec<_> = report["violations"].as_array().expect("a list").iter().map(Value::to_string).collect();
    if report["ok"] != true {
        found.push(format!("bank verify: {}", report["checks"]));
    }
    let parked = bank.succeed(&["parked", "ls", "--json"]);
    found.extend(parked.lines().map(|line| format!("parked: {line}")));
    found
}
