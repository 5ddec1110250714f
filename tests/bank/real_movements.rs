//! Movements of a real bank go in; what comes out is what was computed independently of this project.

use std::collections::BTreeMap;

use headwater::clock::Clock;
use serde_json::{Value, json};

use super::movements::{self, Expected};
use super::world::Bank;

/// All movements from a file, in one go.
fn send(bank: &Bank, issued_at: &str) -> Vec<Value> {
    let file = movements::file().display().to_string();
    let arguments = ["send", "account", "--internal", "--issued-at", issued_at, "--from", &file];
    movements::outcomes(&bank.succeed(&arguments))
}

/// All movements from a pipe; three times on the way, while commands are under way, a worker is killed
/// and another one started.
fn send_while_workers_are_killed(bank: &mut Bank, issued_at: &str) -> Vec<Value> {
    let arguments = ["send", "account", "--internal", "--issued-at", issued_at, "--timeout", "2m", "--from", "-"];
    let mut sending = bank.start(&arguments);
    let lines = movements::lines();
    let quarter = lines.len().div_ceil(4);
    for (number, some) in lines.chunks(quarter).enumerate() {
        sending.write(&format!("{}\n", some.join("\n")));
        if number < 3 {
            sending.wait_for_lines(number * quarter + 1);
            bank.kill_a_worker();
            bank.start_worker();
        }
    }
    movements::outcomes(&sending.finish())
}

fn now() -> String {
    Clock::system().now().to_string()
}

fn reserve_ids(bank: &Bank) {
    let up_to = json!({ "up_to": movements::highest() }).to_string();
    let reserved = bank.ask(&["send", "account_registry", "registry", "ReserveAccountIds", &up_to]);
    assert_eq!(reserved["outcome"], "accepted", "{reserved}");
}

/// Every outcome accepted, in the order of the input; each account's versions are 1, 2, 3 …
fn assert_all_accepted(outcomes: &[Value]) {
    let mut versions: BTreeMap<&str, i64> = BTreeMap::new();
    let lines = movements::lines();
    assert_eq!(outcomes.len(), lines.len());
    for (line, outcome) in lines.iter().zip(outcomes) {
        let sent: Value = serde_json::from_str(line).expect("a command");
        assert_eq!(outcome["outcome"], "accepted", "{line}\n{outcome}");
        assert_eq!(outcome["command_id"], sent["command_id"], "the outcomes are in the order of the input");
        let version = versions.entry(outcome["id"].as_str().expect("an id")).or_default();
        *version += 1;
        assert_eq!(outcome["version"], *version, "{outcome}");
    }
    let expected: BTreeMap<String, i64> = movements::expected().into_iter().map(|(id, it)| (id, it.version)).collect();
    assert_eq!(
        versions.into_iter().map(|(id, version)| (id.to_owned(), version)).collect::<BTreeMap<_, _>>(),
        expected
    );
}

/// State as folded from the log.
fn assert_inspected(bank: &Bank) {
    for (id, Expected { version, balance }) in movements::expected() {
        let inspected = bank.ask(&["inspect", "account", &id]);
        assert_eq!((&inspected["version"], &inspected["state"]["balance"]), (&json!(version), &json!(balance)), "{id}");
    }
}

/// What was sent came out right everywhere; sent again, nothing changes and every outcome is the first.
fn assert_right_and_repeatable(bank: &Bank, issued_at: &str, first: &[Value]) {
    assert_all_accepted(first);
    assert_inspected(bank);
    assert_eq!(send(bank, issued_at), first, "every outcome is the first again");
    assert_inspected(bank);
}

#[test]
fn real_movements_come_out_right_on_the_embedded_log_and_change_nothing_when_sent_again() {
    let bank = Bank::embedded();
    reserve_ids(&bank);
    let issued_at = now();
    let first = send(&bank, &issued_at);
    assert_right_and_repeatable(&bank, &issued_at, &first);
}

#[test]
fn real_movements_come_out_right_on_real_servers_although_workers_are_killed() {
    let Some(mut bank) = Bank::on_servers() else { return };
    bank.start_worker();
    bank.start_worker();
    reserve_ids(&bank);
    let issued_at = now();
    let first = send_while_workers_are_killed(&mut bank, &issued_at);
    assert_right_and_repeatable(&bank, &issued_at, &first);
}
