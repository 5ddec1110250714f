//! Many commands on one account at the same moment: each is judged, one after the other, and no view loses one
//! of them.

use headwater::clock::new_id;
use serde_json::{Value, json};

use super::movements::outcomes;
use super::world::Bank;

const AT_ONCE: usize = 500;

fn assert_all_are_judged(bank: &Bank) {
    let opened = bank.ask(&["send", "account", "000001", "OpenAccount", r#"{"name":"Emmet"}"#, "--internal"]);
    assert_eq!(opened["outcome"], "accepted", "{opened}");
    let mut sending = bank.start(&["send", "account", "--timeout", "2m", "--from", "-"]);
    for _ in 0..AT_ONCE {
        let deposit =
            json!({ "id": "000001", "command": "DepositFunds", "data": { "amount": "0.01" }, "command_id": new_id() });
        sending.write(&format!("{deposit}\n"));
    }
    let outcomes = outcomes(&sending.finish());
    let versions: Vec<i64> = outcomes.iter().filter_map(|outcome| outcome["version"].as_i64()).collect();
    let expected: Vec<i64> = (2..).take(AT_ONCE).collect();
    assert_eq!(versions, expected, "each was judged at once, in order, and none was asked to try again");
    assert!(outcomes.iter().all(|outcome| outcome["outcome"] == "accepted"));

    let position = outcomes.last().and_then(|outcome| outcome["position"].as_str()).expect("a position");
    let ask = |query: &str, fields: &str| -> Value {
        bank.ask(&["query", query, fields, "--at", position])["answer"].clone()
    };
    assert_eq!(ask("AccountSummary", r#"{"account_id":"000001"}"#)["balance"], "5.00");
    let ledger = ask("AccountLedger", r#"{"account_id":"000001","limit":1000}"#);
    let entries = ledger["entries"].as_array().expect("entries");
    assert_eq!((entries.len(), &entries[0]["balance"]), (AT_ONCE, &"5.00".into()));
    let stats = ask("BankStats", "{}");
    assert_eq!((&stats["transactions"], &stats["net_balance"]), (&AT_ONCE.into(), &"5.00".into()));
}

#[test]
fn a_hot_account_judges_every_command_and_loses_none_in_any_view() {
    assert_all_are_judged(&Bank::embedded());
}

#[test]
fn a_hot_account_on_real_servers_judges_every_command_and_loses_none_in_any_view() {
    let Some(mut bank) = Bank::on_servers() else { return };
    bank.start_worker();
    bank.start_worker();
    assert_all_are_judged(&bank);
}
