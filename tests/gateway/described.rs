//! What is served is what is described: a client that knows nothing but the description asks everything in it,
//! rightly and wrongly.

use std::process::Command;

use super::bank::Bank;

/// Of each operation, for each kind of field.
const EXAMPLES: &str = "12";

#[tokio::test(flavor = "multi_thread")]
async fn no_request_gets_an_answer_that_the_description_does_not_know() {
    let Ok(python) = std::env::var("HEADWATER_TEST_PYTHON") else {
        assert!(std::env::var("HEADWATER_TEST_REQUIRE").is_err(), "HEADWATER_TEST_PYTHON is required");
        eprintln!("skipped: HEADWATER_TEST_PYTHON is not set");
        return;
    };
    let bank = Bank::embedded();
    let worker = bank.start("first", &[]).await;
    for _ in 0..3 {
        worker.open_account().await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(python);
    command.current_dir(folder.path()).args(["-m", "schemathesis.cli", "run"]);
    command.arg(format!("{}/openapi.json", worker.url)).args(["--seed", "1", "--max-examples", EXAMPLES, "--no-color"]);
    // A stream of events does not end by itself.
    command.args(["--exclude-path", "/events"]);
    // What agrees with the schema may still be refused: an account that is not there, money that is not.
    command.args(["--exclude-checks", "positive_data_acceptance"]);
    let asked = tokio::task::block_in_place(|| command.output().expect("Python runs"));
    let said = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{said}\n{}", String::from_utf8_lossy(&asked.stderr));
    assert!(said.contains(" passed") && said.contains("Tested: "), "{said}");
    assert!(said.lines().all(|line| !line.contains("Server error")), "{said}");
}
