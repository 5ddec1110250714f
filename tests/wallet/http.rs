//! The wallet over HTTP, as a session of curl calls sees it.

use std::time::Duration;

use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

use super::world::World;
use super::{ANNA, BEN, WALLET};

/// A wallet that serves HTTP.
struct Served {
    url: String,
    client: Client,
    world: World,
}

impl Served {
    fn start(mut world: World) -> Self {
        let url = world.serve();
        let client = Client::builder().timeout(Duration::from_mins(1)).build().expect("a client");
        Self { url, client, world }
    }

    fn at(&self, wallet: &str, what: &str) -> String {
        format!("{}/wallet/{wallet}/{what}", self.url)
    }

    fn post(&self, wallet: &str, what: &str, body: &str) -> Response {
        self.client.post(self.at(wallet, what)).body(body.to_owned()).send().expect("an answer")
    }

    fn get(&self, path: &str, position: Option<&str>) -> Response {
        let mut request = self.client.get(format!("{}{path}", self.url)).header("prefer", "wait=30");
        if let Some(position) = position {
            request = request.header("headwater-position", position);
        }
        request.send().expect("an answer")
    }

    fn read(&self, path: &str, position: &str) -> Value {
        let response = self.get(path, Some(position));
        assert_eq!(response.status(), 200, "{path}: {response:?}");
        response.json().expect("JSON")
    }
}

fn position_of(response: &Response) -> String {
    response.headers()["headwater-position"].to_str().expect("text").to_owned()
}

fn session(wallet: &Served) {
    let credited = wallet.post(ANNA, "credit", r#"{"amount": 5}"#);
    assert_eq!(credited.status(), 200);
    assert_eq!(credited.json::<Value>().expect("JSON")["data"], json!({ "balance": 5 }));
    let debited = wallet.post(ANNA, "debit", r#"{"amount": 2}"#);
    assert_eq!(debited.status(), 200);
    let position = position_of(&debited);

    let refused = wallet.post(ANNA, "debit", r#"{"amount": 7}"#);
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["content-type"].to_str().ok()),
        (422, Some("application/problem+json"))
    );
    let refused: Value = refused.json().expect("JSON");
    assert_eq!((&refused["code"], &refused["data"]), (&json!("overdrawn"), &json!({ "balance": 3, "would_be": -4 })));

    let balance = wallet.read(&format!("/wallet/{ANNA}/balance"), &position);
    assert_eq!(balance, json!({ "wallet": ANNA, "balance": 3, "version": 2 }));
    let page = wallet.read(&format!("/wallet/{ANNA}/transactions?limit=1"), &position);
    let newest = &page["transactions"][0];
    assert_eq!((&newest["amount"], &newest["balance"], &page["next"]), (&json!(-2), &json!(3), &json!(2)));
    let rest = wallet.read(&format!("/wallet/{ANNA}/transactions?before=2"), &position);
    assert_eq!((&rest["transactions"][0]["amount"], &rest["next"]), (&json!(5), &Value::Null));
}

#[test]
fn a_session_of_credits_debits_balances_and_transactions_on_the_embedded_log() {
    session(&Served::start(World::embedded(WALLET)));
}

#[test]
fn a_session_of_credits_debits_balances_and_transactions_on_real_servers() {
    if let Some(world) = World::on_servers(WALLET) {
        session(&Served::start(world));
    }
}

#[test]
fn bad_input_is_answered_at_once_with_the_field_named_and_changes_nothing() {
    let wallet = Served::start(World::embedded(WALLET));
    for body in [
        "",
        "nonsense",
        "{}",
        r#"{"amount":0}"#,
        r#"{"amount":-5}"#,
        r#"{"amount":"5"}"#,
        r#"{"amount":1e308}"#,
        r#"{"amount":NaN}"#,
    ] {
        for what in ["credit", "debit"] {
            let response = wallet.post(BEN, what, body);
            assert_eq!(response.status(), 400, "{body}");
            let problem: Value = response.json().expect("JSON");
            assert_eq!(problem["pointer"], "/amount", "{body}: {problem}");
        }
    }
    let response = wallet.post("anna", "credit", r#"{"amount":5}"#);
    assert_eq!(
        (response.status().as_u16(), response.json::<Value>().expect("JSON")["parameter"].clone()),
        (400, json!("id"))
    );
    for (path, field) in [("limit=0", "/limit"), ("limit=1001", "/limit"), ("before=x", "/before")] {
        let response = wallet.get(&format!("/wallet/{BEN}/transactions?{path}"), None);
        assert_eq!(response.status(), 400, "{path}");
        assert_eq!(response.json::<Value>().expect("JSON")["pointer"], field, "{path}");
    }
    let balance: Value = wallet.get(&format!("/wallet/{BEN}/balance"), None).json().expect("JSON");
    assert_eq!(balance, json!({ "wallet": BEN, "balance": 0, "version": 0 }), "an unknown wallet is an empty one");
}

#[test]
fn every_attempt_over_http_is_in_the_history_also_across_pages() {
    let wallet = Served::start(World::embedded(WALLET));
    for amount in 1..=3 {
        assert_eq!(wallet.post(BEN, "debit", &json!({ "amount": amount }).to_string()).status(), 422);
    }
    let last = wallet.post(ANNA, "credit", r#"{"amount": 9}"#);
    let other = wallet.post(BEN, "credit", r#"{"amount": 1}"#);
    let position = format!("{}, {}", position_of(&last), position_of(&other));
    let first = wallet.read("/wallets/history?limit=3", &position);
    let rest = wallet.read(&format!("/wallets/history?before={}", first["next"].as_str().expect("more")), &position);
    let rows = [first["attempts"].as_array(), rest["attempts"].as_array()].map(|it| it.expect("rows").clone()).concat();
    let mut shown: Vec<Value> =
        rows.iter().map(|row| json!([row["wallet"], row["amount"], row["outcome"], row["balance"]])).collect();
    shown.reverse();
    let expected = [
        json!([BEN, 1, "refused", 0]),
        json!([BEN, 2, "refused", 0]),
        json!([BEN, 3, "refused", 0]),
        json!([ANNA, 9, "accepted", 9]),
        json!([BEN, 1, "accepted", 1]),
    ];
    assert_eq!((shown, &rest["next"]), (expected.to_vec(), &Value::Null));
}

#[test]
fn a_load_reports_its_requests_and_all_of_them_are_in_the_wallet() {
    let wallet = Served::start(World::embedded(WALLET));
    let report = wallet.world.ask(&[
        "load",
        "--workers",
        "4",
        "--period",
        "0",
        "--duration",
        "500ms",
        "--url",
        &wallet.url,
        "--json",
    ]);
    let answered = report["answered"].as_i64().expect("a number");
    assert!(answered > 0 && report["failed"] == 0, "{report}");
    assert!(report["p99_ms"].as_f64() >= report["p50_ms"].as_f64(), "{report}");
}
