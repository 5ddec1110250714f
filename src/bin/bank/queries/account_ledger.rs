//! What moved on one account.

use headwater::clock::Moment;
use headwater::query::{Hint, Limit, Query, QueryError, Rows};
use serde::{Deserialize, Serialize};

use super::shown::Decimal;
use crate::projections::Ledger;
use crate::values::AccountId;

/// The movements of one account, the newest first, a page at a time; of a deleted account as well.
///
/// The ledger is never shown with a gap: what comes after a version that the view has not seen yet is
/// withheld.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountLedger {
    /// The account's number.
    pub account_id: AccountId,
    /// Only movements before this version: `next` of the page before.
    #[serde(default)]
    pub before: Option<i64>,
    /// How many at most.
    #[serde(default)]
    pub limit: Limit,
}

/// A page of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerPage {
    /// The movements, the newest first.
    pub entries: Vec<LedgerEntry>,
    /// What to ask for as `before` to have the next page; none if there are no more.
    pub next: Option<i64>,
}

/// A movement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The account's version that came of it.
    pub version: i64,
    /// When.
    pub time: Moment,
    /// Why.
    #[serde(rename(serialize = "type"))]
    pub kind: String,
    /// How much.
    pub amount: Decimal,
    /// What was there afterwards.
    pub balance: Decimal,
}

impl Query for AccountLedger {
    const NAME: &'static str = "AccountLedger";
    const ANSWER: &'static str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/bank/answers/AccountLedger.json"));
    type Answer = LedgerPage;
    type Reads = Ledger;
    const HINTS: &'static [Hint] = &[
        AccountId::hint("account_id"),
        Hint::of("before").says("Only movements before this version: `next` of the page before."),
        <Limit>::HINT,
    ];

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<LedgerPage>, QueryError> {
        let sql = "SELECT coalesce(complete_to, 0) AS complete_to FROM ledgers WHERE account_id = ?";
        let Some(Ledgers { complete_to }) = rows.one(sql, (self.account_id,)).await? else { return Ok(None) };
        let sql = "SELECT version, time, kind, amount, balance FROM ledger \
                   WHERE account_id = ? AND version <= ? AND version < ? ORDER BY version DESC LIMIT ?";
        let before = self.before.unwrap_or(i64::MAX);
        let parameters = (self.account_id, complete_to, before, self.limit.and_one_more());
        let mut entries: Vec<LedgerEntry> = rows.all(sql, parameters).await?;
        let more = self.limit.cut(&mut entries);
        let next = entries.last().filter(|_| more).map(|last| last.version);
        Ok(Some(LedgerPage { entries, next }))
    }
}

#[derive(Deserialize)]
struct Ledgers {
    complete_to: i64,
}
