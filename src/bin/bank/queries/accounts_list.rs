//! The accounts of the bank, in the order of their numbers.

use headwater::query::{Hint, Limit, Query, QueryError, Rows};
use serde::{Deserialize, Serialize};

use super::shown::Decimal;
use crate::projections::Accounts;
use crate::values::AccountId;

/// The accounts that exist, in the order of their numbers, a page at a time.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountsList {
    /// Only those after this number: `next` of the page before.
    pub after: Option<AccountId>,
    /// How many at most.
    pub limit: Limit,
}

/// A page of accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountsPage {
    /// The accounts.
    pub accounts: Vec<AccountLine>,
    /// What to ask for as `after` to have the next page; none if there are no more.
    pub next: Option<AccountId>,
}

/// An account in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLine {
    /// Its number.
    pub account_id: AccountId,
    /// The name on it.
    pub name: Option<String>,
    /// What it holds.
    pub balance: Decimal,
    /// How many requests for its money are to be decided.
    pub pending_requests: i64,
}

impl AccountLine {
    /// What a line is made of, for a `WHERE` to follow.
    pub const SELECT: &'static str = "SELECT account_id, name, coalesce(balance, 0) AS balance, \
        (SELECT count(*) FROM requests WHERE funding_account = account_id AND received AND ended IS NULL) \
        AS pending_requests FROM accounts";
}

impl Query for AccountsList {
    const NAME: &'static str = "AccountsList";
    const ANSWER: &'static str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/bank/answers/AccountsList.json"));
    type Answer = AccountsPage;
    type Reads = Accounts;
    const HINTS: &'static [Hint] =
        &[AccountId::hint("after").says("Only those after this number: `next` of the page before."), <Limit>::HINT];

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<AccountsPage>, QueryError> {
        let sql = format!("{} WHERE account_id > ? ORDER BY account_id LIMIT ?", AccountLine::SELECT);
        // Nothing is less than the empty text, and every number is more.
        let after = self.after.map_or_else(String::new, String::from);
        let mut accounts: Vec<AccountLine> = rows.all(&sql, (after, self.limit.and_one_more())).await?;
        let more = self.limit.cut(&mut accounts);
        let next = accounts.last().filter(|_| more).map(|last| last.account_id);
        Ok(Some(AccountsPage { accounts, next }))
    }
}
