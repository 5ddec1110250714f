//! Gateways that leave under load, and gateways that are gone without a word.

use super::bank::Bank;
use super::customers::Customers;

const CUSTOMERS: usize = 16;

async fn accounts(worker: &super::bank::Worker, count: usize) -> Vec<String> {
    let mut accounts = Vec::new();
    for _ in 0..count {
        accounts.push(worker.open_account().await);
    }
    accounts
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_while_a_gateway_leaves_is_answered() {
    let bank = Bank::embedded();
    let worker = bank.start("first", &[]).await;
    let accounts = accounts(&worker, 4).await;
    let customers = Customers::begin(&worker.url, &accounts, CUSTOMERS, false);
    customers.have(200, 200).await;
    worker.leave();
    // None of them sees a failed request: each is told with an answer that it was the last.
    let payments = customers.dismissed().await;
    assert!(worker.ended().await, "it did not leave in good order");
    assert!(payments.count() >= 200 + CUSTOMERS);
    let again = bank.start("first", &[]).await;
    payments.are_kept(&bank, &again.url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_crash_has_the_first_outcome_on_the_embedded_log() {
    let bank = Bank::embedded();
    let worker = bank.start("first", &[]).await;
    let accounts = accounts(&worker, 4).await;
    let customers = Customers::begin(&worker.url, &accounts, CUSTOMERS, true);
    let mut worker = worker;
    for _ in 0..3 {
        customers.have(100, 200).await;
        worker.kill();
        worker = bank.start("first", &[]).await;
        customers.go_to(&worker.url);
    }
    customers.have(100, 200).await;
    assert!(customers.answered(0) > 0, "nobody met the crash");
    customers.finish().await.are_kept(&bank, &worker.url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_gateways_crash_has_the_first_outcome_on_kafka() {
    let Some(bank) = Bank::on_servers() else { return };
    let _judges = bank.start("judges", &["--role", "commands", "--role", "gateway"]).await;
    let mut gateway = bank.start("gateway", &["--role", "gateway"]).await;
    let accounts = accounts(&gateway, 4).await;
    let customers = Customers::begin(&gateway.url, &accounts, CUSTOMERS, true);
    for _ in 0..3 {
        customers.have(100, 200).await;
        gateway.kill();
        gateway = bank.start("gateway", &["--role", "gateway"]).await;
        customers.go_to(&gateway.url);
    }
    customers.have(100, 200).await;
    assert!(customers.answered(0) > 0, "nobody met the crash");
    customers.finish().await.are_kept(&bank, &gateway.url).await;
}
