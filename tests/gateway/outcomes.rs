//! Outcomes looked up over HTTP.

use headwater::clock;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::served::{Answered, Served};

/// Asks until it is no longer pending.
async fn judged(shop: &Served, path: &str) -> Value {
    loop {
        let answered = Answered::to(shop.get(path)).await;
        match answered.status.as_u16() {
            200 => return answered.json(),
            202 => assert_eq!(answered.json()["outcome"], "pending"),
            _ => panic!("{answered:?}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_outcome_is_found_where_the_answer_said() {
    let shop = Served::new().await;
    for round in 0..5 {
        let id = format!("till-{round}");
        let sent = Answered::to(shop.post(&format!("/till/{id}/Deposit"), &json!({"amount": 7}))).await;
        let found = Answered::to(shop.get(sent.header("content-location"))).await;
        assert_eq!(found.json(), sent.json());
        assert_eq!(found.header("etag"), sent.header("etag"));
        let refused = Answered::to(shop.post(&format!("/till/{id}/Withdraw"), &json!({"amount": 8}))).await;
        let problem = refused.is_problem(422, "not_enough");
        let found = Answered::to(shop.get(problem["instance"].as_str().expect("a path"))).await;
        assert_eq!((found.status.as_u16(), &found.json()["outcome"]), (200, &json!("refused")));
    }
    shop.close().await;
}

#[tokio::test]
async fn an_asynchronous_command_is_judged_in_the_end() {
    let shop = Served::new().await;
    let request = shop.post("/till/till-1/Deposit", &json!({"amount": 3})).header("prefer", "respond-async");
    let answered = Answered::to(request).await;
    let outcome = judged(&shop, answered.header("location")).await;
    assert_eq!((&outcome["outcome"], &outcome["version"]), (&json!("accepted"), &json!(1)));
    shop.close().await;
}

#[tokio::test]
async fn the_outcome_of_a_command_whose_key_says_no_time_is_found_by_the_path_that_was_given() {
    let shop = Served::new().await;
    let key = Uuid::new_v5(&Uuid::NAMESPACE_OID, b"mine").to_string();
    let request = shop.post("/till/till-1/Deposit", &json!({"amount": 3})).header("idempotency-key", &key);
    let sent = Answered::to(request).await;
    let path = sent.header("content-location");
    assert!(path.starts_with(&format!("/till/till-1/commands/{key}?issued_at=")), "{path}");
    assert_eq!(Answered::to(shop.get(path)).await.json(), sent.json());
    let without = Answered::to(shop.get(&format!("/till/till-1/commands/{key}"))).await;
    assert_eq!(without.is_problem(400, "bad_input")["pointer"], "/issued_at");
    shop.close().await;
}

#[tokio::test]
async fn a_conflict_does_not_hide_the_first_outcome() {
    let shop = Served::new().await;
    let key = clock::new_id().to_string();
    let send = |amount: i64| {
        Answered::to(shop.post("/till/till-1/Deposit", &json!({"amount": amount})).header("idempotency-key", &key))
    };
    let first = send(1).await;
    send(2).await.is_problem(409, "conflict");
    assert_eq!(Answered::to(shop.get(first.header("content-location"))).await.json(), first.json());
    shop.close().await;
}

#[tokio::test]
async fn what_was_never_sent_is_not_found() {
    let shop = Served::new().await;
    let unknown = format!("/till/till-1/commands/{}", clock::new_id());
    Answered::to(shop.get(&unknown)).await.is_problem(404, "unknown_outcome");
    let sent = Answered::to(shop.post("/till/till-1/Deposit", &json!({"amount": 7}))).await;
    let elsewhere = sent.header("content-location").replace("till-1", "till-2");
    Answered::to(shop.get(&elsewhere)).await.is_problem(404, "unknown_outcome");
    Answered::to(shop.get("/till/till-1/commands/mine")).await.is_problem(400, "bad_input");
    let id = format!("/till/safe/commands/{}", clock::new_id());
    assert_eq!(Answered::to(shop.get(&id)).await.is_problem(400, "bad_input")["parameter"], "id");
    shop.close().await;
}
