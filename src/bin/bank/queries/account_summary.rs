//! One account at a glance.

use headwater::query::{Hint, Query, QueryError, Rows};
use serde::Deserialize;

use super::accounts_list::AccountLine;
use crate::projections::Accounts;
use crate::values::AccountId;

/// One account; nothing if it does not exist or was deleted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSummary {
    /// Its number.
    pub account_id: AccountId,
}

impl Query for AccountSummary {
    const NAME: &'static str = "AccountSummary";
    type Answer = AccountLine;
    type Reads = Accounts;
    const HINTS: &'static [Hint] = &[AccountId::hint("account_id")];

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<AccountLine>, QueryError> {
        let sql = "SELECT account_id, name, coalesce(balance, 0) AS balance FROM accounts WHERE account_id = ?";
        rows.one(sql, (self.account_id,)).await
    }
}
