//! Health, metrics and documentation, as a gateway serves them.

use std::path::Path;

use serde_json::Value;

use super::working::Working;

fn json(working: &Working, path: &str) -> (u16, Value) {
    let answer = working.get(path);
    let status = answer.status().as_u16();
    (status, answer.json().expect("JSON"))
}

#[test]
fn a_worker_says_how_it_is_and_what_it_counted() {
    let working = Working::start(&[]);
    assert_eq!(json(&working, "/livez").0, 200);
    let (status, ready) = json(&working, "/readyz");
    assert_eq!((status, &ready["status"], &ready["waits_for"]), (200, &"ready".into(), &Value::Array(Vec::new())));
    let (_, health) = json(&working, "/healthz");
    let names: Vec<_> = health["roles"].as_array().expect("roles").iter().map(|role| &role["name"]).collect();
    for name in ["account_registry", "account", "accounts", "ledger"] {
        assert!(names.iter().any(|it| *it == name), "{name}: {health}");
    }

    assert_eq!(json(&working, "/openapi.json").0, 200);
    let metrics = working.get("/metrics").text().expect("text");
    for name in ["headwater_commands_total", "headwater_partitions", "headwater_http_requests_under_way"] {
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name}: {metrics}");
    }

    // Whoever sends work here is told in time that it is about to leave.
    working.leave();
    working.wait_for_line("leaving");
    let (status, leaving) = json(&working, "/readyz");
    assert_eq!((status, &leaving["status"]), (503, &"leaving".into()));
    assert_eq!(json(&working, "/livez").0, 200, "leaving is no reason to be killed");
    assert!(working.ended());
}

#[test]
fn the_documentation_is_whole_without_asking_anybody_else() {
    let working = Working::start(&[]);
    let (status, document) = json(&working, "/openapi.json");
    assert_eq!((status, &document["openapi"]), (200, &"3.1.0".into()));
    assert!(document["paths"].get("/account/{id}/DepositFunds").is_some());
    assert!(document["paths"].get("/account/{id}/OpenAccount").is_none(), "clients do not send it");
    let page = working.get("/docs").text().expect("text");
    assert!(!page.contains("://"), "it asks somebody else: {page}");
    let parts = page.split('"').filter_map(|text| text.strip_prefix("./"));
    let parts: Vec<_> = parts.filter(|part| Path::new(part).extension().is_some()).collect();
    assert!(!parts.is_empty(), "{page}");
    for part in parts {
        assert_eq!(working.get(&format!("/docs/{part}")).status().as_u16(), 200, "{part}");
    }
}
