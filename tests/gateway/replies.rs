//! Many gateways side by side: each has its replies on a partition of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater::clock;
use headwater::gateway::Gateway;
use headwater::settings::{HttpSettings, Settings};
use reqwest::RequestBuilder;
use serde_json::json;

use crate::served::{Answered, Beside, PATIENCE, Served, settings};

/// Waits until every gateway has a partition that no other has.
async fn are_apart(gateways: &[&Gateway]) {
    let deadline = clock::instant() + PATIENCE;
    loop {
        let places: BTreeSet<_> = gateways.iter().map(|it| it.calls().replies_partition()).collect();
        if places.len() == gateways.len() {
            return;
        }
        assert!(clock::instant() < deadline, "gateways share partitions: {places:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Deposits one unit a hundred times, each answered once and for good.
async fn deposit(request: impl Fn() -> RequestBuilder) {
    for _ in 0..100 {
        let answered = Answered::to(request()).await;
        assert_eq!(answered.status, 200, "{answered:?}");
    }
}

fn with_replies(folder: &std::path::Path, partitions: u16) -> Settings {
    let mut settings = settings(folder, HttpSettings::default());
    settings.topology.reply_partitions = partitions.try_into().expect("not zero");
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn each_gateway_has_its_own_partition_and_no_command_is_lost_while_they_come_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Served::on(with_replies(folder.path(), 4)).await;
    let one = json!({"amount": 1});
    let work = async {
        let (second, third, fourth) = tokio::join!(Beside::of(&first), Beside::of(&first), Beside::of(&first));
        are_apart(&[&first.gateway, &second.gateway, &third.gateway, &fourth.gateway]).await;
        tokio::join!(
            deposit(|| second.post("/till/till-2/Deposit", &one)),
            deposit(|| third.post("/till/till-3/Deposit", &one)),
            deposit(|| fourth.post("/till/till-4/Deposit", &one)),
        );
        for beside in [second, third, fourth] {
            beside.gateway.stop().await;
        }
    };
    let sending = async {
        for _ in 0..3 {
            deposit(|| first.post("/till/till-1/Deposit", &one)).await;
        }
    };
    tokio::join!(work, sending);
    first.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_gateways_than_partitions_share_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Served::on(with_replies(folder.path(), 1)).await;
    let other = Beside::of(&first).await;
    let one = json!({"amount": 1});
    tokio::join!(
        deposit(|| first.post("/till/till-1/Deposit", &one)),
        deposit(|| other.post("/till/till-2/Deposit", &one)),
    );
    other.gateway.stop().await;
    first.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_one_gateway_had_under_way_has_its_outcome_from_another() {
    let one = Served::new().await;
    let other = Beside::of(&one).await;
    let body = json!({"amount": 1});
    for round in 1..=20 {
        let key = clock::new_id().to_string();
        let first = one.post("/till/till-1/Deposit", &body).header("idempotency-key", &key);
        // The client gives up before the answer comes: it knows nothing.
        drop(tokio::time::timeout(Duration::from_millis(1), first.send()).await);
        let again = Answered::to(other.post("/till/till-1/Deposit", &body).header("idempotency-key", &key)).await;
        assert_eq!(again.json()["version"], json!(round), "judged twice, or not at all: {again:?}");
    }
    other.gateway.stop().await;
    one.close().await;
}
