//! The journal's commands.

use serde_json::{Value, json};

use super::JOURNAL;
use super::world::World;

fn reading(celsius: f64) -> String {
    json!({ "sensor": "a", "celsius": celsius, "measured_at": "2026-01-31T12:00:00Z" }).to_string()
}

/// A whole session; the same on every log.
fn session(journal: &World) {
    let saved = journal.ask(&["save", "reading", "north", &reading(-3.5)]);
    assert_eq!(saved["version"], 1, "{saved}");
    let records = [reading(-3.0), String::new(), reading(-2.5)].join("\n");
    let saved = journal.run_with_input(&["save-many", "reading", "north"], &records);
    assert_eq!(saved.code, Some(0), "{saved:?}");
    let position = serde_json::from_str::<Value>(&saved.out).expect("JSON")["position"].clone();
    // Whoever works elsewhere has folded it once a query has waited for it.
    journal.succeed(&["query", "reading", r#"{"key":"north"}"#, "--at", position.as_str().expect("text")]);

    let last = journal.ask(&["last", "reading", "north"]);
    assert_eq!((&last["version"], &last["record"]["celsius"]), (&json!(3), &json!(-2.5)));
    assert_eq!(journal.succeed(&["count", "reading", "north"]), "3\n");
    assert_eq!(journal.ask(&["count", "reading", "north", "--json"]), json!({ "count": 3 }));
    let many = journal.succeed(&["many", "reading", "north", "--limit", "2"]);
    let shown: Vec<Value> = many.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(shown.iter().map(|it| &it["version"]).collect::<Vec<_>>(), [3, 2]);
    let time = last["time"].as_str().expect("text");
    assert_eq!(journal.ask(&["at", "reading", "north", time])["version"], 3);

    let deleted = journal.ask(&["delete", "reading", "north"]);
    let position = deleted["position"].as_str().expect("text");
    journal.succeed(&["query", "reading", r#"{"key":"north"}"#, "--at", position]);
    assert_eq!(journal.succeed(&["count", "reading", "north"]), "0\n");
    assert_eq!(journal.run(&["last", "reading", "north"]).code, Some(1));
    assert_eq!(journal.ask(&["at", "reading", "north", time])["version"], 3);
    assert_eq!(journal.run(&["verify"]).code, Some(0));
}

#[test]
fn a_session_on_the_embedded_log() {
    session(&World::embedded(JOURNAL));
}

#[test]
fn a_session_on_real_servers() {
    if let Some(journal) = World::on_servers(JOURNAL) {
        session(&journal);
    }
}

#[test]
fn wrong_input_ends_with_its_own_exit_code_and_names_the_field() {
    let journal = World::embedded(JOURNAL);
    for (arguments, words) in [
        (&["save", "reading", "north", "{"][..], "malformed JSON"),
        (&["save", "reading", "north", "[]"], "a record must be a JSON object"),
        (&["save", "reading", "north", r#"{"sensor":"a","celsius":1}"#], "measured_at: is missing"),
        (&["save", "quote", "ACME", r#"{"bid":"1.5","ask":2,"currency":"EUR"}"#], "bid: must be a whole number"),
        (&["save", "redding", "north", "{}"], "did you mean \"reading\"?"),
        (&["last", "reading", ""], "a key has 1 to 200 characters"),
        (&["at", "reading", "north", "yesterday"], "is no time"),
        (&["many", "reading", "north", "--format", "xls"], "xls"),
    ] {
        let ended = journal.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        // A long line may be wrapped.
        let said = ended.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert_eq!(ended.out, "");
    }
}

#[test]
fn csv_goes_into_a_file_with_a_column_for_each_field() {
    let journal = World::embedded(JOURNAL);
    journal.succeed(&["save", "reading", "north", &reading(-3.5)]);
    journal.succeed(&["many", "reading", "north", "--format", "csv", "--output", "north.csv"]);
    let csv = std::fs::read_to_string(journal.folder().join("north.csv")).expect("written");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "version,time,sensor,celsius,measured_at,humidity,calibrated,other");
    assert!(lines[1].starts_with("1,") && lines[1].ends_with(",a,-3.5,2026-01-31T12:00:00Z,,,"), "{}", lines[1]);
    assert_eq!(lines.len(), 2);
}
