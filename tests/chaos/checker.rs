//! Holds the bank to what customers were told: against their journal, and against the bank's own log.
//!
//! Every order is sent once more under its key. One that was answered must be answered the same; one that was
//! given up gets its answer now. What was accepted then tells each account's balance and how many events it has:
//! one more or one less was lost, invented or done twice. What cannot be looked at is a violation, too, and keeps
//! nobody from looking at the rest.

use std::collections::BTreeMap;

use futures::StreamExt;
use headwater::clock;
use serde_json::Value;

use super::bank::{Bank, PATIENCE};
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
    let again: Vec<_> = futures::stream::iter(journal)
        .map(|entry| office.ask_until_answered(&entry.order, entry.key))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut found: Vec<_> = open_transfers(bank).into_iter().collect();
    found.extend(again.iter().filter_map(|again| again.as_ref().err().cloned()));
    found.extend(other_answers(journal, &again));
    let due = due(accounts, journal, &again);
    for account in accounts {
        match (page(bank, account), due[account.as_str()]) {
            (Ok(is), due) if is == due => {}
            (Ok(is), due) => {
                found.push(format!("account {account} is {is:?}, but by what was acknowledged it is {due:?}"));
            }
            (Err(unseen), _) => found.push(unseen),
        }
    }
    found.extend(of_the_log(bank));
    found
}

/// Transfers that do not end.
fn open_transfers(bank: &Bank) -> Option<String> {
    let deadline = clock::instant() + PATIENCE;
    loop {
        let open = bank.run(&["sagas", "ls", "--json"]);
        if open.as_ref().is_ok_and(String::is_empty) {
            return None;
        }
        if clock::instant() >= deadline {
            return Some(open.map_or_else(|failed| failed, |open| format!("transfers that do not end: {open}")));
        }
    }
}

/// Answers that changed, and versions that two orders were told.
fn other_answers(journal: &[Entry], again: &[Result<Answer, String>]) -> Vec<String> {
    let mut found = Vec::new();
    let mut told = BTreeMap::new();
    for (Entry { key, order, answer }, again) in journal.iter().zip(again) {
        let Ok(again) = again else { continue };
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
fn due<'a>(accounts: &'a [String], journal: &'a [Entry], again: &[Result<Answer, String>]) -> BTreeMap<&'a str, Page> {
    let mut pages: BTreeMap<_, _> = accounts.iter().map(|account| (account.as_str(), OPENED)).collect();
    let accepted = journal.iter().zip(again).filter(|(_, again)| matches!(again, Ok(Answer::Accepted(_))));
    for (account, change) in accepted.flat_map(|(entry, _)| entry.order.changes()) {
        let page = pages.get_mut(account).expect("an account of the load");
        page.version += 1;
        page.balance += change;
    }
    pages
}

/// What an account is by the log.
fn page(bank: &Bank, account: &str) -> Result<Page, String> {
    let shown = bank.run(&["inspect", "account", account, "--json"])?;
    let page = |shown: &Value| {
        let balance = shown["state"]["balance"].as_str()?.replace('.', "").parse().ok()?;
        Some(Page { version: shown["version"].as_i64()?, balance })
    };
    serde_json::from_str(&shown).ok().as_ref().and_then(page).ok_or(format!("account {account} is no account: {shown}"))
}

/// What the audit of the whole log finds, and what is parked.
fn of_the_log(bank: &Bank) -> Vec<String> {
    let mut found: Vec<_> = bank.run(&["verify", "--json"]).err().into_iter().collect();
    match bank.run(&["parked", "ls", "--json"]) {
        Ok(parked) => found.extend(parked.lines().map(|line| format!("parked: {line}"))),
        Err(failed) => found.push(failed),
    }
    found
}
