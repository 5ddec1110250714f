//! Everything in one folder, without a server: each command runs all roles for its own duration.

use serde_json::{Value, json};

use crate::tally::UNLUCKY;
use crate::world::{Ended, World};

fn add(world: &World, id: &str, amount: i64) -> Ended {
    world.run(&["send", "tally", id, "Add", &json!({ "amount": amount }).to_string(), "--timeout", "2s"])
}

#[track_caller]
fn is_unanswered(ended: &Ended) {
    assert_eq!((ended.code, ended.out.as_str()), (Some(75), ""), "{}", ended.err);
}

pub fn retried_and_skipped() {
    let mut world = World::new(Vec::new());
    assert_eq!(add(&world, "a", 1).json()["version"], 1);
    is_unanswered(&add(&world, "a", UNLUCKY));
    is_unanswered(&add(&world, "a", 5));
    is_unanswered(&add(&world, "b", UNLUCKY));
    is_unanswered(&add(&world, "b", 7));
    assert_eq!(add(&world, "c", 1).json()["version"], 1, "others flow");

    let parked = world.parked();
    let ids: Vec<_> = parked.iter().map(|row| (row["id"].as_str().expect("an id"), &row["commands"])).collect();
    assert!(ids.contains(&("a", &json!(2))) && ids.contains(&("b", &json!(2))) && ids.len() == 2, "{parked:?}");
    assert!(parked.iter().all(|row| row["reason"].as_str().is_some_and(|reason| reason.contains("unlucky"))));
    let shown = world.done(&["parked", "show", "tally", "a", "--json"]).json();
    let waiting: Vec<&Value> = shown["waiting"].as_array().expect("commands").iter().map(|it| &it["data"]).collect();
    assert_eq!(waiting, [&json!({ "amount": UNLUCKY }), &json!({ "amount": 5 })]);
    let text = world.done(&["parked", "ls"]).out;
    assert!(text.contains("command_id") && text.contains("unlucky"), "{text}");
    assert_eq!(world.done(&["verify", "--json"]).json()["ok"], json!(true));

    // Nothing is corrected yet.
    let in_vain = world.run(&["parked", "retry", "tally", "a"]);
    assert!(in_vain.code == Some(1) && in_vain.out.contains("2 go on waiting"), "{}{}", in_vain.out, in_vain.err);
    let skipped = world.done(&["parked", "skip", "tally", "b", "--json"]).json();
    assert_eq!(skipped, json!({"judged": 1, "skipped": 1, "parked": 0, "reason": null}));
    assert_eq!(add(&world, "b", 1).json()["version"], 2);

    world.release = "mended";
    let retried = world.done(&["parked", "retry", "tally", "a"]).out;
    assert!(retried.contains("2 commands judged") && retried.contains("parked no longer"), "{retried}");
    let state = world.done(&["inspect", "tally", "a", "--json"]).json();
    assert_eq!((&state["version"], &state["state"]["total"]), (&json!(3), &json!(1 + UNLUCKY + 5)));
    for what in ["show", "retry", "skip"] {
        let ended = world.run(&["parked", what, "tally", "a"]);
        assert!(ended.code == Some(2) && ended.err.contains("is parked"), "{}", ended.err);
    }
    assert!(world.parked().is_empty());
    assert_eq!(world.done(&["verify", "--json"]).json()["ok"], json!(true));
}
