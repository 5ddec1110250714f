//! A view made anew on real servers, with its processes killed at any moment.

use std::process::Stdio;
use std::time::Duration;

use headwater::clock;
use serde_json::{Value, json};

use super::JOURNAL;
use super::world::World;

const KEYS: usize = 4;

/// Saves as many records under each key; gives where each key's last one stands.
fn fill(journal: &World, each: usize) -> Vec<String> {
    let save = |key: usize| {
        let mut position = String::new();
        let numbers: Vec<usize> = (0..each).collect();
        for some in numbers.chunks(10_000) {
            let record = |number: &usize| {
                json!({ "sensor": "a", "celsius": number, "measured_at": "2026-01-31T12:00:00Z" }).to_string()
            };
            let records: Vec<String> = some.iter().map(record).collect();
            let saved = journal.run_with_input(&["save-many", "reading", &format!("key-{key}")], &records.join("\n"));
            assert_eq!(saved.code, Some(0), "{saved:?}");
            let receipt: Value = serde_json::from_str(&saved.out).expect("JSON");
            receipt["position"].as_str().expect("text").clone_into(&mut position);
        }
        position
    };
    (0..KEYS).map(save).collect()
}

/// The view answers in full: never with a half of what is there.
fn is_whole(journal: &World, each: usize) {
    for key in 0..KEYS {
        let question = json!({ "key": format!("key-{key}"), "limit": 1 }).to_string();
        let page = journal.ask(&["query", "reading", &question, "--json"])["answer"].clone();
        let last = &page["records"][0];
        assert_eq!((&page["count"], &last["record"]["celsius"]), (&json!(each), &json!(each - 1)), "{page}");
    }
}

fn generations(journal: &World) -> Vec<Value> {
    let list = journal.succeed(&["rebuild", "reading", "--list", "--json"]);
    list.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn is_unfinished(journal: &World) -> bool {
    generations(journal).iter().any(|it| it["state"] == "unfinished")
}

/// Begins a rebuild and kills it after so long; whether it was still at work.
fn killed_after(journal: &World, arguments: &[&str], wait: Duration) -> bool {
    let mut rebuild = journal.command(&[&["rebuild", "reading"], arguments].concat());
    let mut rebuild = rebuild.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let until = clock::instant() + wait;
    while clock::instant() < until {
        if rebuild.try_wait().expect("its state").is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    rebuild.kill().expect("SIGKILL");
    rebuild.wait().expect("it ends");
    true
}

/// Kills rebuilds ever later, until one of them has an end; gives how many were killed, and how many of them
/// had begun to fold.
fn story(journal: &World, each: usize, step: Duration) -> (u32, u32) {
    let positions = fill(journal, each);
    let at = positions.iter().flat_map(|position| ["--at", position]).collect::<Vec<_>>();
    journal.succeed(&[&["query", "reading", r#"{"key":"key-0"}"#, "--timeout", "5m"], &at[..]].concat());
    is_whole(journal, each);
    let (mut killed, mut begun) = (0, 0);
    // Alternately anew and from where the one before was killed, where it left anything.
    loop {
        let resumes = killed % 2 == 1 && is_unfinished(journal);
        let arguments: &[&str] = if resumes { &["--resume"] } else { &["--compare"] };
        if !killed_after(journal, arguments, step * 2_u32.pow(killed)) {
            break;
        }
        (killed, begun) = (killed + 1, begun + u32::from(is_unfinished(journal)));
        is_whole(journal, each);
    }
    let compared = journal.run(&["rebuild", "reading", "--compare"]);
    assert_eq!(compared.code, Some(0), "{compared:?}");
    is_whole(journal, each);
    let all = generations(journal);
    assert!(all.iter().any(|it| it["state"] == "live" && it["generation"] != 1), "{all:?}");
    journal.succeed(&["rebuild", "reading", "--drop-old"]);
    is_whole(journal, each);
    let verified = journal.run(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    (killed, begun)
}

#[test]
fn a_rebuild_that_is_killed_at_any_moment_leaves_the_live_view_and_a_later_one_takes_its_place() {
    if let Some(journal) = World::on_servers(JOURNAL) {
        story(&journal, 2_000, Duration::from_millis(100));
    }
}

/// `cargo test --release --test journal -- --ignored --nocapture at_some_volume`
#[test]
#[ignore = "takes minutes"]
fn rebuilds_at_some_volume_are_killed_and_compare_equal() {
    let Some(journal) = World::on_servers(JOURNAL) else { return };
    let (killed, begun) = story(&journal, 60_000, Duration::from_millis(500));
    assert!(begun > 0, "{killed} were killed, all of them before they began");
    let started = clock::instant();
    let compared = journal.succeed(&["rebuild", "reading", "--compare"]);
    println!("{killed} killed, {begun} of them half-way; one of 240,000 events in {:?}: {compared}", started.elapsed());
}
