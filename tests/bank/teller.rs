//! The teller, fed from a pipe as a person would speak to it.

use super::world::Bank;

/// What the teller says to these lines.
fn said(bank: &Bank, arguments: &[&str], lines: &[&str]) -> (bool, String, String) {
    let mut teller = bank.start(&[&["teller"], arguments].concat());
    teller.write(&format!("{}\n", lines.join("\n")));
    teller.end_as_it_may()
}

fn assert_does_what_it_is_asked(bank: &Bank, arguments: &[&str]) {
    let lines = [
        "create Anna Berg 100",
        "create Bert Holm",
        "deposit 7.50",
        "select 000001",
        "withdraw 30.05",
        "send 10 000002 rent of May",
        "ledger",
        "",
        "stats",
        "quit",
        "withdraw 1",
    ];
    let (done, output, errors) = said(bank, arguments, &lines);
    assert!(done, "{errors}\n{output}");
    let expected = [
        "account 000001 (Anna Berg): balance 100.00",
        "account 000002 (Bert Holm): balance 0.00",
        "account 000002 (Bert Holm): balance 7.50",
        "account 000001 (Anna Berg): balance 100.00",
        "account 000001 (Anna Berg): balance 69.95",
        "transaction rent of May",
        "account 000001 (Anna Berg): balance 59.95",
    ];
    let told: Vec<&str> = output.lines().collect();
    assert_eq!(told[..expected.len()], expected, "{output}");
    let kinds: Vec<&str> = told[expected.len()..].iter().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(kinds[..4], ["type", "transfer_debit", "withdrawal", "deposit"], "{output}");
    assert!(output.contains("active               2"), "{output}");
}

#[test]
fn the_teller_does_what_it_is_asked_and_shows_what_came_of_it() {
    assert_does_what_it_is_asked(&Bank::embedded(), &[]);
}

#[test]
fn over_a_gateway_the_teller_does_the_same() {
    let bank = Bank::embedded();
    let gateway = bank.serve(&["run"]);
    gateway.wait_until_ready();
    assert_does_what_it_is_asked(&bank, &["--gateway", &format!("http://{}", gateway.address())]);
}

#[test]
fn what_the_bank_refuses_or_cannot_understand_is_told_and_a_pipe_ends_as_failed() {
    let bank = Bank::embedded();
    let lines = ["deposit 1", "dance", "create Anna Berg", "withdraw 100.01", "select 000009", "balance"];
    let (done, output, errors) = said(&bank, &[], &lines);
    assert!(!done);
    for expected in
        ["no account is selected", "nothing that I know", "insufficient_funds", "there is no account 000009"]
    {
        assert!(errors.contains(expected), "{expected} is not in\n{errors}");
    }
    assert_eq!(output.lines().last(), Some("account 000001 (Anna Berg): balance 0.00"), "it goes on after all that");
}

#[test]
fn a_program_is_told_in_json() {
    let bank = Bank::embedded();
    let (done, output, errors) = said(&bank, &["--json"], &["create Anna Berg 1", "ledger", "delete"]);
    assert!(done, "{errors}");
    let told: Vec<serde_json::Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
    assert_eq!((&told[0]["account_id"], &told[0]["balance"]), (&"000001".into(), &"1.00".into()));
    assert_eq!(told[1][0]["type"], "deposit");
    assert_eq!(told[2]["deleted"], "000001");
}
