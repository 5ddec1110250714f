//! A query that is given a position waits until the view is there.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::JOURNAL;
use super::world::World;

fn reading() -> String {
    json!({ "sensor": "a", "celsius": 1, "measured_at": "2026-01-31T12:00:00Z" }).to_string()
}

fn a_query_waits(journal: &World) {
    let saved = journal.ask(&["save", "reading", "north", &reading()]);
    let (place, sequence) = saved["position"].as_str().expect("text").rsplit_once(':').expect("a position");
    let next = format!("{place}:{}", sequence.parse::<u32>().expect("a number") + 1);
    let question = ["query", "reading", r#"{"key":"north"}"#, "--json", "--at", &next];

    let in_vain = journal.run(&[&question[..], &["--timeout", "200ms"]].concat());
    assert_eq!((in_vain.code, in_vain.out.as_str()), (Some(75), ""), "{in_vain:?}");

    let mut waiting = journal.command(&[&question[..], &["--timeout", "2m"]].concat());
    let mut waiting = waiting.stdout(Stdio::piped()).spawn().expect("it starts");
    // Whether it waits already when the record is saved or not, its answer has the record.
    std::thread::sleep(Duration::from_millis(300));
    assert!(waiting.try_wait().expect("its state").is_none(), "nothing is there that it waits for");
    journal.ask(&["save", "reading", "north", &reading()]);
    let answered = waiting.wait_with_output().expect("it ends");
    assert!(answered.status.success(), "{answered:?}");
    let answer: Value = serde_json::from_slice(&answered.stdout).expect("JSON");
    assert_eq!(answer["answer"]["count"], 2, "{answer}");
}

#[test]
fn a_query_with_a_position_waits_until_the_view_has_it() {
    let mut journal = World::embedded(JOURNAL);
    journal.serve();
    a_query_waits(&journal);
}
