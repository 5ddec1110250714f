//! Rules about single files: libraries behind doors, time, length, leftovers.

use super::source::{Source, line_of, places_of};

/// The longest file that is still one thing.
const LINES: usize = 450;

/// A library, and where alone it may be named.
const DOORS: [(&str, &[&str]); 21] = [
    ("rdkafka", &["src/log/kafka"]),
    ("apache_avro", &["src/schema"]),
    ("schema_registry_converter", &["src/schema"]),
    ("arrow_array", &["src/journal"]),
    ("arrow_ipc", &["src/journal"]),
    ("arrow_schema", &["src/journal"]),
    ("axum", &["src/gateway"]),
    // Applications describe the arguments of their own commands with it.
    ("clap", &["src/cli", "src/bin"]),
    ("clap_complete", &["src/cli"]),
    ("comfy_table", &["src/cli"]),
    ("indicatif", &["src/cli"]),
    ("miette", &["src/cli"]),
    ("parquet", &["src/journal"]),
    ("sqlx", &["src/store/sql"]),
    ("metrics_exporter_prometheus", &["src/telemetry"]),
    ("opentelemetry", &["src/trace", "src/telemetry"]),
    ("opentelemetry_otlp", &["src/telemetry"]),
    ("opentelemetry_sdk", &["src/telemetry"]),
    ("tracing_opentelemetry", &["src/trace", "src/telemetry"]),
    ("utoipa", &["src/gateway"]),
    ("utoipa_swagger_ui", &["src/gateway"]),
];

/// What tells the time or throws dice.
const TIME_AND_RANDOMNESS: [&str; 12] = [
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "Uuid::now_v7",
    "Uuid::now_v6",
    "Uuid::now_v1",
    "Uuid::new_v4",
    "rand::random",
    "rand::rng",
    "thread_rng",
    "fastrand",
];

fn fault(source: &Source, at: usize, what: &str) -> String {
    format!("{}:{}: {what}", source.path, line_of(&source.code, at))
}

fn behind(path: &str, door: &str) -> bool {
    path.strip_prefix(door).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// Libraries named outside their rooms. Tests of the whole may use what they like.
pub fn foreign_libraries(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/") {
        return Vec::new();
    }
    let outside = |(_, doors): &&(&str, &[&str])| !doors.iter().any(|door| behind(&source.path, door));
    let uses = |(library, doors): &(&str, &[&str])| {
        let what = format!("{library} is known only to {}", doors.join(", "));
        places_of(&source.code, library).into_iter().map(|at| fault(source, at, &what)).collect::<Vec<_>>()
    };
    DOORS.iter().filter(outside).flat_map(uses).collect()
}

/// Asking the machine for time or randomness outside `clock.rs`.
pub fn time_and_randomness(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/") || source.path == "src/clock.rs" {
        return Vec::new();
    }
    let uses = |call: &&str| {
        let what = format!("{call}: take times and ids from clock.rs, so that a replay sees the same");
        places_of(&source.code, call).into_iter().map(|at| fault(source, at, &what)).collect::<Vec<_>>()
    };
    TIME_AND_RANDOMNESS.iter().flat_map(uses).collect()
}

/// An application that reaches past the public API: through the sources, or to the libraries below.
pub fn engine_inside_an_application(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/bin/") {
        return Vec::new();
    }
    let below = ["fjall", "crossbeam_channel", "tokio", "config", "schema_registry_converter"];
    let engine = ["#[path", "include!"];
    let words = below.iter().chain(&engine);
    let uses = |word: &&str| {
        let what = format!("{word}: an application uses only what `headwater::` offers");
        places_of(&source.code, word).into_iter().map(|at| fault(source, at, &what)).collect::<Vec<_>>()
    };
    words.flat_map(uses).collect()
}

/// No words about itself at the top, or too long to be one thing.
pub fn shape_of_file(source: &Source) -> Vec<String> {
    if !source.is_rust() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    if !source.text.starts_with("//! ") {
        faults.push(format!("{}:1: say in a `//!` what this file is, promises and never does", source.path));
    }
    let lines = source.text.lines().count();
    if lines > LINES {
        faults.push(format!("{}: {lines} lines, {LINES} are the most; it is two things", source.path));
    }
    let silenced = places_of(&source.code, "clippy::too_many_lines");
    faults.extend(silenced.into_iter().map(|at| fault(source, at, "a function longer than a screen is two things")));
    faults
}

/// Unfinished work, and places that exist on one machine only.
pub fn leftovers(source: &Source) -> Vec<String> {
    // Put together here, so that this file does not find itself.
    let unfinished = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!"));
    let machines = ["work/", "root/", "home/", "tmp/wt", "tmp/hw"].map(|name| format!("/{name}"));
    let mut faults = Vec::new();
    for word in &unfinished {
        faults.extend(places_of(&source.code, word).into_iter().map(|at| fault(source, at, word)));
    }
    for (number, line) in source.text.lines().enumerate() {
        for machine in machines.iter().filter(|machine| names_place(line, machine)) {
            faults.push(format!("{}:{}: {machine} is a place of one machine", source.path, number + 1));
        }
    }
    faults
}

/// Whether the line names an absolute place, which is no part of a longer path or of an address.
fn names_place(line: &str, place: &str) -> bool {
    let free = |before: Option<char>| !before.is_some_and(|c| c.is_alphanumeric() || "_-.}/".contains(c));
    line.match_indices(place).any(|(at, _)| free(line[..at].chars().next_back()))
}

/// Dependencies from anywhere but crates.io.
pub fn dependency_sources(lock: &str) -> Vec<String> {
    let foreign = |line: &&str| line.starts_with("source = ") && !line.contains("github.com/rust-lang/crates.io-index");
    lock.lines().filter(foreign).map(|line| format!("Cargo.lock: {line} is not the public registry")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    #[test]
    fn a_library_outside_its_room_is_found() {
        for (library, door) in
            [("rdkafka", "src/log/kafka/consumer.rs"), ("miette", "src/cli/mod.rs"), ("axum", "src/gateway.rs")]
        {
            let text = format!("use {library}::Thing;");
            assert_eq!(foreign_libraries(&source("src/command/mod.rs", &text)).len(), 1, "{library}");
            assert_eq!(foreign_libraries(&source("src/bin/bank/main.rs", &text)).len(), 1, "{library}");
            assert_eq!(foreign_libraries(&source(door, &text)), Vec::<String>::new(), "{library}");
            assert_eq!(foreign_libraries(&source("tests/contract.rs", &text)), Vec::<String>::new(), "{library}");
        }
        assert_eq!(foreign_libraries(&source("src/log/kafkaesque.rs", "rdkafka::x()")).len(), 1);
        assert_eq!(foreign_libraries(&source("src/log/mod.rs", "// as rdkafka does")), Vec::<String>::new());
    }

    #[test]
    fn a_clock_that_is_asked_behind_the_clocks_back_is_found() {
        let text = "let a = std::time::Instant::now();\nlet b = Uuid::now_v7();";
        let found = time_and_randomness(&source("src/gateway/mod.rs", text));
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("src/gateway/mod.rs:1:"), "{found:?}");
        assert_eq!(time_and_randomness(&source("src/clock.rs", text)), Vec::<String>::new());
    }

    #[test]
    fn an_application_that_knows_the_inside_is_found() {
        for text in
            ["#[path = \"../../log/mod.rs\"]\nmod log;", "include!(\"../../clock.rs\");", "use fjall::Database;"]
        {
            assert_eq!(engine_inside_an_application(&source("src/bin/bank/main.rs", text)).len(), 1, "{text}");
        }
        let honest = "const A: &str = include_str!(\"a.avsc\"); use headwater::App;";
        assert_eq!(engine_inside_an_application(&source("src/bin/bank/main.rs", honest)), Vec::<String>::new());
    }

    #[test]
    fn a_file_without_a_word_about_itself_and_one_that_is_too_long_are_found() {
        assert_eq!(shape_of_file(&source("src/a.rs", "use b::c;")).len(), 1);
        assert_eq!(shape_of_file(&source("src/a.rs", &"//! A file.\n".repeat(LINES))), Vec::<String>::new());
        assert_eq!(shape_of_file(&source("src/a.rs", &"//! A file.\n".repeat(LINES + 1))).len(), 1);
        let silenced = "//! A file.\n#[expect(clippy::too_many_lines)]\nfn f() {}";
        assert_eq!(shape_of_file(&source("src/a.rs", silenced)).len(), 1);
        assert_eq!(shape_of_file(&source("schemas/a.avsc", "{}")), Vec::<String>::new());
    }

    #[test]
    fn leftovers_are_found() {
        let unfinished = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!()"));
        let places = ["work/main", "root/.cargo", "home/me"].map(|place| format!("// see /{place}/x"));
        for text in unfinished.iter().chain(&places) {
            assert_eq!(leftovers(&source("src/a.rs", text)).len(), 1, "{text}");
        }
        let inside = ["GET /wallet/{id}", "net"].map(|before| format!("{before}/{}/x", "work"));
        let innocent = ["// not todo", "let todo = 1;", "https://a.example/home/x"].map(str::to_owned);
        for text in innocent.iter().chain(&inside) {
            assert_eq!(leftovers(&source("src/a.rs", text)), Vec::<String>::new(), "{text}");
        }
        assert_eq!(leftovers(&source("deploy/dev", &places[0])).len(), 1);
    }

    #[test]
    fn a_dependency_from_elsewhere_is_found() {
        let lock =
            "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nsource = \"git+https://a.example\"";
        assert_eq!(dependency_sources(lock).len(), 1);
    }
}
