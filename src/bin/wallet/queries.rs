//! What may be asked of the views.

use std::fmt;
use std::str::FromStr;

use headwater::clock::{Moment, Timestamp};
use headwater::projection::Value;
use headwater::query::{Limit, Query, QueryError, Rows};
use serde::{Deserialize, Serialize};

use crate::ksuid::Ksuid;
use crate::views::{History, Transactions};

/// What is in a wallet. One that nothing happened to is empty.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadBalance {
    /// The wallet.
    pub wallet: Ksuid,
}

/// What is in a wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// The wallet.
    pub wallet: Ksuid,
    /// What is there.
    pub balance: i64,
    /// Of this version.
    pub version: i64,
}

#[derive(Deserialize)]
struct Newest {
    version: i64,
    balance: i64,
}

impl Query for ReadBalance {
    const NAME: &'static str = "Balance";
    type Answer = Holding;
    type Reads = Transactions;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<Holding>, QueryError> {
        let sql = "SELECT version, balance FROM transactions WHERE wallet = ? ORDER BY version DESC LIMIT 1";
        let newest: Option<Newest> = rows.one(sql, (self.wallet.as_str(),)).await?;
        let (version, balance) = newest.map_or((0, 0), |newest| (newest.version, newest.balance));
        Ok(Some(Holding { wallet: self.wallet, balance, version }))
    }
}

/// What came in and went out, the newest first, a page at a time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadTransactions {
    /// The wallet.
    pub wallet: Ksuid,
    /// How many at most.
    #[serde(default)]
    pub limit: Limit,
    /// Only those before this version: `next` of the page before.
    #[serde(default)]
    pub before: Option<i64>,
}

/// A page of transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransactionPage {
    /// The transactions, the newest first.
    pub transactions: Vec<Transaction>,
    /// What to ask for as `before` to have the next page; none if there are no more.
    pub next: Option<i64>,
}

/// Money that came in or went out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// The wallet's version that it made.
    pub version: i64,
    /// When.
    pub time: Moment,
    /// How much came in; less than nothing if it went out.
    pub amount: i64,
    /// What was there afterwards.
    pub balance: i64,
}

impl Query for ReadTransactions {
    const NAME: &'static str = "Transactions";
    type Answer = TransactionPage;
    type Reads = Transactions;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<TransactionPage>, QueryError> {
        let sql = "SELECT version, time, amount, balance FROM transactions \
                   WHERE wallet = ? AND version < ? ORDER BY version DESC LIMIT ?";
        let before = self.before.unwrap_or(i64::MAX);
        let parameters = (self.wallet.as_str(), before, self.limit.and_one_more());
        let mut transactions: Vec<Transaction> = rows.all(sql, parameters).await?;
        let more = self.limit.cut(&mut transactions);
        let next = transactions.last().filter(|_| more).map(|last| last.version);
        Ok(Some(TransactionPage { transactions, next }))
    }
}

/// Every attempt across all wallets, or on one, the newest first, a page at a time.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadHistory {
    /// Only of this wallet.
    #[serde(default)]
    pub wallet: Option<Ksuid>,
    /// How many at most.
    #[serde(default)]
    pub limit: Limit,
    /// Only those before this place: `next` of the page before.
    #[serde(default)]
    pub before: Option<PlaceInTime>,
}

/// A page of attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HistoryPage {
    /// The attempts, the newest first.
    pub attempts: Vec<AttemptRow>,
    /// What to ask for as `before` to have the next page; none if there are no more.
    pub next: Option<PlaceInTime>,
}

/// A command, what became of it, and what was in the wallet afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRow {
    /// When it was asked.
    pub time: Moment,
    /// The wallet.
    pub wallet: String,
    /// The command's id.
    pub command_id: String,
    /// `credit` or `debit`; none if it could not be read.
    pub command: Option<String>,
    /// How much.
    pub amount: Option<i64>,
    /// `accepted`, `refused` or `failed`.
    pub outcome: String,
    /// Why it was not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The wallet's version afterwards.
    pub version: i64,
    /// What was there afterwards; none if it was not judged.
    pub balance: Option<i64>,
    /// What a refused debit would have led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_be: Option<i64>,
    #[serde(skip_serializing)]
    part: i64,
    #[serde(skip_serializing)]
    place: i64,
}

impl Query for ReadHistory {
    const NAME: &'static str = "History";
    type Answer = HistoryPage;
    type Reads = History;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<HistoryPage>, QueryError> {
        let PlaceInTime { time, part, place } = self.before.unwrap_or(PlaceInTime::END);
        let mut parameters: Vec<Value> = vec![time.into(), part.into(), place.into()];
        let mut of_wallet = "";
        if let Some(wallet) = &self.wallet {
            of_wallet = " AND wallet = ?";
            parameters.push(wallet.as_str().into());
        }
        parameters.push(self.limit.and_one_more().into());
        let sql = format!(
            "SELECT time, wallet, command_id, command, amount, outcome, code, version, balance, would_be, part, place \
             FROM attempts WHERE (time, part, place) < (?, ?, ?){of_wallet} \
             ORDER BY time DESC, part DESC, place DESC LIMIT ?"
        );
        let mut attempts: Vec<AttemptRow> = rows.all(&sql, parameters).await?;
        let more = self.limit.cut(&mut attempts);
        let place = |row: &AttemptRow| PlaceInTime { time: row.time.0, part: row.part, place: row.place };
        let next = attempts.last().filter(|_| more).map(place);
        Ok(Some(HistoryPage { attempts, next }))
    }
}

/// Where an attempt stands among all: by time, and at one time by partition and offset. Opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlaceInTime {
    time: Timestamp,
    part: i64,
    place: i64,
}

/// A text that is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no place in the history: take `next` of a page")]
pub struct PlaceError;

impl PlaceInTime {
    /// After every attempt.
    const END: Self = Self { time: Timestamp(i64::MAX), part: 0, place: 0 };
}

impl fmt::Display for PlaceInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.time.0, self.part, self.place)
    }
}

impl FromStr for PlaceInTime {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let mut numbers = text.split('-').map(|number| number.parse::<i64>().map_err(|_| PlaceError));
        let mut next = || numbers.next().unwrap_or(Err(PlaceError));
        let place = Self { time: Timestamp(next()?), part: next()?, place: next()? };
        if numbers.next().is_none() { Ok(place) } else { Err(PlaceError) }
    }
}

impl TryFrom<String> for PlaceInTime {
    type Error = PlaceError;

    fn try_from(text: String) -> Result<Self, PlaceError> {
        text.parse()
    }
}

impl From<PlaceInTime> for String {
    fn from(place: PlaceInTime) -> Self {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_what_it_writes() {
        let place = PlaceInTime { time: Timestamp(1_767_225_600_000_000), part: 3, place: 1042 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "1-2", "1-2-3-4", "1-2-x", "-1-2-3"] {
            assert_eq!(text.parse::<PlaceInTime>(), Err(PlaceError), "{text}");
        }
    }
}
