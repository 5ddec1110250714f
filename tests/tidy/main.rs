//! Keeps the house in order: which room may know which, which library stays behind which door, how
//! long a file may be, and what must not be written anywhere.
//!
//! It reads the sources as text and promises to name file, line and rule of whatever it finds. It never
//! compiles anything: what the compiler and clippy can hold is theirs.

mod rooms;
mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// Folders and files at the top that are written by hand.
const WRITTEN: [&str; 9] =
    ["src", "schemas", "deploy", "tests", "benches", "README.md", "Cargo.toml", "clippy.toml", "rustfmt.toml"];
const TEXT: [&str; 12] = ["rs", "toml", "md", "avsc", "sh", "py", "sql", "json", "jsonl", "yaml", "properties", ""];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for top in WRITTEN {
        collect(&root().join(top), &mut paths);
    }
    paths.sort();
    let sources: Vec<Source> = paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.strip_prefix(root()).expect("collected below the root");
            Source::new(&name.to_string_lossy(), &text)
        })
        .collect();
    assert!(sources.len() > 20, "the sources were not found below {}", root().display());
    sources
}

fn collect(path: &Path, into: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a readable folder") {
            collect(&entry.expect("a readable entry").path(), into);
        }
    } else if path.is_file() {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        if TEXT.contains(&ending.as_ref()) {
            into.push(path.to_owned());
        }
    }
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} fault(s):\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_room_imports_only_what_stands_before_it() {
    assert_none(&sources().iter().flat_map(rooms::faults).collect::<Vec<_>>());
}

#[test]
fn a_library_stays_behind_its_door() {
    assert_none(&sources().iter().flat_map(rules::foreign_libraries).collect::<Vec<_>>());
}

#[test]
fn only_the_clock_asks_for_time_or_randomness() {
    assert_none(&sources().iter().flat_map(rules::time_and_randomness).collect::<Vec<_>>());
}

#[test]
fn an_application_is_a_stranger_to_the_engine() {
    assert_none(&sources().iter().flat_map(rules::engine_inside_an_application).collect::<Vec<_>>());
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    assert_none(&sources().iter().flat_map(rules::shape_of_file).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_unfinished_and_no_machine_is_named() {
    assert_none(&sources().iter().flat_map(rules::leftovers).collect::<Vec<_>>());
}

#[test]
fn every_dependency_comes_from_the_public_registry() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("a lock file");
    assert_none(&rules::dependency_sources(&lock));
}
