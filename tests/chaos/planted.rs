//! The checker finds what is wrong: each of these plants one thing, and it is named.

use headwater::clock;
use serde_json::json;

use super::bank::{Bank, eventually};
use super::checker::violations;
use super::customers::{Customers, Office};
use super::journal::{Answer, Entry, Order, What};
use super::open_accounts;

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_finds_what_is_planted() {
    let (bank, office) = (Bank::embedded(), Office::new());
    let worker = bank.start("worker", &[]).await;
    office.go_to(vec![worker.url.clone()]);
    let accounts = open_accounts(&worker, 3).await;
    let customers = Customers::begin(&office, &accounts, 4, 1);
    eventually("orders are acknowledged", async || (office.acknowledged() >= 40).then_some(())).await;
    let journal = customers.finish().await;
    let found = async |journal: &[Entry]| violations(&bank, &office, &accounts, journal).await;
    let nothing = found(&journal).await;
    assert!(nothing.is_empty(), "{nothing:#?}");
    let is_accepted = |entry: &Entry| matches!(entry.answer, Some(Answer::Accepted(_)));
    let place = journal.iter().position(is_accepted).expect("some are accepted");

    // One that the customers know nothing of was done: as if an order had been done twice.
    let mut too_few = journal.clone();
    let Entry { order, .. } = too_few.remove(place);
    let said = found(&too_few).await.join("\n");
    assert!(said.contains(&format!("account {} is Page", order.account)), "{said}");

    // Another answer than the bank gave.
    let mut changed = journal.clone();
    changed[place].answer = Some(Answer::Refused("insufficient_funds".to_owned()));
    let said = found(&changed).await.join("\n");
    assert!(said.contains(&changed[place].key.to_string()), "{said}");

    // An acknowledgement of what never happened; last, since it happens when it is sent again.
    let mut invented = journal.clone();
    let (key, order) = (clock::new_id(), Order { account: accounts[0].clone(), what: What::Deposit(100) });
    let outcome = json!({ "outcome": "accepted", "command_id": key.to_string(), "version": 3 });
    invented.push(Entry { key, order, answer: Some(Answer::Accepted(outcome)) });
    let said = found(&invented).await.join("\n");
    assert!(said.contains(&key.to_string()), "{said}");
}
