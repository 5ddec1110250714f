//! Exit codes, one test each, and what is written where.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use headwater::clock;

use super::world::{Ended, World, signal};

#[test]
fn code_0_accepted_and_nothing_but_the_outcome_is_written() {
    let world = World::new();
    let id = world.open_account("10.00");
    let ended = world.run(&["send", "account", &id, "DepositFunds", r#"{"amount":"1.00"}"#]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let outcome = ended.json();
    assert_eq!(outcome["outcome"], "accepted");
    assert_eq!((&outcome["aggregate"], &outcome["id"]), (&"account".into(), &id.as_str().into()));
    assert_eq!((&outcome["version"], &outcome["position"]), (&3.into(), &"account/0:3".into()));
}

#[test]
fn code_1_failed() {
    let world = World::new();
    let ended = world.run(&["query", "AccountSummary", r#"{"account_id":"000001"}"#]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("no such thing"), "{}", ended.err);
    let tomorrow = ["--command-id", "6f9619ff-8b86-5011-b42d-00c04fc964ff", "--issued-at", "2999-01-01T00:00:00Z"];
    let ended = world.run(&[&["send", "account", "000001", "DeleteAccount"], &tomorrow[..]].concat());
    let outcome = ended.json();
    assert_eq!((&outcome["outcome"], &outcome["code"]), (&"failed".into(), &"clock_skew".into()));
    assert_eq!(ended.code, Some(1));
}

#[test]
fn code_2_wrong_usage_or_bad_input_names_the_place_and_the_rule() {
    let world = World::new();
    let uuid = "6f9619ff-8b86-5011-b42d-00c04fc964ff";
    let cases: &[(&[&str], &str)] = &[
        (&["sned"], "send"),
        (&["send", "account", "000001", "DepositFunds", "{"], "malformed JSON"),
        (&["send", "account", "000001", "DepositFunds", r#"{"amount":"0.001"}"#], "/amount: must have at most 2"),
        (&["send", "account", "000001", "DepositFunds", r#"{"amount":"0.00"}"#], "/amount: "),
        (&["send", "account", "1", "DepositFunds", r#"{"amount":"1.00"}"#], "/id: "),
        (&["send", "account", "000001", "DepositFund", "{}"], "did you mean \"DepositFunds\"?"),
        (&["send", "acount", "000001", "DepositFunds", "{}"], "did you mean \"account\"?"),
        (&["send", "account", "000001", "OpenAccount", r#"{"name":"Customer"}"#], "the engine only"),
        (&["send", "account", "000001", "DeleteAccount", "--command-id", uuid], "/command_id: "),
        (&["query", "AccountSumary"], "did you mean \"AccountSummary\"?"),
        (&["query", "AccountSummary", r#"{"account_id":"1"}"#], "/account_id: "),
        (&["query", "BankStats", "--at", "bank/0:1"], "foreign"),
        (&["inspect", "account", "000001", "--at", "yesterday"], "--at"),
        (&["replay", "accounts", "--to", "earliest"], "--yes"),
        (&["run", "--role", "commands"], "--role"),
        (&["schemas", "show", "bank.account.event-value"], "did you mean"),
    ];
    for (arguments, said) in cases {
        let ended = world.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains(said), "{arguments:?}: {}", ended.err);
    }
}

#[test]
fn code_2_a_wrong_setting_names_where_it_stands_and_the_nearest() {
    let world = World::new();
    std::fs::write(world.folder.path().join("headwater.toml"), "[topology]\npartitons = 3\n").expect("written");
    let ended = world.run(&["topics", "plan"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("headwater.toml: there is no setting `topology.partitons`"), "{}", ended.err);
    assert!(ended.err.contains("`topology.partitions`"), "{}", ended.err);
    std::fs::remove_file(world.folder.path().join("headwater.toml")).expect("removed");
    let ended = world.run(&["topics", "plan", "-X", "isolation.level=read_uncommitted"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("flag -X"), "{}", ended.err);
}

#[test]
fn code_3_refused_by_the_domain() {
    let world = World::new();
    let id = world.open_account("10.00");
    let ended = world.run(&["send", "account", &id, "WithdrawFunds", r#"{"amount":"500.00"}"#]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(3), ""));
    let outcome = ended.json();
    assert_eq!((&outcome["outcome"], &outcome["code"]), (&"refused".into(), &"insufficient_funds".into()));
    assert_eq!(outcome["version"], 2);
}

#[test]
fn code_4_version_mismatch_says_the_present_version() {
    let world = World::new();
    let id = world.open_account("10.00");
    let deposit = ["send", "account", &id, "DepositFunds", r#"{"amount":"1.00"}"#, "--expect"];
    let ended = world.run(&[&deposit[..], &["7"]].concat());
    assert_eq!((ended.code, &ended.json()["version"]), (Some(4), &2.into()));
    assert_eq!(world.run(&[&deposit[..], &["2"]].concat()).code, Some(0));
}

#[test]
fn code_5_the_same_command_id_with_another_payload() {
    let world = World::new();
    let id = world.open_account("10.00");
    let command_id = clock::new_id().to_string();
    let deposit = |amount| {
        let fields = format!(r#"{{"amount":"{amount}"}}"#);
        world.run(&["send", "account", &id, "DepositFunds", &fields, "--command-id", &command_id])
    };
    let first = deposit("1.00");
    assert_eq!(first.code, Some(0));
    let again = deposit("1.00");
    assert_eq!((again.code, again.json()), (Some(0), first.json()), "the first outcome again");
    let other = deposit("2.00");
    assert_eq!((other.code, &other.json()["code"]), (Some(5), &"conflict".into()));
}

#[test]
fn code_75_what_is_away_may_be_tried_again() {
    let world = World::new();
    let ended = Ended::of(
        world
            .command(&["topics", "plan", "--log", "kafka", "--registry", "http://127.0.0.1:1"])
            .env("HEADWATER_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
            .env("HEADWATER_KAFKA__REQUEST_TIMEOUT_MS", "300")
            .output()
            .expect("the bank starts"),
    );
    assert_eq!(ended.code, Some(75), "{}", ended.err);
    assert!(ended.err.contains("127.0.0.1:1"), "{}", ended.err);
}

#[test]
fn code_75_a_view_that_does_not_reach_a_position_in_time() {
    let world = World::new();
    let ended = world.run(&["query", "BankStats", "--at", "account/0:99", "--timeout", "100ms"]);
    assert_eq!(ended.code, Some(75), "{}", ended.err);
}

#[test]
fn code_130_interrupted() {
    let world = World::new();
    world.open_account("10.00");
    let mut tail = world.start(&["tail", "--from", "earliest"]);
    let mut first = String::new();
    BufReader::new(tail.stdout.as_mut().expect("piped")).read_line(&mut first).expect("an event");
    assert!(first.contains("AccountCreated") || first.contains("AccountIdProvisioned"), "{first}");
    signal(&tail, "INT");
    assert_eq!(tail.wait().expect("it ends").code(), Some(130));
}

#[test]
fn a_worker_that_is_told_to_leave_leaves_in_good_order() {
    let world = World::new();
    for name in ["TERM", "INT"] {
        let mut worker = world.start(&["run"]);
        let mut log = BufReader::new(worker.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("working") {
            line.clear();
            assert!(log.read_line(&mut line).expect("text") > 0, "it ended before it worked");
        }
        let entry: serde_json::Value = serde_json::from_str(&line).expect("a log line is JSON where nobody watches");
        assert_eq!((&entry["level"], &entry["app"]), (&"INFO".into(), &"bank".into()));
        signal(&worker, name);
        let mut rest = String::new();
        log.read_to_string(&mut rest).expect("text");
        assert_eq!(worker.wait().expect("it ends").code(), Some(0), "{rest}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error_to_speak_of() {
    let world = World::new();
    let id = world.open_account("10.00");
    let line = format!(r#"{{"id":"{id}","command":"DepositFunds","data":{{"amount":"0.01"}}}}"#);
    std::fs::write(world.folder.path().join("lines"), vec![line; 2000].join("\n")).expect("written");
    let mut child =
        world.command(&["send", "account", "--from", "lines"]).stdout(Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    let ended = Ended::of(child.wait_with_output().expect("it ends"));
    assert!(!ended.err.contains("panicked") && !ended.err.contains("pipe"), "{}", ended.err);
}

#[test]
fn every_command_shows_an_example() {
    let world = World::new();
    let help = world.run(&["--help"]).out;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 10, "{help}");
    for command in commands {
        let help = world.run(&[command, "--help"]).out;
        assert!(help.contains("Examples:\n") && help.contains(&format!("bank {command}")), "{command}: {help}");
    }
}

#[test]
fn the_demo_is_one_object_in_which_every_ending_is_seen_and_everything_holds() {
    let world = World::new();
    let ended = world.run(&["demo", "--commands", "500", "--seed", "3", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let report = ended.json();
    assert_eq!((&report["ok"], &report["commands"]["sent"]), (&true.into(), &500.into()));
    assert_eq!(report["commands"]["unanswered"], 0);
    let checks = report["verify"]["checks"].as_array().expect("checks");
    assert!(checks.len() > 6 && checks.iter().all(|check| check["violations"] == 0), "{checks:?}");
    assert_eq!(report["figures"]["before"]["net_balance"], "0.00");
    assert_ne!(report["figures"]["after"]["net_balance"], "0.00");
    assert_eq!(report["sagas"]["open"], 0);
    let endings = report["sagas"]["endings"].as_array().expect("endings");
    let named: Vec<_> = endings.iter().filter_map(|ending| ending["of"].as_str()).collect();
    assert_eq!(named, ["transfers", "requests", "accepted requests", "requests that were not paid"]);
    assert!(endings.iter().all(|ending| ending["ok"] == true), "{endings:#?}");
    let left: Vec<_> = std::fs::read_dir(world.folder.path()).expect("a folder").collect();
    assert!(left.is_empty(), "the demo left something where it was started: {left:?}");
}
