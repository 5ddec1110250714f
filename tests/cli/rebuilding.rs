//! Views that are rebuilt, as an operator does it.

use std::time::Duration;

use serde_json::{Value, json};

use super::sharing::worker;
use super::world::{World, signal};

fn generations(world: &World, view: &str) -> Vec<(i64, String)> {
    let listed = world.run(&["rebuild", view, "--list", "--json"]);
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    let row =
        |row: &Value| (row["generation"].as_i64().expect("a number"), row["state"].as_str().expect("text").into());
    listed.lines().iter().map(row).collect()
}

fn state(generation: i64, state: &str) -> (i64, String) {
    (generation, state.to_owned())
}

fn ask(world: &World) -> Value {
    world.run(&["query", "AccountsList", "--json"]).json()["answer"].clone()
}

#[test]
fn a_view_is_rebuilt_while_another_process_works_on_it() {
    let world = World::new();
    let mut worker = worker(&world);
    let id = world.open_account("10.00");
    world.open_account("20.00");
    let before = ask(&world);

    let rebuilt = world.run(&["rebuild", "ledger", "--compare", "--jobs", "2", "--json"]);
    assert_eq!(rebuilt.code, Some(0), "{}", rebuilt.err);
    let rebuilt = rebuilt.json();
    assert_eq!((&rebuilt["generation"], &rebuilt["is_live"]), (&json!(2), &json!(true)), "{rebuilt}");
    for table in rebuilt["tables"].as_array().expect("compared") {
        assert_eq!(table["live_hash"], table["new_hash"], "{table}");
        assert_eq!(table["different"], 0, "{table}");
    }
    let shown = world.run(&["rebuild", "accounts"]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(shown.out.contains("generation 2") && shown.out.contains("is live"), "{}", shown.out);
    assert_eq!(generations(&world, "accounts"), [state(1, "replaced"), state(2, "live")]);
    assert_eq!(ask(&world), before);

    // The worker has followed, also once the old files are gone.
    let dropped = world.run(&["rebuild", "accounts", "--drop-old", "--json"]);
    assert_eq!(dropped.json(), json!({"generation": 1, "state": "dropped"}));
    assert_eq!(generations(&world, "accounts"), [state(2, "live")]);
    let file = |number: i64| world.folder.path().join(format!(".headwater/views/accounts.{number}.db"));
    assert!(!file(1).exists() && file(2).exists());
    let sent = world.run(&["send", "account", &id, "DepositFunds", r#"{"amount":"1.00"}"#]).json();
    let position = sent["position"].as_str().expect("text");
    let answer = world.run(&["query", "AccountSummary", &format!(r#"{{"account_id":"{id}"}}"#), "--at", position]);
    assert_eq!(answer.json()["balance"], "11.00", "{}", answer.err);
    assert_eq!(world.run(&["verify"]).code, Some(0));
    signal(&worker, "TERM");
    assert_eq!(worker.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_view_on_which_nobody_works_is_rebuilt_too() {
    let world = World::new();
    for deposit in ["1.00", "2.00"] {
        world.open_account(deposit);
    }
    let before = ask(&world);
    let rebuilt = world.run(&["rebuild", "accounts", "--compare"]);
    assert_eq!(rebuilt.code, Some(0), "{}{}", rebuilt.out, rebuilt.err);
    assert_eq!(ask(&world), before);
    assert_eq!(world.run(&["verify"]).code, Some(0));
    let missing = world.run(&["rebuild", "accounts", "--resume"]);
    assert_eq!(missing.code, Some(2), "{}", missing.err);
    assert!(missing.err.contains("no unfinished generation"), "{}", missing.err);
}

#[test]
fn a_rebuild_that_is_killed_leaves_the_live_view_and_the_next_one_succeeds() {
    let world = World::new();
    world.open_account("1.00");
    let before = ask(&world);
    for milliseconds in [0, 20, 40, 80, 160] {
        let mut rebuild = world.start(&["rebuild", "accounts", "--jobs", "1"]);
        // Wherever this meets it: what must hold afterwards holds in every case.
        std::thread::sleep(Duration::from_millis(milliseconds));
        let _ = rebuild.kill();
        rebuild.wait().expect("it ends");
        assert_eq!(ask(&world), before);
        assert_eq!(generations(&world, "accounts").iter().filter(|(_, state)| state == "live").count(), 1);
    }
    let rebuilt = world.run(&["rebuild", "accounts", "--compare"]);
    assert_eq!(rebuilt.code, Some(0), "{}{}", rebuilt.out, rebuilt.err);
    assert_eq!(ask(&world), before);
    let generations = generations(&world, "accounts");
    assert!(generations.iter().all(|(_, state)| state != "unfinished"), "{generations:?}");
}

#[test]
fn where_nothing_is_parked_nothing_is_released() {
    let world = World::new();
    let id = world.open_account("1.00");
    ask(&world);
    let listed = world.run(&["parked", "ls", "--json"]);
    assert_eq!((listed.code, listed.out.as_str()), (Some(0), ""), "{}", listed.err);
    for what in ["show", "retry", "skip"] {
        let ended = world.run(&["parked", what, "account", &id, "--view", "accounts"]);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.contains("is not parked"), "{}", ended.err);
    }
    let unknown = world.run(&["parked", "ls", "--view", "acounts"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("accounts"), "{}", unknown.err);
}
