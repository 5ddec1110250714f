//! A consumer of another language reads the events with the ordinary Avro deserializer: it needs the
//! brokers and the registry, and nothing of this project.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::world::Bank;

/// The events of a topic as `tests/python/read_events.py` sees them; `None` if there is no Python to run
/// it.
fn read_with_python(bank: &Bank, topic: &str) -> Option<Vec<Value>> {
    let Ok(python) = std::env::var("HEADWATER_TEST_PYTHON") else {
        assert!(std::env::var("HEADWATER_TEST_REQUIRE").is_err(), "HEADWATER_TEST_PYTHON is required");
        eprintln!("skipped: HEADWATER_TEST_PYTHON is not set");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_events.py");
    let servers = bank.servers();
    let arguments = [servers.kafka.as_str(), &servers.registry, &format!("{}.{topic}", servers.app)];
    let read = Command::new(python).arg(script).args(arguments).output().expect("Python runs");
    let (events, errors) = (String::from_utf8_lossy(&read.stdout), String::from_utf8_lossy(&read.stderr));
    assert!(read.status.success(), "{errors}");
    Some(events.lines().map(|line| serde_json::from_str(line).expect("an event")).collect())
}

#[test]
fn a_consumer_of_another_language_reads_the_events_with_the_registry() {
    let Some(mut bank) = Bank::on_servers() else { return };
    bank.start_worker();
    let created = bank.ask(&[
        "send",
        "account_registry",
        "registry",
        "CreateAccount",
        r#"{"name":"Zoë Müller","initial_deposit":"12.34"}"#,
    ]);
    assert_eq!(created["data"], "000001", "{created}");
    // Its opening was handed over; the account answers once it is open.
    let mut withdrawn = Value::Null;
    while withdrawn["outcome"] != "accepted" {
        withdrawn = bank.try_to(&["send", "account", "000001", "WithdrawFunds", r#"{"amount":"100.00"}"#]);
        assert!(withdrawn["outcome"] == "accepted" || withdrawn["code"] == "account_not_found", "{withdrawn}");
    }

    let Some(registry) = read_with_python(&bank, "account_registry.events") else { return };
    let Some(account) = read_with_python(&bank, "account.events") else { return };
    let seen = |event: &Value| json!([event["key"], event["version"], event["kind"], event["data"]]);
    let app = &bank.servers().app;
    let kind = |aggregate: &str, name: &str| format!("{app}.{aggregate}.{name}");
    let provisioned = json!({"account_id": "000001", "name": "Zoë Müller"});
    assert_eq!(
        registry.iter().map(seen).collect::<Vec<_>>(),
        [json!(["registry", 1, kind("account_registry", "AccountIdProvisioned"), provisioned])]
    );
    assert_eq!(
        account.iter().map(seen).collect::<Vec<_>>(),
        [
            json!(["000001", 1, kind("account", "AccountCreated"), {"name": "Zoë Müller"}]),
            json!(["000001", 2, kind("account", "FundsDeposited"), {"amount": 1234, "balance": 1234}]),
            json!(["000001", 3, kind("account", "FundsWithdrawn"), {"amount": 10000, "balance": -8766}]),
        ]
    );
    assert_eq!(account[2]["causation_id"], withdrawn["command_id"]);
    assert_eq!(registry[0]["correlation_id"], account[0]["correlation_id"], "one wish led to both");
    assert_eq!(account[0]["occurred_at"].as_str().map(|time| time.ends_with("+00:00")), Some(true));
}
