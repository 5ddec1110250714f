//! Records as data frames, read back with pandas: by `tests/python/read_frame.py`, and as the README says.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::JOURNAL;
use super::world::World;

/// A Python with pandas; `None` if there is none.
fn python() -> Option<PathBuf> {
    let Ok(python) = std::env::var("HEADWATER_TEST_PYTHON") else {
        assert!(std::env::var("HEADWATER_TEST_REQUIRE").is_err(), "HEADWATER_TEST_PYTHON is required");
        eprintln!("skipped: HEADWATER_TEST_PYTHON is not set");
        return None;
    };
    Some(python.into())
}

fn run(command: &mut Command) -> String {
    let ended = command.output().expect("Python runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).expect("text")
}

fn read_frame(python: &Path, frame: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_frame.py");
    serde_json::from_str(&run(Command::new(python).arg(script).arg(frame))).expect("JSON")
}

/// In microseconds since 1970.
const MEASURED_AT: i64 = 1_769_860_800_000_000;

fn journal_of_readings() -> World {
    let journal = World::embedded(JOURNAL);
    let measured_at = "2026-01-31T12:00:00Z";
    for record in [
        json!({ "sensor": "a", "celsius": -3.5, "measured_at": measured_at }),
        json!({ "sensor": "b, \"c\"\n", "celsius": 1, "measured_at": measured_at, "humidity": 81, "calibrated": true }),
        json!({ "sensor": "d", "celsius": 0.1, "measured_at": measured_at, "by": { "hand": [1, null] } }),
    ] {
        journal.succeed(&["save", "reading", "north", &record.to_string()]);
    }
    journal
}

fn rows() -> [Value; 3] {
    let row = |version: i64, sensor: &str, celsius: f64| {
        json!({ "version": version, "sensor": sensor, "celsius": celsius, "measured_at": MEASURED_AT,
                "humidity": null, "calibrated": null, "other": null })
    };
    let mut rows = [row(3, "d", 0.1), row(2, "b, \"c\"\n", 1.0), row(1, "a", -3.5)];
    rows[0]["other"] = json!(r#"{"by":{"hand":[1,null]}}"#);
    // Beside nulls, pandas has whole numbers as floats.
    (rows[1]["humidity"], rows[1]["calibrated"]) = (json!(81.0), json!(true));
    rows
}

fn is_read_back(python: &Path, format: &str) {
    let journal = journal_of_readings();
    let name = format!("north.{format}");
    journal.succeed(&["many", "reading", "north", "--format", format, "--output", &name]);
    let mut frame = read_frame(python, &journal.folder().join(&name));
    for row in frame["rows"].as_array_mut().expect("rows") {
        let time = row.as_object_mut().expect("a row").shift_remove("time").expect("a time");
        assert!(time.as_i64().is_some_and(|time| time > MEASURED_AT), "{time}");
    }
    assert_eq!(frame["rows"], json!(rows()), "{format}: {frame}");
    let types = &frame["types"];
    assert_eq!((&types["version"], &types["celsius"]), (&json!("int64"), &json!("float64")), "{format}");
    for moment in ["time", "measured_at"] {
        assert_eq!(types[moment], "datetime64[us, UTC]", "{format}");
    }
}

#[test]
fn csv_is_read_back_with_pandas() {
    if let Some(python) = python() {
        is_read_back(&python, "csv");
    }
}

#[cfg(feature = "arrow")]
#[test]
fn parquet_and_arrow_are_read_back_with_pandas() {
    if let Some(python) = python() {
        is_read_back(&python, "parquet");
        is_read_back(&python, "arrow");
    }
}

#[cfg(feature = "arrow")]
#[test]
fn the_python_example_of_the_readme_loads_the_journal() {
    let Some(python) = python() else { return };
    let mut journal = World::embedded(JOURNAL);
    let url = journal.serve();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let (_, example) = readme.split_once("```python\n").expect("the example");
    let (example, _) = example.split_once("```").expect("its end");
    let example = example.replace("http://localhost:8080", &url);
    assert!(example.contains(&url), "{example}");
    let out = run(Command::new(python).arg("-c").arg(example).current_dir(journal.folder()));
    assert_eq!(out.lines().last(), Some("-2.75"), "{out}");
}

#[cfg(not(feature = "arrow"))]
#[test]
fn without_its_feature_a_format_is_refused_by_name() {
    let journal = journal_of_readings();
    let refused = journal.run(&["many", "reading", "north", "--format", "parquet"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("--features arrow"), "{}", refused.err);
}
