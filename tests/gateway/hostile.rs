//! Requests that mean no good: each has its 4xx or a closed connection, and the next one is served as ever.

use headwater::settings::HttpSettings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::bank::Bank;
use crate::raw;
use crate::served::{Answered, Served};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Runs what blocks beside the gateway, and sees that a proper request is answered afterwards.
async fn attacked<T: Send + 'static>(http: HttpSettings, attack: impl FnOnce(&str) -> T + Send + 'static) -> T {
    let shop = Served::with(http).await;
    let address = shop.gateway.address().to_string();
    let done = tokio::task::spawn_blocking(move || attack(&address)).await.expect("it went as said");
    let after = Answered::to(shop.post("/till/till-1/Deposit", &json!({"amount": 7}))).await;
    assert_eq!((after.status.as_u16(), &after.json()["version"]), (200, &json!(1)), "{after:?}");
    shop.close().await;
    done
}

fn post(address: &str, body: &[u8]) -> String {
    post_to(address, "/till/till-1/Deposit", body)
}

fn post_to(address: &str, path: &str, body: &[u8]) -> String {
    let length = body.len().to_string();
    raw::exchange(address, &raw::request("POST", path, &[JSON, ("content-length", &length)], body))
}

#[tokio::test]
async fn no_body_is_too_strange_to_be_refused() {
    let deep = |open: &str, levels: usize| format!("{{\"amount\":{}", open.repeat(levels));
    let bodies: Vec<Vec<u8>> = vec![
        deep("[", 60_000).into(),
        deep("{\"a\":", 10_000).into(),
        "[".repeat(60_000).into(),
        b"{\"amount\":1e400}".into(),
        b"{\"amount\":-1e400}".into(),
        b"{\"amount\":99999999999999999999999999999999999999}".into(),
        format!("{{\"amount\":{}}}", "9".repeat(60_000)).into(),
        format!("{{\"amount\":0.{}1}}", "0".repeat(60_000)).into(),
        b"{\"amount\":NaN}".into(),
        b"{\"amount\":0x10}".into(),
        b"{\"amount\":-0}".into(),
        b"{\"amount\":9223372036854775808}".into(),
        b"{\"amount\":1,\"note\":\"\xff\xfe\"}".into(),
        b"{\"amount\":1,\"note\":\"\xc0\xaf\"}".into(),
        b"{\"amount\":1,\"note\":\"\\ud800\"}".into(),
        b"{\"amount\":1,\"note\":\"\n\"}".into(),
        b"{\"amount\":1,\"amount\":\"2\"}".into(),
        b"{\"amount\":true}".into(),
        b"{\"amount\":[1]}".into(),
        b"{\"amount\":{\"$gt\":0}}".into(),
        b"\xef\xbb\xbf{\"amount\":1}".into(),
        b"\0".into(),
        b"\"".into(),
        b"{\"amount\":1}garbage".into(),
    ];
    attacked(HttpSettings::default(), move |address| {
        for body in bodies {
            let answer = post(address, &body);
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert_eq!(raw::status(&answer), 400, "{shown}: {answer}");
            assert!(answer.contains("application/problem+json") && answer.len() < 2000, "{shown}: {answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn no_path_leads_anywhere_else() {
    attacked(HttpSettings::default(), |address| {
        for (path, status) in [
            ("/till/%2e%2e/Deposit", 400),
            ("/till/../Deposit", 400),
            ("/till/till-1%00/Deposit", 400),
            ("/till/till-1%2F..%2Fx/Deposit", 400),
            ("/till/%ff/Deposit", 400),
            ("/till/%c0%af/Deposit", 400),
            ("/till/%/Deposit", 400),
            ("/till/till-1%0d%0aset-cookie:x/Deposit", 400),
            ("//till/till-1/Deposit", 404),
            ("/till//Deposit", 400),
            ("/till/till-1/Deposit/", 404),
            ("/till/till-1/Deposit%00", 404),
            ("/TILL/till-1/Deposit", 404),
            ("/..;/till/till-1/Deposit", 404),
            ("/docs/..%2f..%2fetc%2fpasswd", 405),
            ("http://other.example/nowhere", 404),
            ("*", 404),
        ] {
            let answer = raw::exchange(address, &raw::request("POST", path, &[JSON, ("content-length", "0")], b""));
            assert_eq!(raw::status(&answer), status, "{path}: {answer}");
            assert!(!answer.to_ascii_lowercase().contains("\r\nset-cookie"), "{path}: {answer}");
        }
        let docs = raw::exchange(address, &raw::request("GET", "/docs/..%2f..%2fCargo.toml", &[], b""));
        assert_eq!(raw::status(&docs), 404, "{docs}");
        let long = format!("/till/{}/Deposit", "x".repeat(15_000));
        let long = raw::exchange(address, &raw::request("POST", &long, &[JSON, ("content-length", "0")], b""));
        assert_eq!(raw::status(&long), 400, "{long}");
        let longer = format!("/queries/AllTills?limit={}", "1".repeat(100_000));
        let longer = raw::exchange(address, &raw::request("GET", &longer, &[], b""));
        assert!([0, 414, 431].contains(&raw::status(&longer)), "{longer}");
        let many = "at=till/0:1&".repeat(1_200);
        let many = raw::exchange(address, &raw::request("GET", &format!("/queries/AllTills?{many}"), &[], b""));
        assert_eq!(raw::status(&many), 400, "{many}");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_http_is_answered_or_cut() {
    attacked(HttpSettings::default(), |address| {
        let request =
            |headers: &[(&str, &str)], body: &[u8]| raw::request("POST", "/till/till-9/Deposit", headers, body);
        let many = (0..200).map(|number| (format!("x-{number}"), "1")).collect::<Vec<_>>();
        let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let large = "x".repeat(20_000);
        for (what, bytes, statuses) in [
            ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), [0, 400]),
            ("no HTTP", b"\0\0\0\0\r\n\r\n".to_vec(), [400, 400]),
            ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), [0, 400]),
            ("HTTP/0.9", b"GET /\r\n\r\n".to_vec(), [400, 400]),
            ("no name", request(&[("", "x")], b""), [0, 400]),
            ("a space in a name", request(&[("a b", "x")], b""), [0, 400]),
            ("no length", request(&[JSON, ("content-length", "x")], b""), [0, 400]),
            ("a negative length", request(&[JSON, ("content-length", "-1")], b""), [0, 400]),
            ("two lengths", request(&[JSON, ("content-length", "1"), ("content-length", "2")], b"{}"), [400, 400]),
            ("a vast length", request(&[JSON, ("content-length", "99999999999999999999")], b""), [400, 413]),
            ("a large length", request(&[JSON, ("content-length", "9999999999999")], b""), [413, 413]),
            ("a bad chunk", request(&[JSON, ("transfer-encoding", "chunked")], b"zz\r\n{}\r\n0\r\n\r\n"), [0, 400]),
            ("a vast chunk", request(&[JSON, ("transfer-encoding", "chunked")], b"fffffffffffffffff\r\n"), [0, 400]),
            ("an unknown encoding", request(&[JSON, ("transfer-encoding", "gzip")], b""), [0, 400]),
            ("many headers", request(&many, b""), [431, 431]),
            ("a large header", request(&[("cookie", &large)], b""), [0, 431]),
        ] {
            let answer = raw::exchange(address, &bytes);
            assert!(statuses.contains(&raw::status(&answer)), "{what}: {answer}");
        }
        let half = raw::cut_off(address, &request(&[JSON, ("content-length", "100")], b"{\"amount\":"));
        assert!([0, 400].contains(&raw::status(&half)), "{half}");
    })
    .await;
}

#[tokio::test]
async fn whoever_is_slow_is_cut() {
    let short: headwater::settings::Period = "200ms".parse().expect("a time");
    let http = HttpSettings { idle_timeout: short, transfer_timeout: short, ..HttpSettings::default() };
    attacked(http, |address| {
        // Nothing, half a head, a head byte by byte: cut without an answer, or with a 408.
        for head in ["", "POST /till/till-1/Dep", "POST /till/till-1/Deposit HTTP/1.1\r\nhost: x\r\nx: "] {
            let answer = raw::read(raw::send(address, head.as_bytes()));
            assert!([0, 408].contains(&raw::status(&answer)), "{head:?}: {answer}");
        }
        let headers = [JSON, ("content-length", "12")];
        let slow = raw::read(raw::send(address, &raw::request("POST", "/till/till-1/Deposit", &headers, b"{\"am")));
        assert_eq!(raw::status(&slow), 408, "{slow}");
        assert!(slow.contains("\"body_timeout\""), "{slow}");
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_idle_connections_are_refused_beyond_the_bound_and_given_up_in_the_end() {
    const BOUND: usize = 100;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("allowed");
    let idle_timeout = "10s".parse().expect("a time");
    let http = HttpSettings { connections: BOUND, idle_timeout, ..HttpSettings::default() };
    // Each of those that are let in takes two, for both ends are in this process.
    let room = usize::try_from(limit.maximum.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let count = room.saturating_sub(2 * BOUND).min(10_000);
    attacked(http, move |address| {
        let idle: Vec<_> = (0..count).map(|_| raw::send(address, b"")).collect();
        let answers: Vec<_> = idle.into_iter().map(raw::read).collect();
        let refused = answers.iter().filter(|answer| raw::status(answer) == 503).count();
        assert!(refused > 0, "{count} were held at once");
        assert!(answers.iter().all(|answer| answer.is_empty() || answer.contains("\r\nretry-after: 1\r\n")));
    })
    .await;
}

/// A heap that has settled moves by a few MiB; what is kept of each of these requests would be hundreds.
const GROWTH_MIB: u64 = 48;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_of_hostile_requests() {
    let bank = Bank::embedded();
    let worker = bank.start("first", &[]).await;
    let address = worker.url.trim_start_matches("http://").to_owned();
    let attack = async |rounds: usize| {
        let address = address.clone();
        let attacked = tokio::task::spawn_blocking(move || {
            let deep = format!("{{\"amount\":{}", "[".repeat(60_000));
            let large = "x".repeat(20_000);
            for _ in 0..rounds {
                post_to(&address, "/account/000001/DepositFunds", deep.as_bytes());
                post_to(&address, "/account/000001/DepositFunds", b"{\"amount\":1,\"note\":\"\xff\xfe\"}");
                let path = format!("/queries/AccountSummary?account_id={}", "9".repeat(10_000));
                raw::exchange(&address, &raw::request("GET", &path, &[], b""));
                raw::exchange(&address, &raw::request("GET", "/readyz", &[("cookie", &large)], b""));
                let lying = [JSON, ("content-length", "100")];
                raw::cut_off(&address, &raw::request("POST", "/account/000001/DepositFunds", &lying, b"{"));
            }
        });
        attacked.await.expect("it went as said");
    };
    attack(200).await;
    let before = worker.memory_mib();
    attack(1_000).await;
    let after = worker.memory_mib();
    assert!(after <= before + GROWTH_MIB, "{before} MiB before and {after} MiB after");
    worker.open_account().await;
}
