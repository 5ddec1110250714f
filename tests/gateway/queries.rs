//! Queries over HTTP.

use headwater::settings::HttpSettings;
use serde_json::json;

use crate::served::{Answered, Served};

/// A till with so much in it; where its last event stands.
async fn till(shop: &Served, id: &str, amount: i64) -> String {
    let answered = Answered::to(shop.post(&format!("/till/{id}/Deposit"), &json!({"amount": amount}))).await;
    answered.header("headwater-position").to_owned()
}

#[tokio::test]
async fn a_query_waits_for_the_positions_it_is_given_and_says_where_its_view_stands() {
    let shop = Served::new().await;
    for round in 1..=20 {
        let position = till(&shop, "till-1", 1).await;
        let by_header = shop.get("/queries/TillSummary?till_id=till-1").header("headwater-position", &position);
        let answered = Answered::to(by_header).await;
        assert_eq!(answered.json(), json!({"till_id": "till-1", "balance": round}));
        assert!(answered.header("headwater-position").split(", ").any(|it| it == position), "{answered:?}");
    }
    let position = till(&shop, "till-1", 1).await;
    let by_parameter = Answered::to(shop.get(&format!("/queries/TillSummary?at={position}&till_id=till-1"))).await;
    assert_eq!(by_parameter.json()["balance"], json!(21));
    shop.close().await;
}

#[tokio::test]
async fn a_position_that_is_not_reached_in_time_is_to_be_asked_for_again() {
    let shop = Served::new().await;
    let position = till(&shop, "till-1", 1).await;
    let (partition, _) = position.rsplit_once(':').expect("a position");
    let request = shop.get(&format!("/queries/AllTills?at={partition}:1000")).header("prefer", "wait=0");
    let answered = Answered::to(request).await;
    answered.is_problem(503, "not_yet");
    assert_eq!(answered.header("retry-after"), "1");
    shop.close().await;
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let shop = Served::new().await;
    let position = till(&shop, "till-1", 1).await;
    let path = format!("/queries/TillSummary?till_id=till-1&at={position}");
    let tag = Answered::to(shop.get(&path)).await.header("etag").to_owned();
    let known = Answered::to(shop.get(&path).header("if-none-match", &tag)).await;
    assert_eq!((known.status.as_u16(), known.text.as_str()), (304, ""));
    assert_eq!(known.header("etag"), tag);
    let position = till(&shop, "till-1", 1).await;
    let path = format!("/queries/TillSummary?till_id=till-1&at={position}");
    assert_eq!(Answered::to(shop.get(&path).header("if-none-match", &tag)).await.status, 200);
    shop.close().await;
}

#[tokio::test]
async fn fields_are_read_as_their_types_and_a_wrong_one_is_named() {
    let shop = Served::new().await;
    let first = till(&shop, "till-1", 5).await;
    let second = till(&shop, "till-2", 10).await;
    let path = format!("/queries/AllTills?at_least=10&limit=5&at={first}&at={second}");
    assert_eq!(Answered::to(shop.get(&path)).await.json(), json!([{"till_id": "till-2", "balance": 10}]));
    for (fields, pointer) in [
        ("at_least=much", "/at_least"),
        ("limit=-1", "/limit"),
        ("limt=1", "/limt"),
        ("at_least=1&at_least=2", "/at_least"),
        ("at=here", "/at"),
    ] {
        let problem = Answered::to(shop.get(&format!("/queries/AllTills?{fields}"))).await.is_problem(400, "bad_input");
        assert_eq!(problem["pointer"], json!(pointer), "{fields}: {problem}");
    }
    Answered::to(shop.get("/queries/TillSummary?till_id=%ff")).await.is_problem(400, "bad_input");
    Answered::to(shop.get("/queries/TillSummary")).await.is_problem(400, "bad_input");
    let foreign = Answered::to(shop.get("/queries/AllTills?at=safe/0:1")).await;
    foreign.is_problem(400, "foreign_position");
    Answered::to(shop.get("/queries/AllTills?at=till/99:1")).await.is_problem(400, "foreign_position");
    shop.close().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let shop = Served::with(HttpSettings::default()).await;
    Answered::to(shop.get("/queries/TillSummary?till_id=till-9")).await.is_problem(404, "no_such_thing");
    let unknown = Answered::to(shop.get("/queries/TillSumary")).await.is_problem(404, "unknown_query");
    assert!(unknown["detail"].as_str().is_some_and(|detail| detail.contains("TillSummary")), "{unknown}");
    shop.close().await;
}
