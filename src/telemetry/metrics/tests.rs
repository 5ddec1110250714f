//! Whether the table of metrics says what the source counts.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

use super::*;

fn sources(folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, texts);
        } else if path.extension().is_some_and(|it| it == "rs") {
            texts.push((path.display().to_string(), std::fs::read_to_string(&path).expect("text")));
        }
    }
}

/// Every use in the source: file, kind, name and labels.
fn uses() -> Vec<(String, String, String, Vec<String>)> {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let call = Regex::new(r#"(counter|gauge|histogram)!\(\s*"(headwater_\w+)""#).expect("a pattern");
    let label = Regex::new(r#""(\w+)"\s*=>"#).expect("a pattern");
    let mut uses = Vec::new();
    for (file, text) in texts {
        for found in call.captures_iter(&text) {
            // Up to the end of the statement, or to the next metric.
            let rest = &text[found.get(0).map_or(0, |all| all.end())..];
            let call = &rest[..rest.find(';').unwrap_or(rest.len())];
            let call = &call[..call.find("metrics::").unwrap_or(call.len())];
            let labels = label.captures_iter(call).map(|label| label[1].to_owned()).collect();
            uses.push((file.clone(), found[1].to_owned(), found[2].to_owned(), labels));
        }
    }
    uses
}

#[test]
fn every_use_in_the_source_is_as_the_table_says_and_the_table_says_nothing_else() {
    let mut used = BTreeSet::new();
    for (file, kind, name, labels) in uses() {
        let declared = METRICS.iter().find(|metric| metric.name == name);
        let declared = declared.unwrap_or_else(|| panic!("{file}: {name} is not in the table"));
        assert_eq!(declared.kind.as_str(), kind, "{file}: {name}");
        assert_eq!(declared.labels, labels, "{file}: {name}");
        used.insert(declared.name);
    }
    let unused: Vec<_> = METRICS.iter().filter(|metric| !used.contains(metric.name)).map(|it| it.name).collect();
    assert_eq!(unused, Vec::<&str>::new(), "nobody counts these");
}

#[test]
fn a_name_says_kind_and_unit() {
    for Metric { name, kind, unit, help, .. } in METRICS {
        assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
        assert_eq!(name.ends_with("_seconds"), *unit == Unit::Seconds, "{name}");
        assert_eq!(name.ends_with("_ms"), *unit == Unit::Milliseconds, "{name}");
        assert!(!help.ends_with('.') && help.starts_with(char::is_uppercase), "{name}: {help}");
    }
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len(), "a name stands twice");
}

#[test]
fn the_table_of_the_documentation_is_this_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/telemetry/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, table()).expect("written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, table(), "run the tests with UPDATE_DOCS=1 to write it anew");
}
