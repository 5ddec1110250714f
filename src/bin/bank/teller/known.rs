//! What was seen lately, for the completion of a line.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::order::WORDINGS;
use crate::values::AccountId;

/// How many accounts are remembered.
const MOST: usize = 1_000;

/// What was seen lately. Cheap to clone: all clones know the same.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// The latest last.
    accounts: VecDeque<AccountId>,
    /// What the selected account is asked for: who asked, and the transaction.
    requests: BTreeSet<(String, String)>,
}

impl Known {
    /// There is such an account.
    pub fn account(&self, account: AccountId) {
        self.with(|seen| {
            seen.accounts.retain(|known| *known != account);
            seen.accounts.push_back(account);
            if seen.accounts.len() > MOST {
                seen.accounts.pop_front();
            }
        });
    }

    /// There is no such account any more.
    pub fn forget(&self, account: AccountId) {
        self.with(|seen| seen.accounts.retain(|known| *known != account));
    }

    /// The selected account is asked for this.
    pub fn requests(&self, requests: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let requests = requests.as_array().into_iter().flatten();
        let requests = requests.filter_map(|it| Some((text(&it["funded_account"])?, text(&it["transaction_id"])?)));
        self.with(|seen| seen.requests = requests.collect());
    }

    /// What may stand at the end of a line instead of its last word: where that begins, and the candidates.
    pub fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let begins = line.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
        let (before, begun) = line.split_at(begins);
        let before: Vec<&str> = before.split_whitespace().collect();
        let candidates = match before.as_slice() {
            // A blank follows where more has to be said.
            [] => WORDINGS
                .iter()
                .map(|it| format!("{}{}", it.name, if it.arguments.is_empty() { "" } else { " " }))
                .collect(),
            ["select"] | ["send" | "request", _] => {
                self.with(|seen| seen.accounts.iter().rev().map(AccountId::to_string).collect())
            }
            ["accept" | "reject"] => self
                .with(|seen| seen.requests.iter().map(|(from, transaction)| format!("{from} {transaction}")).collect()),
            ["accept" | "reject", from] => self.with(|seen| {
                let of = seen.requests.iter().filter(|(account, _)| account == from);
                of.map(|(_, transaction)| transaction.clone()).collect()
            }),
            _ => Vec::<String>::new(),
        };
        (begins, candidates.into_iter().filter(|candidate| candidate.starts_with(begun)).collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::account::fixtures::id;

    #[test]
    fn the_first_word_is_an_order() {
        assert_eq!(Known::default().complete("de"), (0, vec!["deposit ".to_owned(), "delete".to_owned()]));
        assert_eq!(Known::default().complete("stats "), (6, Vec::new()));
    }

    #[test]
    fn an_account_is_one_that_was_seen_the_latest_first() {
        let known = Known::default();
        for account in ["000001", "000002", "000101", "000001"] {
            known.account(id(account));
        }
        assert_eq!(known.complete("select ").1, ["000001", "000101", "000002"]);
        assert_eq!(known.complete("send 10.00 0001"), (11, vec!["000101".to_owned()]));
        known.forget(id("000101"));
        assert_eq!(known.complete("request 5 0001").1, Vec::<String>::new());
    }

    #[test]
    fn what_is_accepted_is_what_is_asked_for() {
        let known = Known::default();
        known.requests(&json!([{ "funded_account": "000002", "transaction_id": "rent" }]));
        assert_eq!(known.complete("accept 0"), (7, vec!["000002 rent".to_owned()]));
        assert_eq!(known.complete("reject 000002 r"), (14, vec!["rent".to_owned()]));
        assert_eq!(known.complete("reject 000003 r").1, Vec::<String>::new());
    }
}
