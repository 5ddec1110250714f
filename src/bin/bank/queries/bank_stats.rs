//! The bank as a whole.

use headwater::query::{Query, QueryError, Rows};
use serde::{Deserialize, Serialize};

use super::shown::Decimal;
use crate::projections::Ledger;
use crate::values::Money;

/// The bank as a whole.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankStats {}

/// What the bank comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Accounts that exist.
    pub active: i64,
    /// Accounts that were deleted.
    pub deleted: i64,
    /// The sum of all balances, those of deleted accounts too.
    pub net_balance: Decimal,
    /// How often money moved.
    pub transactions: i64,
    /// What a deposit comes to on average; none if there was none.
    pub average_deposit: Option<Decimal>,
    /// What a withdrawal comes to on average; none if there was none.
    pub average_withdrawal: Option<Decimal>,
    /// All debt that was forgiven.
    pub debt_forgiven: Decimal,
}

#[derive(Default, Deserialize)]
struct Sums {
    created: i64,
    deleted: i64,
    net_balance: i64,
    transactions: i64,
    deposits: i64,
    deposited: i64,
    withdrawals: i64,
    withdrawn: i64,
    forgiven: i64,
}

impl Query for BankStats {
    const NAME: &'static str = "BankStats";
    const ANSWER: &'static str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/bank/answers/BankStats.json"));
    type Answer = Stats;
    type Reads = Ledger;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<Stats>, QueryError> {
        let sql = "SELECT created, deleted, net_balance, transactions, deposits, deposited, withdrawals, withdrawn, \
                   forgiven FROM bank_stats";
        // As long as nothing has happened, there is no row.
        let sums: Sums = rows.one(sql, ()).await?.unwrap_or_default();
        Ok(Some(Stats {
            active: sums.created - sums.deleted,
            deleted: sums.deleted,
            net_balance: decimal(sums.net_balance),
            transactions: sums.transactions,
            average_deposit: average(sums.deposited, sums.deposits),
            average_withdrawal: average(sums.withdrawn, sums.withdrawals),
            debt_forgiven: decimal(sums.forgiven),
        }))
    }
}

const fn decimal(units: i64) -> Decimal {
    Decimal(Money::from_minor(units))
}

/// Rounded to the nearest minor unit, halves up.
fn average(sum: i64, count: i64) -> Option<Decimal> {
    (count > 0).then(|| decimal((sum + count / 2) / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_is_rounded_to_the_nearest_unit_and_nothing_has_none() {
        assert_eq!(average(0, 0), None);
        for (sum, count, average_units) in [(10, 4, 3), (9, 4, 2), (11, 4, 3), (100, 1, 100), (1, 3, 0), (2, 3, 1)] {
            assert_eq!(average(sum, count), Some(decimal(average_units)), "{sum}/{count}");
        }
    }
}
