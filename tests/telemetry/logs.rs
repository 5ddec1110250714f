//! What a worker logs of commands.

use super::working::Working;

#[test]
fn a_command_that_takes_longer_than_it_may_is_logged_with_where_the_time_went() {
    let working = Working::start(&[("HEADWATER_TELEMETRY__SLOW_COMMAND", "1ms".to_owned())]);
    let created = working.http.post(format!("{}/account_registry/registry/CreateAccount", working.url));
    let created = created.header("content-type", "application/json").body(r#"{"name": "Josefa"}"#);
    let created = created.send().expect("an answer");
    assert!(created.status().is_success(), "{created:?}");
    let key = created.headers()["idempotency-key"].to_str().expect("text").to_owned();
    let line = working.wait_for_line("a slow command");
    let says = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("no {name}: {line}"));
    assert_eq!((says("level"), says("aggregate"), says("id")), ("WARN", "account_registry", "registry"));
    assert_eq!((says("command"), says("command_id")), ("CreateAccount", key.as_str()));
    for time in ["took", "queue", "decide", "commit"] {
        assert!(says(time).ends_with('s'), "{time}: {line}");
    }
}
