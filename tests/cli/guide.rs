//! The guides of the README, run as they stand there.

use super::world::World;

/// The text of a section.
pub fn section(name: &str) -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let (_, rest) = readme.split_once(&format!("\n## {name}\n")).expect("the section");
    rest.split_once("\n## ").map_or(rest, |(text, _)| text).to_owned()
}

/// The commands of a section, one for each line of its shell blocks.
fn commands(name: &str) -> Vec<Vec<String>> {
    let text = section(name);
    let blocks = text.split("```sh\n").skip(1).filter_map(|block| Some(block.split_once("```")?.0));
    let lines = blocks.flat_map(str::lines).filter(|line| !line.trim().is_empty());
    lines.map(words).collect()
}

/// As a shell divides a line, without its comment.
fn words(line: &str) -> Vec<String> {
    let line = line.split_once(" #").map_or(line, |(command, _)| command);
    let (mut words, mut quoted) = (vec![String::new()], false);
    for letter in line.trim().chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            letter => words.last_mut().expect("there is one").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn views_are_replayed_and_rebuilt_as_the_readme_says() {
    let world = World::new();
    world.open_account("10.00");
    world.run(&["query", "AccountsList"]);
    let commands = commands("Replay and rebuild a view");
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        let [bank, arguments @ ..] = &command[..] else { continue };
        assert_eq!(bank, "bank", "{command:?}");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = world.run(&arguments);
        assert_eq!(ended.code, Some(0), "{command:?}: {}{}", ended.out, ended.err);
    }
    assert_eq!(world.run(&["verify"]).code, Some(0));
}
