//! `send --from`: many commands, one outcome a line, in the order of the input.

use serde_json::json;

use super::world::World;

fn lines(of: &[serde_json::Value]) -> String {
    of.iter().map(serde_json::Value::to_string).chain([String::new()]).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_line_has_its_outcome_in_the_order_of_the_input() {
    let world = World::new();
    let ids: Vec<String> = (0..3).map(|_| world.open_account("100.00")).collect();
    let input: Vec<_> = (0..60)
        .map(|number| json!({"id": ids[number % 3], "command": "DepositFunds", "data": {"amount": "1.00"}}))
        .collect();
    let ended = world.run_with_input(&["send", "account", "--from", "-"], &lines(&input));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let outcomes = ended.lines();
    assert_eq!(outcomes.len(), 60);
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome["outcome"], "accepted");
        assert_eq!(outcome["id"], ids[number % 3].as_str());
        assert_eq!(
            outcome["version"],
            3 + number / 3,
            "commands of one aggregate are judged in the order of the input"
        );
    }
}

#[test]
fn a_refusal_is_an_answer_and_no_failure() {
    let world = World::new();
    let id = world.open_account("1.00");
    let input = json!({"id": id, "command": "WithdrawFunds", "data": {"amount": "500.00"}});
    let ended = world.run_with_input(&["send", "account", "--from", "-"], &lines(&[input]));
    assert_eq!((ended.code, &ended.lines()[0]["code"]), (Some(0), &"insufficient_funds".into()));
}

#[test]
fn a_bad_line_is_answered_with_its_number_and_place_and_the_others_go_on() {
    let world = World::new();
    let id = world.open_account("1.00");
    let deposit = json!({"id": id, "command": "DepositFunds", "data": {"amount": "1.00"}});
    let mut input = lines(&[
        deposit.clone(),
        json!({"id": id, "command": "DepositFunds", "data": {"amount": "1.001"}}),
        json!({"id": id, "command": "DepositFunds", "data": {"amount": "1.00"}, "expct": 1}),
    ]);
    input.push_str("no JSON\n\n");
    input.push_str(&lines(&[deposit]));
    let ended = world.run_with_input(&["send", "account", "--from", "-"], &input);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let outcomes = ended.lines();
    let kinds: Vec<_> = outcomes.iter().map(|outcome| outcome["outcome"].as_str().expect("text")).collect();
    assert_eq!(kinds, ["accepted", "failed", "failed", "failed", "accepted"]);
    let places: Vec<_> = outcomes.iter().map(|outcome| (&outcome["line"], &outcome["pointer"])).collect();
    assert_eq!(places[1], (&2.into(), &"/data/amount".into()));
    assert_eq!(places[2], (&3.into(), &"/expct".into()));
    assert_eq!(places[3], (&4.into(), &"".into()));
    for (outcome, rule) in [(&outcomes[1], "line 2: /data/amount: "), (&outcomes[2], "did you mean \"expect\"?")] {
        assert!(outcome["message"].as_str().expect("text").contains(rule), "{outcome}");
    }
}

#[test]
fn a_file_sent_twice_with_the_same_time_has_the_same_outcomes() {
    let world = World::new();
    let id = world.open_account("1.00");
    let uuid = |number| format!("6f9619ff-8b86-5011-b42d-00c04fc964{number:02}");
    let input: Vec<_> = (10..30)
        .map(|number| {
            let data = json!({"amount": "1.00"});
            json!({"id": id, "command": "DepositFunds", "command_id": uuid(number), "data": data})
        })
        .collect();
    std::fs::write(world.folder.path().join("lines"), lines(&input)).expect("written");
    let time = headwater::clock::Clock::system().now().to_string();
    let send = || world.run(&["send", "account", "--issued-at", &time, "--from", "lines"]);
    let (first, second) = (send(), send());
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{}", first.err);
    assert_eq!(first.lines(), second.lines());
    let state = world.run(&["inspect", "account", &id, "--json"]).json();
    assert_eq!((&state["version"], &state["state"]["balance"]), (&22.into(), &"21.00".into()));
    let without = world.run(&["send", "account", "--from", "lines"]);
    assert_eq!((without.code, &without.lines()[0]["pointer"]), (Some(1), &"/command_id".into()));
}

#[test]
fn internal_commands_are_let_through_only_when_asked_for() {
    let world = World::new();
    let open = lines(&[json!({"id": "000007", "command": "OpenAccount", "data": {"name": "Customer"}})]);
    let refused = world.run_with_input(&["send", "account", "--from", "-"], &open);
    assert_eq!((refused.code, &refused.lines()[0]["pointer"]), (Some(1), &"/command".into()));
    let opened = world.run_with_input(&["send", "account", "--internal", "--from", "-"], &open);
    assert_eq!((opened.code, &opened.lines()[0]["version"]), (Some(0), &1.into()));
}

#[test]
fn a_state_and_its_events_can_be_seen_at_any_version() {
    let world = World::new();
    let id = world.open_account("10.00");
    world.run(&["send", "account", &id, "DepositFunds", r#"{"amount":"1.00"}"#]);
    let at = |version| world.run(&["inspect", "account", &id, "--at", version, "--history", "--json"]).json();
    assert_eq!(at("3")["state"]["balance"], "11.00");
    assert_eq!((&at("2")["state"]["balance"], &at("2")["version"]), (&"10.00".into(), &2.into()));
    assert_eq!((&at("0")["version"], &at("0")["position"]), (&0.into(), &serde_json::Value::Null));
    let history = at("3")["history"].as_array().expect("a list").clone();
    let events: Vec<_> = history.iter().map(|event| event["event"].as_str().expect("text")).collect();
    assert_eq!(events, ["AccountCreated", "FundsDeposited", "FundsDeposited"]);
    let tailed = world.run(&["tail", "account", "--from", "earliest", "--key", &id, "--exit-at-end"]).lines();
    assert_eq!(tailed, history);
    let beyond = world.run(&["inspect", "account", &id, "--at", "9"]);
    assert!(beyond.code == Some(1) && beyond.err.contains("stands at version 3"), "{}", beyond.err);
    let position = history[1]["position"].as_str().expect("a position");
    let tail = |aggregate: &str| world.run(&["tail", aggregate, "--from", position, "--exit-at-end"]);
    assert_eq!(tail("account").lines(), history[1..]);
    assert_eq!(tail("account_registry").code, Some(2));
}
