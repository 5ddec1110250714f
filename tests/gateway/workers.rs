//! Workers without a gateway say how they are, too.

use reqwest::Client;
use serde_json::Value;

use super::bank::{Bank, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_gateway_answers_for_its_roles() {
    let Some(bank) = Bank::on_servers() else { return };
    let worker = bank.start("worker", &["--role", "commands", "--role", "sagas", "--role", "projections"]).await;
    let get = async |path: &str| Client::new().get(format!("{}{path}", worker.url)).send().await.expect("an answer");
    assert_eq!(get("/livez").await.status(), 200);
    let health: Value = get("/healthz").await.json().await.expect("JSON");
    let roles = health["roles"].as_array().expect("roles").iter();
    let roles: Vec<_> =
        roles.map(|it| (it["role"].as_str().unwrap_or(""), it["name"].as_str().unwrap_or(""))).collect();
    for role in [
        ("commands", "account"),
        ("commands", "account_registry"),
        ("projections", "accounts"),
        ("projections", "ledger"),
        ("router", "transfer"),
        ("saga", "transfer"),
        ("router", "request"),
        ("saga", "request"),
    ] {
        assert!(roles.contains(&role), "{role:?}: {health}");
    }
    for name in ["headwater_partitions{", "headwater_command_lag_records{"] {
        // Some are measured now and then.
        let is_told = async || get("/metrics").await.text().await.expect("text").contains(name).then_some(());
        eventually(name, is_told).await;
    }
    assert_eq!(get("/account/000001/DepositFunds").await.status(), 404, "it is no gateway");
    worker.leave();
    assert!(worker.ended().await);
}
