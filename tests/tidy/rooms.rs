//! The rooms of the library and their order: a room imports only what stands before it.

use super::source::{Source, line_of, places_of};

/// The rooms in order, as paths of modules. A file belongs to the longest path that leads to it.
const ROOMS: [&str; 28] = [
    "clock",
    "position",
    "trace",
    "log",
    "topology",
    "log::kafka",
    "log::embedded",
    "schema",
    "command",
    "event",
    "store::local",
    "lane",
    "aggregate",
    "store",
    "projection",
    "saga",
    "query",
    "store::sql",
    "verify",
    "settings",
    "telemetry",
    "testing",
    "engine",
    "testing::simulation",
    "gateway",
    "cli",
    "app",
    "journal",
];

/// Where the outside world is behind a port: named by its own room, and where all is put together.
const ADAPTERS: [&str; 3] = ["log::kafka", "log::embedded", "store::sql"];
const ASSEMBLY: [&str; 5] = ["settings", "engine", "testing::simulation", "cli", "app"];

fn room_of(path: &[&str]) -> Option<&'static str> {
    let leads = |room: &&str| {
        let room: Vec<&str> = room.split("::").collect();
        path.starts_with(&room)
    };
    ROOMS.into_iter().filter(leads).max_by_key(|room| room.len())
}

fn rank(room: &str) -> usize {
    ROOMS.iter().position(|it| *it == room).unwrap_or(ROOMS.len())
}

/// What `source` imports although it stands after it, or has no place at all.
pub fn faults(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else { return Vec::new() };
    if module.is_empty() {
        // The crate's root is the map: it names every room.
        return Vec::new();
    }
    if module.contains(&"tests") {
        // Compiled for tests alone, as `#[cfg(test)] mod tests;` says elsewhere.
        return Vec::new();
    }
    let Some(here) = room_of(&module) else {
        return vec![format!("{}: no room has this place; give it one in tests/tidy/rooms.rs", source.path)];
    };
    let mut faults = Vec::new();
    for (at, path) in references(&source.shipped, &module) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if let Some(rule) = broken_rule(here, &path) {
            let (file, line) = (&source.path, line_of(&source.shipped, at));
            faults.push(format!("{file}:{line}: {here} names crate::{}: {rule}", path.join("::")));
        }
    }
    faults
}

fn broken_rule(here: &str, path: &[&str]) -> Option<&'static str> {
    let Some(there) = room_of(path) else {
        return Some("name a thing by its room, not by the crate's root");
    };
    if here == there {
        return None;
    }
    if ADAPTERS.contains(&there) && !ASSEMBLY.contains(&here) {
        return Some("an adapter is named only where all is put together; the rest sees the port");
    }
    (rank(there) > rank(here)).then_some("it stands after this room")
}

/// Every path of the crate that is named in code, from its root, with its place.
fn references(code: &[char], module: &[&str]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for at in places_of(code, "crate::") {
        expand(code, at + "crate::".len(), &[], at, &mut found);
    }
    for at in places_of(code, "super::") {
        if is_after_path(code, at) {
            continue;
        }
        let (mut depth, mut next) = (0, at);
        while code[next..].starts_with(&['s', 'u', 'p', 'e', 'r', ':', ':']) {
            (depth, next) = (depth + 1, next + "super::".len());
        }
        let parent: Vec<String> =
            module[..module.len().saturating_sub(depth)].iter().map(ToString::to_string).collect();
        expand(code, next, &parent, at, &mut found);
    }
    for room in ROOMS {
        // A room inside this very module can be named without `crate`.
        let Some((parent, name)) = room.rsplit_once("::") else { continue };
        if parent.split("::").eq(module.iter().copied()) {
            let inside = places_of(code, &format!("{name}::"));
            let path: Vec<String> = room.split("::").map(ToOwned::to_owned).collect();
            found.extend(inside.into_iter().filter(|at| !is_after_path(code, *at)).map(|at| (at, path.clone())));
        }
    }
    found.retain(|(_, path)| !path.last().is_some_and(|last| last.ends_with('!')));
    found
}

fn is_after_path(code: &[char], at: usize) -> bool {
    at > 0 && code[at - 1] == ':'
}

/// Follows a path and the braces in it; returns where it ends.
fn expand(code: &[char], at: usize, before: &[String], start: usize, found: &mut Vec<(usize, Vec<String>)>) -> usize {
    let mut path = before.to_vec();
    let mut at = skip_blanks(code, at);
    loop {
        if code.get(at) == Some(&'{') {
            return expand_braces(code, at + 1, &path, start, found);
        }
        let name: String = code[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
        at += name.chars().count();
        if !name.is_empty() && name != "self" {
            path.push(name);
        }
        if code[at..].starts_with(&[':', ':']) && !code[at..].starts_with(&[':', ':', '<']) {
            at = skip_blanks(code, at + 2);
            continue;
        }
        if code.get(at) == Some(&'!')
            && let Some(last) = path.last_mut()
        {
            last.push('!');
        }
        found.push((start, path));
        return at;
    }
}

fn expand_braces(
    code: &[char],
    at: usize,
    path: &[String],
    start: usize,
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut at = at;
    loop {
        at = skip_blanks(code, at);
        match code.get(at) {
            None => return at,
            Some('}') => return at + 1,
            Some(',') => at += 1,
            Some(_) => {
                at = expand(code, at, path, start, found);
                // `as name` and `*` say nothing about rooms.
                at += code[at..].iter().take_while(|c| !matches!(c, ',' | '}')).count();
            }
        }
    }
}

fn skip_blanks(code: &[char], at: usize) -> usize {
    at + code[at.min(code.len())..].iter().take_while(|c| c.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(path: &str, text: &str) -> Vec<String> {
        faults(&Source::new(path, text))
    }

    #[test]
    fn an_import_of_a_later_room_is_found() {
        let found = faults_of("src/schema/json.rs", "use crate::clock::Timestamp;\nuse crate::aggregate::Aggregate;");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("src/schema/json.rs:2: schema names crate::aggregate::Aggregate"), "{found:?}");
    }

    #[test]
    fn an_import_of_a_later_room_is_found_in_braces_in_paths_and_through_super() {
        for text in [
            "use crate::{clock::Clock, gateway::Gateway};",
            "use crate::{\n    clock::{self, Clock},\n    gateway::{http::Server as S, *},\n};",
            "fn f() -> crate::gateway::Gateway { todo() }",
            "use super::super::gateway::Gateway;",
            "fn f() { super::super::gateway::serve::<u8>() }",
        ] {
            assert!(!faults_of("src/command/envelope.rs", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn an_import_of_an_earlier_room_is_no_fault() {
        for text in [
            "use crate::{clock::{self, Clock}, schema::Message};",
            "use super::Aggregate; use super::context::Context; use super::super::event::Recorded;",
            "// crate::gateway\nconst A: &str = \"crate::gateway::X\";",
            "crate::messages! { pub enum A {} }",
            "#[cfg(test)]\nmod tests { use crate::gateway::Gateway; }",
        ] {
            assert_eq!(faults_of("src/aggregate/decision.rs", text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn an_adapter_is_named_only_where_all_is_put_together() {
        for text in ["use crate::log::kafka::KafkaLog;", "use crate::log::{Log, embedded::EmbeddedLog};"] {
            assert_eq!(faults_of("src/aggregate/processor/lane.rs", text).len(), 1, "{text}");
            assert_eq!(faults_of("src/app.rs", text), Vec::<String>::new(), "{text}");
            assert_eq!(faults_of("src/cli/run.rs", text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(faults_of("src/log/mod.rs", "pub mod kafka;\npub use kafka::KafkaLog;").len(), 1);
        assert_eq!(faults_of("src/log/mod.rs", "pub mod kafka;\npub mod embedded;"), Vec::<String>::new());
    }

    #[test]
    fn a_file_without_a_room_and_a_name_without_a_room_are_found() {
        assert_eq!(faults_of("src/utils.rs", "").len(), 1);
        assert_eq!(faults_of("src/event/mod.rs", "use crate::Aggregate;").len(), 1);
    }
}
