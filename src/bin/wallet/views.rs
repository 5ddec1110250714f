//! The views: what is in each wallet and how it came to be, and every attempt across all of them.

use headwater::Recorded;
use headwater::command::Outcome;
use headwater::projection::{Attempt, Attempts, Changes, ColumnType, Projection, Table, Tables};
use serde_json::Value;

use crate::wallet::{Wallet, WalletCommand, WalletEvent};

/// Folds movements into the table `transactions`, one row for each. A row says the balance it led to: so the
/// newest one is what is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transactions;

impl Projection for Transactions {
    const NAME: &'static str = "transactions";
    type Source = Wallet;

    fn tables() -> Tables {
        let transactions = Table::once("transactions")
            .key("wallet", ColumnType::Text)
            .key("version", ColumnType::Integer)
            .column("time", ColumnType::Timestamp)
            .column("amount", ColumnType::Integer)
            .column("balance", ColumnType::Integer);
        Tables::new().with(transactions)
    }

    fn project(&self, event: &Recorded<WalletEvent>, rows: &mut Changes) {
        let WalletEvent::Moved(moved) = &event.data;
        rows.once("transactions", (("wallet", &event.aggregate_id), ("version", event.version)))
            .set("time", event.occurred_at)
            .set("amount", moved.by)
            .set("balance", moved.balance);
    }
}

/// Folds attempts into the table `attempts`, one row for each: what was asked, what became of it, and what
/// was in the wallet afterwards.
#[derive(Clone, Copy, Debug, Default)]
pub struct History;

impl Projection for History {
    const NAME: &'static str = "history";
    type Source = Attempts<Wallet>;

    fn tables() -> Tables {
        let attempts = Table::once("attempts")
            .key("part", ColumnType::Integer)
            .key("place", ColumnType::Integer)
            .column("time", ColumnType::Timestamp)
            .column("wallet", ColumnType::Text)
            .column("command_id", ColumnType::Text)
            .column("command", ColumnType::Text)
            .column("amount", ColumnType::Integer)
            .column("outcome", ColumnType::Text)
            .column("code", ColumnType::Text)
            .column("version", ColumnType::Integer)
            .column("balance", ColumnType::Integer)
            .column("would_be", ColumnType::Integer)
            .index(&["time", "part", "place"])
            .index(&["wallet", "time", "part", "place"]);
        Tables::new().with(attempts)
    }

    fn project(&self, attempt: &Recorded<Attempt<WalletCommand>>, rows: &mut Changes) {
        let (command, amount) = match &attempt.data.command {
            Some(WalletCommand::Credit(credit)) => (Some("credit"), Some(credit.amount.units())),
            Some(WalletCommand::Debit(debit)) => (Some("debit"), Some(debit.amount.units())),
            None => (None, None),
        };
        let outcome = &attempt.data.outcome;
        let (code, data) = match outcome {
            Outcome::Accepted(accepted) => (None, accepted.data.as_deref()),
            Outcome::Refused(refused) => (Some(refused.code.as_str()), refused.data.as_deref()),
            Outcome::Failed(failed) => (Some(failed.code.as_str()), None),
        };
        let data: Value = data.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        rows.once("attempts", (("part", attempt.partition), ("place", attempt.data.offset)))
            .set("time", attempt.occurred_at)
            .set("wallet", &attempt.aggregate_id)
            .set("command_id", attempt.id)
            .set("command", command)
            .set("amount", amount)
            .set("outcome", outcome.kind())
            .set("code", code)
            .set("version", attempt.version)
            .set("balance", data["balance"].as_i64())
            .set("would_be", data["would_be"].as_i64());
    }
}

#[cfg(test)]
mod tests {
    use headwater::testing::outcomes::{accepted_with, failed, refused};
    use headwater::testing::{history, triple_shuffle};
    use headwater::{command::Failure, position::Offset};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::wallet::{Credit, Debit, Moved};

    fn moves(id: &str, amounts: Vec<i64>) -> Vec<Recorded<WalletEvent>> {
        let mut balance = 0;
        let moved = |by: i64| {
            balance += by;
            WalletEvent::from(Moved { by, balance })
        };
        history::<Wallet>(id, amounts.into_iter().map(moved))
    }

    /// Every command as it was judged: some are refused, some fail, of some only the outcome is left.
    fn attempts(id: &str, amounts: Vec<i64>) -> Vec<Recorded<Attempt<WalletCommand>>> {
        let attempt = |event: Recorded<WalletEvent>| {
            let WalletEvent::Moved(Moved { by, balance }) = event.data;
            let amount = by.abs().max(1).try_into().expect("an amount");
            let command: WalletCommand = if by < 0 { Debit { amount }.into() } else { Credit { amount }.into() };
            let outcome = match balance.rem_euclid(5) {
                0 => refused("overdrawn"),
                1 => failed(Failure::Conflict),
                _ => accepted_with(&json!({ "balance": balance })),
            };
            let Recorded { aggregate, aggregate_id, id, version, partition, sequence, offset, .. } = event;
            let Recorded { occurred_at, causation_id, correlation_id, .. } = event;
            let command = (balance.rem_euclid(7) != 0).then_some(command);
            let data = Attempt { offset: Offset(2 * offset.0), command, outcome };
            Recorded {
                aggregate,
                aggregate_id,
                id,
                version,
                partition,
                sequence,
                offset,
                occurred_at,
                causation_id,
                correlation_id,
                data,
            }
        };
        moves(id, amounts).into_iter().map(attempt).collect()
    }

    fn amounts() -> impl Strategy<Value = Vec<i64>> {
        proptest::collection::vec(-9..10_i64, 0..20)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_transactions_do_not_depend_on_order_or_repeats(one in amounts(), other in amounts(), seed: u64) {
            let events = [moves("a", one), moves("b", other)].concat();
            triple_shuffle(&Transactions, &events, seed);
        }

        #[test]
        fn the_history_does_not_depend_on_order_or_repeats(one in amounts(), seed: u64) {
            triple_shuffle(&History, &attempts("a", one), seed);
        }
    }
}
