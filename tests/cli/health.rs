//! `verify`, `doctor` and `lag`: what is sound is called sound, what is not is named, with what to do.

use sqlx::{Connection, SqliteConnection};

use super::world::{Ended, World};

/// A bank with accounts, which all views have.
fn with_accounts(deposits: &[&str]) -> (World, Vec<String>) {
    let world = World::new();
    let ids = deposits.iter().map(|deposit| world.open_account(deposit)).collect();
    settle(&world);
    (world, ids)
}

/// A query that is asked alone waits until its view has everything.
fn settle(world: &World) {
    for query in ["AccountsList", "BankStats"] {
        assert_eq!(world.run(&["query", query]).code, Some(0));
    }
}

/// Changes a view behind the engine's back.
fn meddle(world: &World, sql: &'static str) {
    let view = world.folder.path().join(".headwater/views/accounts.1.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut database = SqliteConnection::connect(&format!("sqlite:{}", view.display())).await.expect("a database");
        let changed = sqlx::query(sql).execute(&mut database).await.expect("changed");
        assert_eq!(changed.rows_affected(), 1);
        database.close().await.expect("closed");
    });
}

#[test]
fn a_sound_bank_is_verified_with_every_rule_and_each_was_held_to_something() {
    let (world, _) = with_accounts(&["10.00", "20.00"]);
    let ended = world.run(&["verify", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let report = ended.json();
    assert_eq!((&report["ok"], report["violations"].as_array().map(Vec::len)), (&true.into(), Some(0)));
    let checks = report["checks"].as_array().expect("checks");
    assert_eq!(checks.len(), 11);
    for check in checks
        .iter()
        .filter(|check| !["snapshots", "checkpoints", "sagas"].contains(&check["rule"].as_str().unwrap_or("")))
    {
        assert!(check["looked_at"].as_u64() > Some(0), "{check}");
    }
}

#[test]
fn a_row_that_was_changed_by_hand_is_named_to_the_column() {
    let (world, ids) = with_accounts(&["10.00"]);
    let id = &ids[0];
    meddle(&world, "UPDATE accounts__rows SET balance = balance + 1");
    let ended = world.run(&["verify"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("BAD  views are the fold of the events"), "{}", ended.out);
    let named =
        format!("view accounts, table accounts, row account_id \"{id}\": balance is 1001, and its events make it 1000");
    assert!(ended.out.contains(&named), "{}", ended.out);
    // It is the view that is wrong, and it can be made anew from the log.
    assert_eq!(world.run(&["replay", "accounts", "--to", "earliest", "--yes"]).code, Some(0));
    settle(&world);
    assert_eq!(world.run(&["verify"]).code, Some(0));
}

#[test]
fn the_doctor_calls_a_fresh_machine_sound_and_tells_the_limits() {
    let world = World::new();
    let ended = world.run(&["doctor", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.out);
    let lines = ended.lines();
    for check in ["disk", "log", "topics", "registry", "clock", "views", "settings", "limit"] {
        let of: Vec<_> = lines.iter().filter(|line| line["check"] == check).collect();
        assert!(!of.is_empty() && of.iter().all(|line| line["health"] != "bad"), "{check}: {of:?}");
    }
}

#[test]
fn the_doctor_names_what_is_away_and_looks_at_the_rest_all_the_same() {
    let world = World::new();
    let away = ["--registry", "http://127.0.0.1:9", "--views", "postgres://nobody:geheim@127.0.0.1:9/none"];
    let kafka = ["doctor", "--json", "--log", "kafka", "-X", "bootstrap.servers=127.0.0.1:9"];
    let mut doctor = world.command(&[&kafka[..], &away[..]].concat());
    let output = doctor.env("HEADWATER_KAFKA__ANSWER_TIMEOUT_MS", "500").output();
    let ended = Ended::of(output.expect("the bank starts"));
    assert_eq!(ended.code, Some(1));
    let lines = ended.lines();
    let health = |check: &str| lines.iter().find(|line| line["check"] == check).map(|line| line["health"].clone());
    for check in ["brokers", "registry", "views"] {
        assert_eq!(health(check), Some("bad".into()), "{check}: {}", ended.out);
    }
    assert_eq!(health("settings"), Some("ok".into()));
    assert!(lines[1]["remedy"].is_string() && !ended.out.contains("geheim"), "{}", ended.out);
}

#[test]
fn nobody_is_behind_once_everything_is_done_and_the_owner_is_named() {
    let (world, _) = with_accounts(&["10.00"]);
    let rows = world.run(&["lag", "--json"]).lines();
    let of = |group: &str| rows.iter().filter(|row| row["group"] == group).count();
    assert_eq!((of("bank.account.commands"), of("bank.projection.accounts")), (8, 16));
    let behind: Vec<_> = rows.iter().filter(|row| row["lag"] != 0).collect();
    assert!(behind.is_empty(), "{behind:?}");
    assert!(rows.iter().any(|row| row["owner"].as_str().is_some_and(|owner| owner.starts_with("bank.account."))));
}
