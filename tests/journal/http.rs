//! The journal over HTTP.

use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use super::JOURNAL;
use super::world::World;

struct Served {
    url: String,
    client: Client,
    _world: World,
}

impl Served {
    fn start(mut world: World) -> Self {
        Self { url: world.serve(), client: Client::new(), _world: world }
    }

    fn at(&self, path: &str) -> String {
        format!("{}/journal/{path}", self.url)
    }

    fn post(&self, path: &str, body: &Value) -> Response {
        self.client.post(self.at(path)).body(body.to_string()).send().expect("an answer")
    }

    fn get(&self, path: &str, position: &str) -> Response {
        sent(self.client.get(self.at(path)).header("headwater-position", position))
    }
}

fn sent(request: RequestBuilder) -> Response {
    request.header("prefer", "wait=30").send().expect("an answer")
}

fn json_of(response: Response) -> Value {
    let (status, text) = (response.status(), response.text().expect("text"));
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

fn position_of(response: &Response) -> String {
    assert_eq!(response.status(), 200, "{response:?}");
    response.headers()["headwater-position"].to_str().expect("text").to_owned()
}

fn reading(celsius: f64) -> Value {
    json!({ "sensor": "a", "celsius": celsius, "measured_at": "2026-01-31T12:00:00Z" })
}

/// Everything a library call does; the same on every log.
fn session(journal: &Served) {
    let saved = journal.post("reading/north", &reading(-3.5));
    position_of(&saved);
    assert_eq!(saved.headers()["etag"], "\"1\"");
    assert_eq!(json_of(saved)["data"], json!({ "count": 1 }));
    let saved = journal.post("reading/north/many", &json!([reading(-3.0), reading(-2.5)]));
    let position = position_of(&saved);

    let last = json_of(journal.get("reading/north/last", &position));
    assert_eq!((&last["version"], &last["record"]["celsius"]), (&json!(3), &json!(-2.5)));
    assert_eq!(json_of(journal.get("reading/north/count", &position)), json!({ "count": 3 }));
    let page = json_of(journal.get("reading/north/many?limit=2", &position));
    assert_eq!((&page["records"][1]["version"], &page["next"]), (&json!(2), &json!(2)));
    let rest = json_of(journal.get("reading/north/many?before=2", &position));
    assert_eq!((&rest["records"][0]["record"], &rest["next"]), (&reading(-3.5), &Value::Null));
    let csv = journal.get("reading/north/many?format=csv", &position);
    assert!(csv.headers()["content-type"].to_str().expect("text").starts_with("text/csv"));
    assert_eq!(csv.text().expect("text").lines().count(), 4);
    let time = last["time"].as_str().expect("text");
    assert_eq!(json_of(journal.get(&format!("reading/north/at?time={time}"), &position))["version"], 3);

    let position = position_of(&sent(journal.client.delete(journal.at("reading/north"))));
    assert_eq!(json_of(journal.get("reading/north/count", &position)), json!({ "count": 0 }));
    assert_eq!(journal.get("reading/north/last", &position).status(), 404);
    assert_eq!(json_of(journal.get(&format!("reading/north/at?time={time}"), &position))["version"], 3);
}

#[test]
fn a_session_over_http_on_the_embedded_log() {
    session(&Served::start(World::embedded(JOURNAL)));
}

#[test]
fn a_session_over_http_on_real_servers() {
    if let Some(world) = World::on_servers(JOURNAL) {
        session(&Served::start(world));
    }
}

#[test]
fn a_save_that_is_sent_again_under_its_key_saves_nothing_twice() {
    let journal = Served::start(World::embedded(JOURNAL));
    let key = headwater::clock::new_id().to_string();
    let save = || {
        let request = journal.client.post(journal.at("reading/north")).header("idempotency-key", &key);
        json_of(sent(request.body(reading(1.0).to_string())))
    };
    assert_eq!(save(), save());
    let position = position_of(&journal.post("reading/north", &reading(2.0)));
    assert_eq!(json_of(journal.get("reading/north/count", &position)), json!({ "count": 2 }));
    let at_one = journal.client.post(journal.at("reading/north")).header("if-match", "\"1\"");
    assert_eq!(sent(at_one.body(reading(3.0).to_string())).status(), 412, "the key is at version 2");
}

#[test]
fn a_long_frame_comes_whole_over_pages_and_in_any_form() {
    let journal = Served::start(World::embedded(JOURNAL));
    let mut position = String::new();
    for part in [0..9_000, 9_000..18_000, 18_000..25_000] {
        let records: Vec<Value> =
            part.map(|number: u32| json!({ "bid": number, "ask": 2, "currency": "EUR" })).collect();
        position = position_of(&journal.post("quote/ACME/many", &json!(records)));
    }
    let lines = journal.get("quote/ACME/many?format=jsonl", &position).text().expect("text");
    let bids: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["record"]["bid"].clone()).collect();
    assert_eq!(bids, (0..25_000).rev().map(|bid| json!(bid)).collect::<Vec<_>>());
    let lines = journal.get("quote/ACME/many?format=csv&limit=15000&before=20001", &position).text().expect("text");
    assert_eq!(
        (lines.lines().count(), lines.lines().nth(1).expect("a row").split(',').next()),
        (15_001, Some("20000"))
    );
}

#[test]
fn bad_input_is_a_problem_that_names_the_place() {
    let journal = Served::start(World::embedded(JOURNAL));
    let wrong = |response: Response, status: u16| {
        assert_eq!(response.status(), status, "{response:?}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        response.json::<Value>().expect("JSON")
    };
    let mut cold = reading(1.0);
    cold["celsius"] = json!("cold");
    let problem = wrong(journal.post("reading/north", &cold), 400);
    assert_eq!((&problem["pointer"], &problem["detail"]), (&json!("/celsius"), &json!("celsius must be a number")));
    let problem = wrong(journal.post("reading/north/many", &json!([reading(1.0), { "sensor": "a" }])), 400);
    assert_eq!(problem["pointer"], "/1/celsius");
    let problem = wrong(journal.post("reading/north/many", &json!([{}])), 400);
    assert_eq!(problem["pointer"], "/0/sensor");
    wrong(journal.post("reading/north", &json!([])), 400);
    wrong(journal.post("reading/north/many", &json!([])), 400);
    let problem = wrong(journal.post("redding/north", &reading(1.0)), 404);
    assert!(problem["detail"].as_str().expect("text").contains("did you mean \"reading\"?"), "{problem}");
    let problem = wrong(journal.post("reading/%0A", &reading(1.0)), 400);
    assert_eq!(problem["parameter"], "key");
    for (path, pointer) in [
        ("many?limit=x", "/limit"),
        ("many?limit=-1", "/limit"),
        ("many?limit=10001", "/limit"),
        ("many?format=xls", "/format"),
        ("many?format=csv&limit=-1", "/limit"),
        ("many?before=x", "/before"),
        ("at?time=yesterday", "/time"),
    ] {
        let problem = wrong(sent(journal.client.get(journal.at(&format!("reading/north/{path}")))), 400);
        assert_eq!(problem["pointer"], pointer, "{path}: {problem}");
    }
    wrong(sent(journal.client.get(journal.at("reading/north/at"))), 400);
    wrong(sent(journal.client.get(journal.at("reading/north/last"))), 404);
}
