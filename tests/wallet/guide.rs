//! The session of the README, run as it stands there.

use std::process::Command;

use super::WALLET;
use super::world::World;

/// Between the outputs of two commands.
const END: &str = "\u{1}";

/// The commands of the first block of a section that shows answers, each with its answer.
fn session(section: &str) -> Vec<(String, String)> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let (_, rest) = readme.split_once(&format!("\n## {section}\n")).expect("the section");
    let (_, rest) = rest.split_once("```console\n").expect("a session");
    let (block, _) = rest.split_once("```").expect("its end");
    let mut steps: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push((command.to_owned(), String::new())),
            None => steps.last_mut().expect("a command comes first").1.push_str(line),
        }
    }
    steps
}

/// Whether `text` is `pattern`, in which each … stands for anything.
fn is(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = "";
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        (rest, last) = (after, part);
    }
    rest.is_empty() || (last.is_empty() && pattern.ends_with('…'))
}

#[test]
fn the_session_of_the_readme_answers_as_it_says() {
    let mut wallet = World::embedded(WALLET);
    let url = wallet.serve();
    let steps = session("The wallet, served");
    assert!(steps.len() >= 8, "{steps:?}");
    let commands: Vec<&str> = steps.iter().map(|(command, _)| command.as_str()).collect();
    let script =
        commands.join(&format!("\nprintf '{END}'\n")).replace("localhost:8080", url.trim_start_matches("http://"));
    let ended = Command::new("bash").args(["-euc", &script]).output().expect("bash runs");
    assert!(ended.status.success(), "{ended:?}");
    let out = String::from_utf8(ended.stdout).expect("text");
    for ((command, expected), answer) in steps.iter().zip(out.split(END)) {
        assert!(is(answer.trim(), expected), "{command}\n said     {answer}\n and not  {expected}");
    }
}

#[test]
fn dots_stand_for_anything() {
    assert!(is("abcd", "abcd") && is("abcd", "a…d") && is("abcd", "…") && is("abcd", "ab…"));
    assert!(!is("abcd", "abc") && !is("abcd", "b…") && !is("abcd", "a…c") && !is("abcd", "a…x…d"));
}
