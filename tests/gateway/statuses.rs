//! Every status that a client may be answered with, by a real process: on the embedded log, and on Kafka with
//! a registry and `PostgreSQL`.

use headwater::clock::{self, Clock};
use reqwest::blocking::{RequestBuilder, Response};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::raw;
use crate::serving::{Bank, is, wait_for};

/// Small bounds, so that each is reached.
const SETTINGS: [(&str, &str); 6] = [
    ("HEADWATER_HTTP__TOKEN", "writer"),
    ("HEADWATER_HTTP__READ_TOKEN", "reader"),
    ("HEADWATER_HTTP__BODY_BYTES", "1000"),
    ("HEADWATER_HTTP__TRANSFER_TIMEOUT", "1s"),
    ("HEADWATER_HTTP__STREAMS", "1"),
    ("HEADWATER_HTTP__CONCURRENCY_PER_CLIENT", "3"),
];
const BEARER: (&str, &str) = ("authorization", "Bearer writer");

fn send(request: RequestBuilder) -> Response {
    request.bearer_auth("writer").send().expect("an answer")
}

fn ten() -> Value {
    json!({"amount": "10.00"})
}

#[test]
fn every_status_is_answered_on_the_embedded_log() {
    let mut bank = Bank::embedded(&SETTINGS);
    every_status(&bank);
    what_is_issued_before_what_is_remembered_is_gone(&mut bank);
}

#[test]
fn every_status_is_answered_on_real_servers() {
    let Some(mut bank) = Bank::on_servers(&SETTINGS) else { return };
    every_status(&bank);
    what_is_issued_before_what_is_remembered_is_gone(&mut bank);
    a_fault_within_is_told_without_its_reason(&bank);
}

fn every_status(bank: &Bank) {
    let fields = json!({"name": "Josefa", "initial_deposit": "100.00"});
    let created = is(send(bank.post("/account_registry/registry/CreateAccount", &fields)), 200, "");
    assert_eq!(created["data"], "000001");
    commands(bank);
    outcomes(bank);
    queries(bank);
    bad_input(bank);
    bodies_and_heads(bank);
    who_may(bank);
    too_much(bank);
}

/// 200, 409, 412, 422, 504.
fn commands(bank: &Bank) {
    let deposit = |body: &Value| bank.post("/account/000001/DepositFunds", body);
    let key = clock::new_id().to_string();
    let first = is(send(deposit(&ten()).header("idempotency-key", &key)), 200, "");
    assert_eq!(is(send(deposit(&ten()).header("idempotency-key", &key)), 200, ""), first);
    is(send(deposit(&json!({"amount": "11.00"})).header("idempotency-key", &key)), 409, "conflict");
    let mismatch = is(send(deposit(&ten()).header("if-match", "\"1\"")), 412, "version_mismatch");
    assert_eq!(mismatch["version"], 3);
    is(send(bank.post("/account/000001/WithdrawFunds", &json!({"amount": "999.00"}))), 422, "insufficient_funds");
    wait_for("an outcome that nobody waits for", || {
        let key = clock::new_id().to_string();
        let forgive = || bank.post("/account/000001/ForgiveDebt", &json!({})).header("idempotency-key", &key);
        let unknown = send(forgive().header("prefer", "wait=0"));
        let is_unknown = unknown.status() == 504;
        if is_unknown {
            assert_eq!(unknown.headers()["idempotency-key"], key.as_str());
            is(unknown, 504, "outcome_unknown");
            is(send(forgive()), 422, "not_in_debt");
        }
        is_unknown
    });
}

/// 202, and 200 or 404 of what became of it.
fn outcomes(bank: &Bank) {
    let posted = send(bank.post("/account/000001/DepositFunds", &ten()).header("prefer", "respond-async"));
    let place = posted.headers()["location"].to_str().expect("text").to_owned();
    assert_eq!(is(posted, 202, "")["outcome"], "pending");
    wait_for("the outcome", || match send(bank.get(&place)) {
        response if response.status() == 202 => false,
        response => is(response, 200, "")["outcome"] == "accepted",
    });
    let never = format!("/account/000001/commands/{}", clock::new_id());
    is(send(bank.get(&never)), 404, "unknown_outcome");
}

/// 200, 304, 400, 404, 503.
fn queries(bank: &Bank) {
    let last = is(send(bank.post("/account/000001/DepositFunds", &ten())), 200, "");
    let position = last["position"].as_str().expect("a position");
    let path = format!("/queries/AccountSummary?account_id=000001&at={position}");
    let answered = send(bank.get(&path));
    let tag = answered.headers()["etag"].clone();
    assert_eq!(is(answered, 200, "")["balance"], "130.00");
    assert_eq!(send(bank.get(&path).header("if-none-match", tag)).status(), 304);
    is(send(bank.get("/queries/AccountSummary?account_id=999999")), 404, "no_such_thing");
    is(send(bank.get("/queries/AccountSumary")), 404, "unknown_query");
    is(send(bank.get("/queries/AccountsList?at=purse/0:1")), 400, "foreign_position");
    let far = position.split_once(':').expect("a position").0;
    let not_yet = send(bank.get(&format!("/queries/AccountsList?at={far}:100000")).header("prefer", "wait=0"));
    assert_eq!(not_yet.headers()["retry-after"], "1");
    is(not_yet, 503, "not_yet");
}

/// 400, 404, 405.
fn bad_input(bank: &Bank) {
    let deposit = |body: &Value| send(bank.post("/account/000001/DepositFunds", body));
    assert_eq!(is(deposit(&json!({"amount": "0"})), 400, "bad_input")["pointer"], "/amount");
    let id = is(send(bank.post("/account/1/DepositFunds", &ten())), 400, "bad_input");
    assert_eq!(id["parameter"], "id");
    let later = Clock::system().now().plus(std::time::Duration::from_hours(1)).to_string();
    let skewed = bank.post("/account/000001/DepositFunds", &ten()).header("headwater-issued-at", later);
    let skewed = skewed.header("idempotency-key", Uuid::new_v5(&Uuid::NAMESPACE_OID, b"later").to_string());
    is(send(skewed), 400, "clock_skew");
    // PostgreSQL has no such text.
    let name = json!({"name": "Jos\u{0}efa"});
    is(send(bank.post("/account_registry/registry/CreateAccount", &name)), 400, "bad_input");
    is(send(bank.post("/purse/000001/DepositFunds", &ten())), 404, "unknown_aggregate");
    is(send(bank.post("/account/000001/OpenAccount", &ten())), 404, "unknown_command");
    is(send(bank.get("/nowhere")), 404, "not_found");
    let wrong = send(bank.get("/account/000001/DepositFunds"));
    assert_eq!(wrong.headers()["allow"], "POST");
    is(wrong, 405, "method_not_allowed");
}

/// 408, 413, 415, 431.
fn bodies_and_heads(bank: &Bank) {
    let post = |headers: &[(&str, &str)], body: &[u8]| {
        let headers = [&[BEARER, ("content-type", "application/json")], headers].concat();
        let request = raw::request("POST", "/account/000001/DepositFunds", &headers, body);
        raw::exchange(&bank.address, &request)
    };
    let slow = post(&[("content-length", "20")], b"{\"amount\":");
    assert!(slow.contains("\"body_timeout\"") && raw::status(&slow) == 408, "{slow}");
    let announced = post(&[("content-length", "1001")], b"");
    assert!(announced.contains("\"too_large\"") && raw::status(&announced) == 413, "{announced}");
    let chunk = format!("3e9\r\n{}\r\n", " ".repeat(1001));
    let streamed = post(&[("transfer-encoding", "chunked")], chunk.as_bytes());
    assert!(streamed.contains("\"too_large\"") && raw::status(&streamed) == 413, "{streamed}");
    let text = [BEARER, ("content-type", "text/plain"), ("content-length", "2")];
    let text = raw::exchange(&bank.address, &raw::request("POST", "/account/000001/DepositFunds", &text, b"{}"));
    assert!(text.contains("\"unsupported_media_type\"") && raw::status(&text) == 415, "{text}");
    assert_eq!(raw::status(&post(&[("x", "y"); 70], b"")), 431);
}

/// 401, 403; what is open to all.
fn who_may(bank: &Bank) {
    is(bank.get("/queries/BankStats").send().expect("an answer"), 401, "unauthorized");
    let reader = |request: RequestBuilder| request.bearer_auth("reader").send().expect("an answer");
    is(reader(bank.get("/queries/BankStats")), 200, "");
    is(reader(bank.post("/account/000001/DepositFunds", &ten())), 403, "forbidden");
    for path in ["/livez", "/readyz", "/healthz", "/metrics", "/openapi.json", "/docs/"] {
        assert_eq!(bank.get(path).send().expect("an answer").status(), 200, "{path}");
    }
}

/// 503 and 429, and the end of both.
fn too_much(bank: &Bank) {
    let events = "/events?aggregate=account&id=000001";
    let stream = send(bank.get(events));
    assert_eq!(stream.status(), 200);
    let full = send(bank.get(events));
    assert_eq!(full.headers()["retry-after"], "1");
    is(full, 503, "busy");
    let waiting = raw::request("GET", "/queries/BankStats?at=account/0:100000", &[BEARER, ("prefer", "wait=60")], b"");
    let waiting = || raw::send(&bank.address, &waiting);
    let mut waiters = Vec::new();
    wait_for("too many requests", || {
        waiters.push(waiting());
        let response = send(bank.get("/queries/BankStats"));
        let is_too_much = response.status() == 429;
        if is_too_much {
            assert_eq!(response.headers()["retry-after"], "1");
            is(response, 429, "too_many_requests");
        }
        is_too_much
    });
    drop((waiters, stream));
    wait_for("there is room again", || send(bank.get("/queries/BankStats")).status() == 200);
}

/// 410.
fn what_is_issued_before_what_is_remembered_is_gone(bank: &mut Bank) {
    // No longer the last ten minutes, but the last outcome alone.
    bank.restart(&[("HEADWATER_PROCESSOR__REMEMBER_LIMIT", "1")]);
    let long_ago = Clock::system().now().minus(std::time::Duration::from_mins(10));
    let old = bank.post("/account/000001/DepositFunds", &ten()).header("idempotency-key", Uuid::nil().to_string());
    is(send(old.header("headwater-issued-at", long_ago.to_string())), 410, "too_old");
}

/// 500.
fn a_fault_within_is_told_without_its_reason(bank: &Bank) {
    let views = bank.servers.as_ref().expect("servers").views();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut database = PgConnection::connect(&views).await.expect("a database");
        let sql = "SELECT schemaname FROM pg_tables WHERE tablename = 'accounts__rows'";
        let schema: String = sqlx::query_scalar(sql).fetch_one(&mut database).await.expect("the view");
        let sql = format!("DROP TABLE {schema}.accounts__rows CASCADE");
        database.execute(sqlx::AssertSqlSafe(sql)).await.expect("dropped");
    });
    let failed = send(bank.get("/queries/AccountsList").header("x-request-id", "mine-1"));
    assert_eq!(failed.headers()["x-request-id"], "mine-1");
    let problem = is(failed, 500, "internal");
    assert!(!problem.to_string().contains("accounts__rows"), "{problem}");
}
