//! One account at a glance.

use headwater::clock::Moment;
use headwater::query::{Hint, Limit, Query, QueryError, Rows};
use serde::{Deserialize, Serialize};

use super::accounts_list::AccountLine;
use super::shown::Decimal;
use crate::projections::Accounts;
use crate::values::AccountId;

/// One account, with the requests for its money that are to be decided; nothing if it does not exist or was
/// deleted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSummary {
    /// Its number.
    pub account_id: AccountId,
    /// How many requests at most.
    #[serde(default)]
    pub limit: Limit,
}

/// An account, and what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The account as in a list.
    #[serde(flatten)]
    pub account: AccountLine,
    /// The requests to be decided, the most urgent first.
    pub requests: Vec<PendingRequest>,
}

/// A request for money that is to be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRequest {
    /// Who asked.
    pub funded_account: AccountId,
    /// The transaction, as they named it.
    pub transaction_id: String,
    /// How much.
    pub amount: Decimal,
    /// Until when it may be decided.
    pub deadline: Moment,
}

impl Query for AccountSummary {
    const NAME: &'static str = "AccountSummary";
    const ANSWER: &'static str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/bank/answers/AccountSummary.json"));
    type Answer = Summary;
    type Reads = Accounts;
    const HINTS: &'static [Hint] = &[AccountId::hint("account_id"), <Limit>::HINT];

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<Summary>, QueryError> {
        let sql = format!("{} WHERE account_id = ?", AccountLine::SELECT);
        let Some(account) = rows.one(&sql, (self.account_id,)).await? else { return Ok(None) };
        let sql = "SELECT funded_account, transaction_id, amount, deadline FROM requests \
                   WHERE funding_account = ? AND received AND ended IS NULL \
                   ORDER BY deadline, funded_account, transaction_id LIMIT ?";
        let requests = rows.all(sql, (self.account_id, self.limit.rows())).await?;
        Ok(Some(Summary { account, requests }))
    }
}
