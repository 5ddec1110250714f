//! Commands over HTTP: every way in which one can end.

use headwater::clock;
use headwater::settings::HttpSettings;
use serde_json::json;
use uuid::Uuid;

use crate::served::{Answered, Served};

#[tokio::test]
async fn an_accepted_command_says_where_the_aggregate_and_its_partition_stand() {
    let shop = Served::new().await;
    let answered = Answered::to(shop.post("/till/till-1/Deposit", &json!({"amount": 7}))).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    let outcome = answered.json();
    assert_eq!(
        (&outcome["outcome"], &outcome["version"], &outcome["data"]),
        (&json!("accepted"), &json!(1), &json!(7))
    );
    assert_eq!(answered.header("etag"), "\"1\"");
    assert_eq!(answered.header("headwater-position"), outcome["position"].as_str().expect("a position"));
    let id: Uuid = answered.header("idempotency-key").parse().expect("the key that was made");
    assert_eq!(outcome["command_id"], json!(id));
    assert_eq!(answered.header("content-location"), format!("/till/till-1/commands/{id}"));
    shop.close().await;
}

#[tokio::test]
async fn the_same_key_has_the_same_outcome_and_with_another_payload_it_is_a_conflict() {
    let shop = Served::new().await;
    let key = clock::new_id().to_string();
    let send = |amount: i64| {
        Answered::to(shop.post("/till/till-1/Deposit", &json!({"amount": amount})).header("idempotency-key", &key))
    };
    let first = send(7).await;
    assert_eq!(send(7).await.json(), first.json());
    let conflict = send(8).await.is_problem(409, "conflict");
    assert_eq!(conflict["command_id"], json!(key));
    shop.close().await;
}

#[tokio::test]
async fn a_refused_command_has_the_domains_code_and_data() {
    let shop = Served::new().await;
    let refused = Answered::to(shop.post("/till/till-1/Withdraw", &json!({"amount": 1}))).await;
    let problem = refused.is_problem(422, "not_enough");
    assert_eq!(problem["type"], "urn:headwater:refusal:till:not_enough");
    assert_eq!((&problem["data"], &problem["version"]), (&json!({"balance": 0}), &json!(0)));
    shop.close().await;
}

#[tokio::test]
async fn an_expected_version_that_is_not_the_present_one_fails_and_names_it() {
    let shop = Served::new().await;
    let deposit = |tag: &'static str| {
        Answered::to(shop.post("/till/till-1/Deposit", &json!({"amount": 1})).header("if-match", tag))
    };
    assert_eq!(deposit("\"0\"").await.status, 200);
    let mismatch = deposit("\"0\"").await;
    assert_eq!(mismatch.is_problem(412, "version_mismatch")["version"], json!(1));
    assert_eq!(mismatch.header("etag"), "\"1\"");
    assert_eq!(deposit("\"1\"").await.status, 200);
    deposit("1").await.is_problem(400, "bad_input");
    shop.close().await;
}

#[tokio::test]
async fn what_is_not_there_for_clients_is_not_found() {
    let shop = Served::new().await;
    let post = |path: &'static str| Answered::to(shop.post(path, &json!({"amount": 1})));
    post("/tilt/till-1/Deposit").await.is_problem(404, "unknown_aggregate");
    post("/till/till-1/Deposits").await.is_problem(404, "unknown_command");
    let seize = post("/till/till-1/Seize").await.is_problem(404, "unknown_command");
    let unknown = post("/till/till-1/Sei").await.is_problem(404, "unknown_command");
    assert_eq!(
        seize["detail"].as_str().expect("text").replace("Seize", "X"),
        unknown["detail"].as_str().expect("text").replace("Sei", "X"),
        "what only the engine sends must not be told from what does not exist"
    );
    post("/nowhere").await.is_problem(404, "not_found");
    Answered::to(shop.get("/till/till-1/Deposit")).await.is_problem(405, "method_not_allowed");
    shop.close().await;
}

#[tokio::test]
async fn bad_input_is_answered_with_the_place_and_the_rule() {
    let shop = Served::new().await;
    for (body, pointer) in [
        (json!({"amount": 0}), "/amount"),
        (json!({"amount": "1"}), "/amount"),
        (json!({"amount": 1.5}), "/amount"),
        (json!({"amount": 1e300}), "/amount"),
        (json!({}), "/amount"),
        (json!({"amount": 1, "amuont": 1}), "/amuont"),
        (json!({"amount": 1, "note": 1}), "/note"),
    ] {
        let problem = Answered::to(shop.post("/till/till-1/Deposit", &body)).await.is_problem(400, "bad_input");
        assert_eq!(problem["pointer"], json!(pointer), "{body}: {problem}");
    }
    for body in [json!([1]), json!("x"), json!(null)] {
        Answered::to(shop.post("/till/till-1/Deposit", &body)).await.is_problem(400, "bad_input");
    }
    let id = Answered::to(shop.post("/till/safe/Deposit", &json!({"amount": 1}))).await.is_problem(400, "bad_input");
    assert_eq!(id["parameter"], "id");
    let with = |name: &'static str, value: &'static str| {
        Answered::to(shop.post("/till/till-1/Deposit", &json!({"amount": 1})).header(name, value))
    };
    for (name, value) in [("idempotency-key", "mine"), ("if-match", "W/\"1\""), ("headwater-issued-at", "yesterday")] {
        assert_eq!(with(name, value).await.is_problem(400, "bad_input")["header"], json!(name));
    }
    shop.close().await;
}

#[tokio::test]
async fn a_command_issued_in_the_future_or_before_what_is_remembered_is_not_judged() {
    let shop = Served::new().await;
    let send = |issued_at: String| {
        let request = shop.post("/till/till-1/Deposit", &json!({"amount": 1}));
        let request =
            request.header("idempotency-key", Uuid::new_v5(&Uuid::NAMESPACE_OID, issued_at.as_bytes()).to_string());
        Answered::to(request.header("headwater-issued-at", issued_at))
    };
    let now = clock::Clock::system().now();
    let later = now.plus(std::time::Duration::from_hours(1));
    send(later.to_string()).await.is_problem(400, "clock_skew");
    assert_eq!(send(now.to_string()).await.status, 200);
    let contradiction = shop.post("/till/till-1/Deposit", &json!({"amount": 1}));
    let contradiction = contradiction.header("idempotency-key", clock::new_id().to_string());
    let contradiction = Answered::to(contradiction.header("headwater-issued-at", later.to_string())).await;
    assert_eq!(contradiction.is_problem(400, "bad_input")["header"], "headwater-issued-at");
    shop.close().await;
}

#[tokio::test]
async fn an_asynchronous_command_is_accepted_once_it_is_written() {
    let shop = Served::new().await;
    let request = shop.post("/till/till-1/Deposit", &json!({"amount": 3})).header("prefer", "respond-async");
    let answered = Answered::to(request).await;
    assert_eq!(answered.status, 202, "{answered:?}");
    assert_eq!(answered.header("preference-applied"), "respond-async");
    let id = answered.header("idempotency-key").to_owned();
    assert_eq!(answered.header("location"), format!("/till/till-1/commands/{id}"));
    let repeated = shop.post("/till/till-1/Deposit", &json!({"amount": 3})).header("idempotency-key", id);
    assert_eq!(Answered::to(repeated).await.json()["version"], json!(1));
    shop.close().await;
}

#[tokio::test]
async fn a_body_must_be_json_and_no_larger_than_it_may_be() {
    let shop = Served::with(HttpSettings { body_bytes: 100, ..HttpSettings::default() }).await;
    let url = format!("{}/till/till-1/Deposit", shop.base);
    let post =
        |body: String, kind: &'static str| Answered::to(shop.client.post(&url).header("content-type", kind).body(body));
    post("amount=1".to_owned(), "application/x-www-form-urlencoded").await.is_problem(415, "unsupported_media_type");
    post("{\"amount\":1}".to_owned(), "").await.is_problem(415, "unsupported_media_type");
    post("{".to_owned(), "application/json").await.is_problem(400, "bad_input");
    post(format!("{{\"amount\":1,\"note\":\"{}\"}}", "x".repeat(100)), "application/json")
        .await
        .is_problem(413, "too_large");
    assert_eq!(post("{\"amount\":1}".to_owned(), "application/json; charset=utf-8").await.status, 200);
    shop.close().await;
}

#[tokio::test]
async fn a_full_gateway_says_when_to_try_again() {
    let shop = Served::with(HttpSettings { in_flight: 0, ..HttpSettings::default() }).await;
    let answered = Answered::to(shop.post("/till/till-1/Deposit", &json!({"amount": 1}))).await;
    answered.is_problem(503, "busy");
    assert_eq!(answered.header("retry-after"), "1");
    shop.close().await;
}

#[tokio::test]
async fn who_has_no_token_is_turned_away_and_who_may_read_may_not_write() {
    let tokens = HttpSettings { token: Some("all".into()), read_token: Some("some".into()), ..HttpSettings::default() };
    let shop = Served::with(tokens).await;
    let post = |token: Option<&'static str>| {
        let request = shop.post("/till/till-1/Deposit", &json!({"amount": 1}));
        Answered::to(if let Some(token) = token { request.bearer_auth(token) } else { request })
    };
    for token in [None, Some("wrong"), Some("")] {
        let answered = post(token).await;
        answered.is_problem(401, "unauthorized");
        assert_eq!(answered.header("www-authenticate"), "Bearer");
    }
    post(Some("some")).await.is_problem(403, "forbidden");
    assert_eq!(post(Some("all")).await.status, 200);
    assert_eq!(Answered::to(shop.get("/queries/AllTills").bearer_auth("some")).await.status, 200);
    shop.close().await;
}
