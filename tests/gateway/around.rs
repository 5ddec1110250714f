//! What lies around every request: ids, what browsers ask for, compression.

use headwater::settings::HttpSettings;
use reqwest::Method;
use serde_json::json;

use crate::served::{Answered, Served};

#[tokio::test]
async fn a_request_has_the_id_that_it_came_with_or_one_of_its_own() {
    let shop = Served::new().await;
    let given = Answered::to(shop.get("/queries/AllTills").header("x-request-id", "mine-1")).await;
    assert_eq!(given.header("x-request-id"), "mine-1");
    let made = Answered::to(shop.get("/nowhere")).await;
    assert_eq!(made.header("x-request-id").len(), 36, "errors have one too: {made:?}");
    let much = "x".repeat(200);
    let replaced = Answered::to(shop.get("/queries/AllTills").header("x-request-id", &much)).await;
    assert_eq!(replaced.header("x-request-id").len(), 36);
    shop.close().await;
}

#[tokio::test]
async fn a_browser_may_call_from_the_origins_that_are_set() {
    let cors = Some("https://shop.example, http://localhost:3000".parse().expect("origins"));
    let shop = Served::with(HttpSettings { cors, token: Some("all".into()), ..HttpSettings::default() }).await;
    let preflight = |origin: &'static str| {
        let url = format!("{}/till/till-1/Deposit", shop.base);
        let asked = shop.client.request(Method::OPTIONS, url).header("origin", origin);
        let asked = asked.header("access-control-request-method", "POST");
        Answered::to(asked.header("access-control-request-headers", "authorization,idempotency-key"))
    };
    let allowed = preflight("https://shop.example").await;
    assert_eq!(allowed.status, 200, "it is asked without a token: {allowed:?}");
    assert_eq!(allowed.header("access-control-allow-origin"), "https://shop.example");
    assert_eq!(allowed.header("access-control-allow-headers"), "authorization,idempotency-key");
    let other = preflight("https://other.example").await;
    assert!(!other.headers.contains_key("access-control-allow-origin"), "{other:?}");
    // A page may read why it is turned away, and where its command stands.
    let refused = shop.post("/till/till-1/Deposit", &json!({"amount": 1})).header("origin", "http://localhost:3000");
    let refused = Answered::to(refused).await;
    refused.is_problem(401, "unauthorized");
    assert_eq!(refused.header("access-control-allow-origin"), "http://localhost:3000");
    assert!(refused.header("access-control-expose-headers").contains("headwater-position"), "{refused:?}");
    shop.close().await;
}

#[tokio::test]
async fn unless_it_is_set_no_page_of_another_origin_may_call() {
    let shop = Served::new().await;
    let answered = Answered::to(shop.get("/queries/AllTills").header("origin", "https://shop.example")).await;
    assert!(!answered.headers.contains_key("access-control-allow-origin"), "{answered:?}");
    shop.close().await;
}

#[tokio::test]
async fn answers_are_compressed_for_who_takes_it_if_that_is_set() {
    let shop = Served::with(HttpSettings { compression: true, ..HttpSettings::default() }).await;
    let plain = Answered::to(shop.get("/openapi.json")).await;
    assert!(!plain.headers.contains_key("content-encoding"), "{plain:?}");
    let compressed = shop.get("/openapi.json").header("accept-encoding", "gzip").send().await.expect("an answer");
    assert_eq!(compressed.headers()["content-encoding"], "gzip");
    let bytes = compressed.bytes().await.expect("bytes");
    assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < plain.text.len() / 2, "{} bytes", bytes.len());
    // Events are to come at once, one by one.
    let events = shop.get("/events?aggregate=till&partition=0").header("accept-encoding", "gzip");
    let events = events.send().await.expect("an answer");
    assert!(!events.headers().contains_key("content-encoding"), "{events:?}");
    drop(events);
    shop.close().await;
}
