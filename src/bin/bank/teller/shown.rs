//! What the teller says: to people in words and tables, to programs as JSON.

use headwater::cli::{CliResult, Output};
use serde_json::{Value, json};

use super::order::Wording;
use crate::values::AccountId;

/// Something to be said.
#[derive(Clone, Debug)]
pub struct Shown {
    lines: Vec<String>,
    table: Option<(&'static [&'static str], Vec<Value>)>,
    json: Value,
}

const LEDGER: [&str; 5] = ["version", "time", "type", "amount", "balance"];
const ACCOUNTS: [&str; 4] = ["account_id", "name", "balance", "pending_requests"];
const REQUESTS: [&str; 4] = ["funded_account", "transaction_id", "amount", "deadline"];

impl Shown {
    /// Nothing.
    pub const fn nothing() -> Self {
        Self { lines: Vec::new(), table: None, json: Value::Null }
    }

    /// A sentence.
    pub fn done(sentence: String, json: Value) -> Self {
        Self { lines: vec![sentence], table: None, json }
    }

    /// An account with its balance, as `AccountSummary` tells it.
    pub fn balance(summary: Value) -> Self {
        Self::done(in_words(&summary), summary)
    }

    /// A transaction that has begun, and the account afterwards.
    pub fn begun(transaction: &str, summary: Value) -> Self {
        let words = in_words(&summary);
        let json = json!({ "transaction_id": transaction, "account": summary });
        Self { lines: vec![format!("transaction {transaction}"), words], table: None, json }
    }

    /// What an account is asked for, as `AccountSummary` tells it.
    pub fn requests(summary: &Value) -> Self {
        Self::rows(&REQUESTS, &summary["requests"], "nothing is asked for")
    }

    /// A page of `AccountLedger`.
    pub fn ledger(page: &Value) -> Self {
        Self::rows(&LEDGER, &page["entries"], "nothing has moved yet").and_more(page)
    }

    /// A page of `AccountsList`.
    pub fn accounts(page: &Value) -> Self {
        Self::rows(&ACCOUNTS, &page["accounts"], "there are no accounts yet").and_more(page)
    }

    /// Names with their values.
    pub fn pairs(object: Value) -> Self {
        let pair = |(name, value): (&String, &Value)| format!("{:<20} {}", name.replace('_', " "), bare(value));
        let lines = object.as_object().into_iter().flatten().map(pair).collect();
        Self { lines, table: None, json: object }
    }

    /// Every order.
    pub fn help(wordings: &[Wording]) -> Self {
        let line = |it: &Wording| format!("{:<38} {}", format!("{} {}", it.name, it.arguments), it.what);
        let json = wordings.iter().map(|it| json!({ "order": it.name, "arguments": it.arguments, "what": it.what }));
        Self { lines: wordings.iter().map(line).collect(), table: None, json: json.collect() }
    }

    fn rows(columns: &'static [&'static str], rows: &Value, none: &str) -> Self {
        let rows = rows.as_array().cloned().unwrap_or_default();
        let lines = if rows.is_empty() { vec![none.to_owned()] } else { Vec::new() };
        Self { lines, json: rows.clone().into(), table: Some((columns, rows)) }
    }

    fn and_more(mut self, page: &Value) -> Self {
        if !page["next"].is_null() {
            self.lines.push("these are not all".to_owned());
        }
        self
    }

    /// Says it.
    pub fn say(&self, output: &mut Output) -> CliResult {
        if output.is_json() {
            if !self.json.is_null() {
                output.json(&self.json)?;
            }
            return Ok(output.flush()?);
        }
        if let Some((columns, rows)) = self.table.as_ref().filter(|(_, rows)| !rows.is_empty()) {
            output.rows(columns, rows)?;
        }
        for line in &self.lines {
            output.line(line)?;
        }
        Ok(output.flush()?)
    }
}

fn in_words(summary: &Value) -> String {
    let (account, balance) = (bare(&summary["account_id"]), bare(&summary["balance"]));
    let name = summary["name"].as_str().map(|name| format!(" ({name})")).unwrap_or_default();
    let asked = match summary["pending_requests"].as_i64() {
        None | Some(0) => String::new(),
        Some(1) => "; 1 request is to be decided".to_owned(),
        Some(more) => format!("; {more} requests are to be decided"),
    };
    format!("account {account}{name}: balance {balance}{asked}")
}

/// A value without quotes.
fn bare(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The accounts on a page of `AccountsList`.
pub fn accounts_of(page: &Value) -> Vec<AccountId> {
    let lines = page["accounts"].as_array().into_iter().flatten();
    lines.filter_map(|line| line["account_id"].as_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_told_in_one_sentence() {
        let summary = |pending: i64| json!({ "account_id": "000001", "name": "Emmet", "balance": "6.00", "pending_requests": pending });
        assert_eq!(in_words(&summary(0)), "account 000001 (Emmet): balance 6.00");
        assert_eq!(in_words(&summary(1)), "account 000001 (Emmet): balance 6.00; 1 request is to be decided");
        assert!(in_words(&summary(2)).ends_with("; 2 requests are to be decided"));
    }

    #[test]
    fn the_accounts_of_a_page_are_known_afterwards() {
        let page = json!({ "accounts": [{ "account_id": "000001" }, { "account_id": "000007" }], "next": null });
        assert_eq!(accounts_of(&page).iter().map(AccountId::to_string).collect::<Vec<_>>(), ["000001", "000007"]);
    }
}
