//! Every attempt is kept, with what became of it and what was there afterwards.

use serde_json::{Value, json};

use super::world::World;
use super::{ANNA, BEN, WALLET};

fn send(wallet: &World, id: &str, command: &str, amount: i64) -> Option<i32> {
    wallet.run(&["send", "wallet", id, command, &json!({ "amount": amount }).to_string()]).code
}

/// The newest first.
fn history(wallet: &World, arguments: &[&str]) -> Vec<Value> {
    let lines = wallet.succeed(&[&["history", "--json"], arguments].concat());
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn shown(attempt: &Value) -> Value {
    let fields = ["wallet", "command", "amount", "outcome", "code", "version", "balance", "would_be"];
    fields.into_iter().map(|name| attempt[name].clone()).collect()
}

/// Waits until so many attempts are there.
fn wait_for(wallet: &World, attempts: usize) -> Vec<Value> {
    let deadline = headwater::clock::instant() + std::time::Duration::from_mins(2);
    loop {
        let found = history(wallet, &[]);
        if found.len() >= attempts {
            return found;
        }
        assert!(headwater::clock::instant() < deadline, "{found:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn session(wallet: &World) {
    assert_eq!(send(wallet, ANNA, "Credit", 5), Some(0));
    assert_eq!(send(wallet, ANNA, "Debit", 8), Some(3), "refused by the domain");
    assert_eq!(send(wallet, BEN, "Credit", 7), Some(0));
    assert_eq!(send(wallet, ANNA, "Debit", 5), Some(0));
    let mut attempts: Vec<Value> = wait_for(wallet, 4).iter().map(shown).collect();
    attempts.reverse();
    let expected = [
        json!([ANNA, "credit", 5, "accepted", null, 1, 5, null]),
        json!([ANNA, "debit", 8, "refused", "overdrawn", 1, 5, -3]),
        json!([BEN, "credit", 7, "accepted", null, 1, 7, null]),
        json!([ANNA, "debit", 5, "accepted", null, 2, 0, null]),
    ];
    assert_eq!(attempts, expected);
    assert_eq!(history(wallet, &["--wallet", BEN]).iter().map(shown).collect::<Vec<_>>(), [expected[2].clone()]);
    assert_eq!(history(wallet, &["--limit", "1"]).iter().map(shown).collect::<Vec<_>>(), [expected[3].clone()]);
    let verified = wallet.run(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn every_attempt_is_kept_in_order_with_the_state_after_it_on_the_embedded_log() {
    session(&World::embedded(WALLET));
}

#[test]
fn every_attempt_is_kept_in_order_with_the_state_after_it_on_real_servers() {
    if let Some(wallet) = World::on_servers(WALLET) {
        session(&wallet);
    }
}

#[test]
fn a_failed_attempt_is_kept_too_and_a_repeat_is_none() {
    let wallet = World::embedded(WALLET);
    let id = headwater::clock::new_id().to_string();
    let credit = |amount: &str| wallet.run(&["send", "wallet", ANNA, "Credit", amount, "--command-id", &id]).code;
    assert_eq!(credit(r#"{"amount":5}"#), Some(0));
    assert_eq!(credit(r#"{"amount":5}"#), Some(0), "the first outcome again");
    assert_eq!(credit(r#"{"amount":6}"#), Some(5), "the same id with another payload");
    let attempts: Vec<Value> = wait_for(&wallet, 2).iter().map(shown).collect();
    let expected = [
        json!([ANNA, "credit", 6, "failed", "conflict", 0, null, null]),
        json!([ANNA, "credit", 5, "accepted", null, 1, 5, null]),
    ];
    assert_eq!(attempts, expected);
}

#[test]
fn the_history_is_the_same_after_a_replay_and_a_rebuild() {
    let wallet = World::embedded(WALLET);
    for amount in 1..=5 {
        assert_eq!(send(&wallet, ANNA, "Credit", amount), Some(0));
        assert_eq!(send(&wallet, BEN, "Debit", amount), Some(3));
    }
    let before = wait_for(&wallet, 10);
    wallet.succeed(&["replay", "history", "--to", "earliest", "--yes"]);
    assert_eq!(wait_for(&wallet, 10), before);
    wallet.succeed(&["rebuild", "history"]);
    assert_eq!(wait_for(&wallet, 10), before);
}

#[test]
fn commands_and_outcomes_are_kept_for_ever() {
    let planned = |wallet: &World| {
        let plan = wallet.succeed(&["topics", "plan", "--json"]);
        let topics = plan.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let of_attempts = |topic: &Value| {
            let name = topic["topic"].as_str().expect("text");
            name.ends_with(".commands") || name.ends_with(".outcomes")
        };
        topics.filter(of_attempts).map(|topic| (topic["keeps"].clone(), topic["state"].clone())).collect::<Vec<_>>()
    };
    let as_planned = vec![(json!("for ever"), json!("ok")); 2];
    assert_eq!(planned(&World::embedded(WALLET)), as_planned);
    if let Some(wallet) = World::on_servers(WALLET) {
        assert_eq!(planned(&wallet), as_planned, "the brokers say so");
    }
}
