//! Several invocations on one embedded log.

use std::io::{BufRead, BufReader};
use std::process::Child;

use super::world::{World, signal};

/// A worker that works already.
pub fn worker(world: &World) -> Child {
    let mut worker = world.start(&["run"]);
    let mut log = BufReader::new(worker.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("working") {
        line.clear();
        assert!(log.read_line(&mut line).expect("text") > 0, "it ended before it worked");
    }
    // What it says afterwards is read away, or the pipe would fill.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    worker
}

#[test]
fn while_a_worker_runs_others_go_through_it() {
    let world = World::new();
    let mut worker = worker(&world);
    let id = world.open_account("10.00");
    let sent = world.run(&["send", "account", &id, "DepositFunds", r#"{"amount":"1.00"}"#]).json();
    let position = sent["position"].as_str().expect("text");
    let fields = format!(r#"{{"account_id":"{id}"}}"#);
    let answer = world.run(&["query", "AccountSummary", &fields, "--at", position]);
    assert_eq!((answer.code, &answer.json()["balance"]), (Some(0), &"11.00".into()), "{}", answer.err);
    assert_eq!(world.run(&["inspect", "account", &id, "--json"]).json()["state"]["balance"], "11.00");
    assert_eq!(world.run(&["verify"]).code, Some(0));
    let lag = world.run(&["lag", "--json"]);
    assert!(lag.lines().iter().any(|row| row["group"] == "bank.account.commands"), "{}", lag.out);

    let second = world.run(&["run"]);
    assert_eq!(second.code, Some(1));
    assert!(second.err.contains("another process works on"), "{}", second.err);
    signal(&worker, "TERM");
    assert_eq!(worker.wait().expect("it ends").code(), Some(0));
}

#[test]
fn what_a_command_did_alone_is_in_the_views_of_the_next() {
    let world = World::new();
    for number in 1..=5 {
        let id = world.open_account("1.00");
        let answer = world.run(&["query", "BankStats", "--json"]).json();
        assert_eq!(answer["answer"]["active"], number, "after account {id}: {answer}");
    }
}

#[test]
fn a_view_that_is_replayed_comes_out_the_same() {
    let world = World::new();
    for deposit in ["1.00", "2.00", "3.00"] {
        world.open_account(deposit);
    }
    let ask = || world.run(&["query", "AccountsList", "--json"]).json();
    let before = ask();
    let planned = world.run(&["replay", "accounts", "--to", "earliest", "--dry-run", "--json"]);
    assert_eq!(planned.code, Some(0), "{}", planned.err);
    let back = |row: &serde_json::Value| row["delta"].as_i64().expect("a number") < 0;
    assert!(planned.lines().iter().any(back), "{}", planned.out);
    let replayed = world.run(&["replay", "accounts", "--to", "earliest", "--yes"]);
    assert_eq!(replayed.code, Some(0), "{}", replayed.err);
    assert_eq!(ask(), before);
}

#[test]
fn a_view_is_set_to_offsets_as_kafkas_own_tool_does() {
    let world = World::new();
    let id = world.open_account("1.00");
    world.run(&["query", "AccountsList"]);
    std::fs::write(world.folder.path().join("offsets.csv"), "bank.account.events,0,1\n").expect("written");
    for target in [&["--shift-by", "-1"][..], &["--to-offset", "account/0:1"], &["--from-file", "offsets.csv"]] {
        let planned = world.run(&[&["replay", "accounts", "--dry-run", "--json"], target].concat());
        assert_eq!(planned.code, Some(0), "{}", planned.err);
        let moved = |row: &serde_json::Value| row["partition"] == "bank.account.events/0" && row["delta"] != 0;
        assert!(planned.lines().iter().any(moved), "{target:?}: {}", planned.out);
    }
    let refused = world.run(&["replay", "ledger", "--to-offset", "account/0:1", "--dry-run"]);
    assert!(refused.code == Some(2) && refused.err.contains("--to earliest"), "{}", refused.err);
    let both = world.run(&["replay", "accounts", "--to", "latest", "--shift-by", "1"]);
    assert_eq!(both.code, Some(2), "{}", both.err);

    let set = world.run(&["replay", "accounts", "--to-offset", "account/0:1", "--yes"]);
    assert_eq!(set.code, Some(0), "{}", set.err);
    let answer = world.run(&["query", "AccountSummary", &format!(r#"{{"account_id":"{id}"}}"#), "--json"]).json();
    assert_eq!((&answer["partial"], &answer["answer"]["balance"]), (&true.into(), &"1.00".into()), "{answer}");
}

#[test]
fn an_aggregate_is_seen_at_a_position_of_its_partition() {
    let world = World::new();
    let id = world.open_account("10.00");
    let deposit = ["send", "account", &id, "DepositFunds", r#"{"amount":"1.00"}"#];
    let position = world.run(&deposit).json()["position"].as_str().expect("text").to_owned();
    world.run(&deposit);
    let at = |at: &str| world.run(&["inspect", "account", &id, "--at", at, "--history", "--json"]);
    let then = at(&position).json();
    assert_eq!((&then["state"]["balance"], &then["position"]), (&"11.00".into(), &position.as_str().into()));
    assert_eq!(then["history"].as_array().expect("events").len(), 3);
    let foreign = at("account_registry/0:1");
    assert!(foreign.code == Some(2) && foreign.err.contains("foreign"), "{}", foreign.err);
}
