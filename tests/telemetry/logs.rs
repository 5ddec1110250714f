//! What a worker logs of commands.

use headwater::clock;
use serde_json::Value;

use super::working::{PATIENCE, Working};

/// How long a command takes is the machine's affair: they are sent until the log tells of one, however fast
/// most of them are.
#[test]
fn a_command_that_takes_longer_than_it_may_is_logged_with_where_the_time_went() {
    let working = Working::start(&[("HEADWATER_TELEMETRY__SLOW_COMMAND", "1ms".to_owned())]);
    let (mut sent, deadline) = (Vec::new(), clock::instant() + PATIENCE);
    let line = loop {
        sent.push(create_an_account(&working));
        let mut slow = working.lines_so_far().filter(|line| line["message"] == "a slow command");
        if let Some(line) = slow.find(|line| line["aggregate"] == "account_registry") {
            break line;
        }
        assert!(clock::instant() < deadline, "none of {} commands was slow", sent.len());
    };
    let says = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("no {name}: {line}"));
    assert_eq!((says("level"), says("id"), says("command")), ("WARN", "registry", "CreateAccount"));
    assert!(sent.iter().any(|key| key == says("command_id")), "{line}");
    for time in ["took", "queue", "decide", "commit"] {
        assert!(says(time).ends_with('s'), "{time}: {line}");
    }
}

/// Has the registry create an account; the command's id.
fn create_an_account(working: &Working) -> Value {
    let created = working.command("account_registry/registry/CreateAccount", r#"{"name": "Josefa"}"#);
    let created = created.send().expect("an answer");
    assert!(created.status().is_success(), "{created:?}");
    created.headers()["idempotency-key"].to_str().expect("text").into()
}
