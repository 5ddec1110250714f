//! Event streams at two gateways that are processes of their own, one of which crashes.

use futures::future::join_all;
use headwater::clock;
use reqwest::Client;
use serde_json::json;

use super::bank::{Bank, PATIENCE};
use super::streams::Listener;

const ACCOUNTS: usize = 10;
const ROUNDS: usize = 20;

/// Pays into each account once.
async fn pay(http: &Client, url: &str, accounts: &[String]) {
    let paid = accounts.iter().map(async |account| {
        let request = http.post(format!("{url}/account/{account}/DepositFunds")).timeout(PATIENCE);
        let answer = request.json(&json!({"amount": "0.01"})).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    });
    join_all(paid).await;
}

/// So many listen at two gateways, and one of the gateways is killed.
async fn heard_by(listeners: usize) {
    let Some(bank) = Bank::on_servers() else { return };
    let stays = bank.start("stays", &["--role", "commands", "--role", "gateway"]).await;
    let goes = bank.start("goes", &["--role", "gateway"]).await;
    let accounts = join_all((0..ACCOUNTS).map(|_| stays.open_account())).await;
    let (http, begun) = (Client::new(), clock::instant());
    let listening = (0..listeners).map(async |number| {
        let base = if number % 2 == 0 { &stays.url } else { &goes.url };
        let path = format!("/events?aggregate=account&id={}&from=earliest", accounts[number % ACCOUNTS]);
        Listener::at(&http, base, &path).await
    });
    let listening = join_all(listening).await;
    let connected = begun.elapsed();
    let payments = async {
        let mut goes = Some(goes);
        for round in 0..ROUNDS {
            pay(&http, &stays.url, &accounts).await;
            if round == ROUNDS / 2
                && let Some(gateway) = goes.take()
            {
                gateway.kill();
            }
        }
    };
    // The account was opened with two events.
    let events = ROUNDS + 2;
    let hearing = listening.into_iter().enumerate().map(|(number, mut listener)| {
        let base = stays.url.clone();
        tokio::spawn(async move {
            listener.until(events, &[&base]).await;
            (number, listener.versions(), listener.comebacks)
        })
    });
    let hearing: Vec<_> = hearing.collect();
    payments.await;
    let expected: Vec<i64> = (1..=i64::try_from(events).expect("few")).collect();
    for heard in join_all(hearing).await {
        let (number, versions, comebacks) = heard.expect("it listened");
        assert_eq!((&versions, comebacks), (&expected, number % 2), "listener {number}");
    }
    println!(
        "{listeners} listeners, connected in {connected:.1?}: each heard all {events} events of its account once, in \
         {:.1?} with the crash of the gateway that half of them listened at",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_go_to_another_gateway_when_theirs_is_killed_and_miss_nothing() {
    heard_by(100).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a thousand listeners take a while; the same with a hundred runs always"]
async fn a_thousand_listeners_go_to_another_gateway_when_theirs_is_killed_and_miss_nothing() {
    heard_by(1000).await;
}
