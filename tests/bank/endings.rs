//! Money that is sent and money that is asked for come to every end, driven from the command line, on both logs;
//! and how the sagas that see to it are looked at.

use headwater::clock;
use serde_json::{Value, json};

use super::world::Bank;

/// A bank at work, with one who pays, one who asks, and one who asks and leaves.
struct Street<'a> {
    bank: &'a Bank,
    payer: String,
    friend: String,
    leaver: String,
}

/// The requests of the payer: what they are named, how much, and the answer.
const REQUESTS: [(&str, &str, Option<&str>); 4] = [
    ("paid", "20.00", Some("AcceptRequest")),
    ("not covered", "1000000.00", Some("AcceptRequest")),
    ("rejected", "30.00", Some("RejectRequest")),
    ("open", "40.00", None),
];

impl<'a> Street<'a> {
    fn of(bank: &'a Bank) -> Self {
        let open = |name: &str, deposit: Option<&str>| {
            let data = json!({ "name": name, "initial_deposit": deposit }).to_string();
            let created = bank.ask(&["send", "account_registry", "registry", "CreateAccount", &data]);
            created["data"].as_str().expect("an account's number").to_owned()
        };
        let (payer, friend) = (open("Paula Payer", Some("1000.00")), open("Rita Friend", None));
        Self { bank, payer, friend, leaver: open("Lena Leaver", None) }
    }

    fn tell(&self, account: &str, command: &str, data: &Value) -> Value {
        let outcome = self.bank.ask(&["send", "account", account, command, &data.to_string()]);
        assert_eq!(outcome["outcome"], "accepted", "{outcome}");
        outcome
    }

    fn ask_for_money(&self) {
        for (transaction, amount, _) in REQUESTS {
            let data = json!({ "transaction_id": transaction, "funding_account": self.payer, "amount": amount });
            self.tell(&self.friend, "Request", &data);
        }
        let data = json!({ "transaction_id": "left", "funding_account": self.payer, "amount": "50.00" });
        self.tell(&self.leaver, "Request", &data);
        let data = json!({ "transaction_id": "of nobody", "funding_account": "999999", "amount": "1.00" });
        self.tell(&self.friend, "Request", &data);
        self.tell(&self.leaver, "DeleteAccount", &json!({}));
    }

    fn send_money(&self) {
        for (transaction, to) in [("arrives", self.friend.as_str()), ("comes back", "999999")] {
            let data = json!({ "transaction_id": transaction, "funded_account": to, "amount": "10.00" });
            self.tell(&self.payer, "Transfer", &data);
        }
    }

    fn decide(&self) {
        let answered =
            REQUESTS.iter().filter_map(|(transaction, _, answer)| Some((*transaction, &self.friend, (*answer)?)));
        for (transaction, by, answer) in answered.chain([("left", &self.leaver, "AcceptRequest")]) {
            self.tell(&self.payer, answer, &json!({ "transaction_id": transaction, "funded_account": by }));
        }
    }

    /// What a query answers, once its view has folded anew what it had folded.
    fn query(&self, name: &str, fields: &str) -> Value {
        until("an answer", || {
            let (succeeded, output, errors) = self.bank.start(&["query", name, fields, "--json"]).end_as_it_may();
            assert!(succeeded || errors.contains("replaying"), "{errors}");
            let answer: Value = succeeded.then(|| serde_json::from_str(&output).expect("JSON"))?;
            Some(answer["answer"].clone())
        })
    }

    /// The transactions that the payer is to decide, once there are so many.
    fn pending(&self, wanted: usize) -> Vec<String> {
        let fields = json!({ "account_id": self.payer }).to_string();
        let named = |request: &Value| request["transaction_id"].as_str().expect("a name").to_owned();
        until("what is to be decided", || {
            let summary = self.query("AccountSummary", &fields);
            let pending: Vec<String> = summary["requests"].as_array().expect("requests").iter().map(named).collect();
            (pending.len() == wanted).then_some(pending)
        })
    }

    /// The instances that are open, once there are so many.
    fn open_sagas(&self, wanted: usize) -> Vec<Value> {
        until("the sagas that are open", || {
            let open = super::movements::outcomes(&self.bank.succeed(&["sagas", "ls", "--json"]));
            (open.len() == wanted).then_some(open)
        })
    }

    /// What happened to an account, the last first, with the balance after it.
    fn ledger(&self, account: &str) -> Vec<(String, String)> {
        let fields = json!({ "account_id": account }).to_string();
        let answer = self.query("AccountLedger", &fields);
        let text = |entry: &Value, field: &str| entry[field].as_str().expect("a text").to_owned();
        let entries = answer["entries"].as_array().expect("entries");
        entries.iter().map(|entry| (text(entry, "type"), text(entry, "balance"))).collect()
    }
}

fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let deadline = clock::instant() + std::time::Duration::from_mins(2);
    loop {
        if let Some(held) = holds() {
            return held;
        }
        assert!(clock::instant() < deadline, "not in time: {what}");
    }
}

/// How many commands and inputs of sagas there are, as `verify` counts them.
fn counted(bank: &Bank) -> (Value, Value) {
    let report = bank.ask(&["verify"]);
    assert_eq!(report["ok"], true, "{report:#}");
    (
        report["sagas"].clone(),
        report["aggregates"].as_array().expect("aggregates").iter().map(|it| it["commands"].clone()).collect(),
    )
}

fn assert_every_end_is_come_to(bank: &Bank) {
    let served = bank.serve(&["run"]);
    served.wait_until_ready();
    let street = Street::of(bank);
    street.send_money();
    street.ask_for_money();
    assert_eq!(street.pending(5).len(), 5);
    street.decide();
    assert_eq!(street.pending(1), ["open"]);
    let open = street.open_sagas(1);

    let kinds = street.ledger(&street.payer);
    let count = |kind: &str| kinds.iter().filter(|(it, _)| it == kind).count();
    assert_eq!((kinds.len(), count("transfer_debit"), count("request_debit")), (7, 2, 2), "{kinds:?}");
    assert_eq!(kinds[0].1, "970.00", "10 were sent and 20 paid; all else came back: {kinds:?}");
    assert_eq!(street.ledger(&street.friend)[0].1, "30.00");

    let id = open[0]["id"].as_str().expect("an id");
    assert!(id.starts_with(&format!("{}/open#", street.friend)) && open[0]["deadline"].is_string(), "{open:#?}");
    let shown = bank.ask(&["sagas", "show", "request", id]);
    assert_eq!((&shown["steps"], &shown["state"]["begun"]["stage"]), (&1.into(), &"Pending".into()), "{shown:#}");
    let woken = bank.ask(&["sagas", "wake", "request", id]);
    assert_eq!(woken["steps"], 1, "nothing waited for its time: {woken:#}");
    assert!(bank.start(&["sagas", "wake", "request", "000009/none#1"]).end_as_it_may().2.contains("no open instance"));

    // Views are folded anew; nobody is told anything again.
    let before = counted(bank);
    bank.succeed(&["replay", "accounts", "--to", "earliest", "--yes"]);
    bank.succeed(&["replay", "ledger", "--to", "earliest", "--yes"]);
    assert_eq!(street.pending(1), ["open"]);
    assert_eq!(street.ledger(&street.payer), kinds);
    assert_eq!(counted(bank), before);
}

#[test]
fn every_end_of_a_transfer_and_of_a_request_is_come_to_on_the_embedded_log() {
    assert_every_end_is_come_to(&Bank::embedded());
}

#[test]
fn every_end_of_a_transfer_and_of_a_request_is_come_to_on_real_servers() {
    let Some(bank) = Bank::on_servers() else { return };
    assert_every_end_is_come_to(&bank);
}
