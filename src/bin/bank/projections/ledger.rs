//! The view of movements: the ledger of each account, and the sums of the bank.

use headwater::Recorded;
use headwater::projection::{Changes, ColumnType, Events, OneOf2, Projection, Table, Tables};

use crate::account::{Account, AccountEvent, Movement, MovementKind};
use crate::registry::{AccountRegistry, RegistryEvent};

/// Folds movements into the table `ledger`, one row for each, and counts them in `bank_stats`.
///
/// `ledgers` knows up to which version nothing is missing, so that a reader is never shown a ledger
/// with a gap; a number that the registry gave out has an empty ledger from then on. `milestones` holds
/// what happens to an account once, so that it is counted once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger;

/// The one row of `bank_stats`.
const THE_BANK: (&str, i64) = ("bank", 1);

impl Projection for Ledger {
    const NAME: &'static str = "ledger";
    type Source = (AccountRegistry, Account);

    fn tables() -> Tables {
        let ledgers = Table::rows("ledgers").key("account_id", ColumnType::Text).complete_to();
        let ledger = Table::once("ledger")
            .key("account_id", ColumnType::Text)
            .key("version", ColumnType::Integer)
            .column("time", ColumnType::Timestamp)
            .column("kind", ColumnType::Text)
            .column("amount", ColumnType::Integer)
            .column("balance", ColumnType::Integer);
        let milestones =
            Table::once("milestones").key("account_id", ColumnType::Text).key("milestone", ColumnType::Text);
        let stats = Table::sums("bank_stats")
            .key("bank", ColumnType::Integer)
            .sum("created")
            .sum("deleted")
            .sum("net_balance")
            .sum("transactions")
            .sum("deposits")
            .sum("deposited")
            .sum("withdrawals")
            .sum("withdrawn")
            .sum("forgiven");
        Tables::new().with(ledgers).with(ledger).with(milestones).with(stats)
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        match &event.data {
            OneOf2::First(RegistryEvent::AccountIdProvisioned(provisioned)) => {
                rows.at("ledgers", ("account_id", provisioned.account_id));
            }
            OneOf2::First(RegistryEvent::AccountIdsReserved(_)) => {}
            OneOf2::Second(account) => {
                rows.at("ledgers", ("account_id", &event.aggregate_id)).seen(event.version);
                match account {
                    AccountEvent::AccountCreated(_) => count_once(rows, &event.aggregate_id, "created"),
                    AccountEvent::AccountDeleted(_) => count_once(rows, &event.aggregate_id, "deleted"),
                    _ => {}
                }
                if let Some(movement) = account.movement() {
                    enter(rows, event, &movement);
                }
            }
        }
    }
}

fn count_once(rows: &mut Changes, account_id: &str, milestone: &'static str) {
    rows.once("milestones", (("account_id", account_id), ("milestone", milestone))).add(
        "bank_stats",
        THE_BANK,
        milestone,
        1,
    );
}

fn enter(rows: &mut Changes, event: &Recorded<Events<Ledger>>, movement: &Movement) {
    let amount = movement.amount.money().minor();
    let entry = rows
        .once("ledger", (("account_id", &event.aggregate_id), ("version", event.version)))
        .set("time", event.occurred_at)
        .set("kind", movement.kind.name())
        .set("amount", amount)
        .set("balance", movement.balance);
    let sums: &[(&'static str, i64)] = match movement.kind {
        MovementKind::Deposit => &[("deposits", 1), ("deposited", amount)],
        MovementKind::Withdrawal => &[("withdrawals", 1), ("withdrawn", amount)],
        MovementKind::DebtForgiven => &[("forgiven", amount)],
        // Between accounts: what one has more, another has less.
        _ => &[],
    };
    for (sum, by) in [("transactions", 1), ("net_balance", movement.change().minor())].iter().chain(sums) {
        entry.add("bank_stats", THE_BANK, sum, *by);
    }
}

#[cfg(test)]
mod tests {
    use headwater::testing::{FoldedView, triple_shuffle};
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::super::fixtures::{account, bank, registry};
    use super::*;
    use crate::account::fixtures::*;
    use crate::world::happenings;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Entry {
        version: i64,
        kind: String,
        amount: i64,
        balance: i64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Complete {
        complete_to: i64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Stats {
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

    fn indebted() -> Vec<Recorded<Events<Ledger>>> {
        account(
            "000001",
            [opened(), deposited("10.00", "10.00"), withdrawn("25.00", "-15.00"), forgiven("15.00"), deleted()],
        )
    }

    fn entry(version: i64, kind: &str, amount: i64, balance: i64) -> Entry {
        Entry { version, kind: kind.to_owned(), amount, balance }
    }

    #[test]
    fn each_movement_is_one_row_of_the_ledger() {
        let view = FoldedView::of(&Ledger, &indebted());
        let expected =
            [entry(2, "deposit", 1000, 1000), entry(3, "withdrawal", 2500, -1500), entry(4, "debt_forgiven", 1500, 0)];
        assert_eq!(view.all::<Entry>("ledger"), expected);
    }

    #[test]
    fn each_kind_of_debit_rollback_and_credit_is_one_row_of_the_ledger() {
        let sent = [opened(), transfer_debited("4.00", "-4.00"), transfer_rolled_back(2, "4.00", "0.00")];
        let received = [transfer_credited(3, "5.00", "5.00"), request_created("2.00")];
        let asked = [request_credited(5, "2.00", "7.00"), request_received("3.00"), request_approved()];
        let paid = [request_debited("3.00", "4.00"), request_rolled_back("3.00", "7.00")];
        let view =
            FoldedView::of(&Ledger, &account("000001", sent.into_iter().chain(received).chain(asked).chain(paid)));
        let expected = [
            entry(2, "transfer_debit", 400, -400),
            entry(3, "transfer_rollback", 400, 0),
            entry(4, "transfer_credit", 500, 500),
            entry(6, "request_credit", 200, 700),
            entry(9, "request_debit", 300, 400),
            entry(10, "request_rollback", 300, 700),
        ];
        assert_eq!(view.all::<Entry>("ledger"), expected);
        let stats = &view.all::<Stats>("bank_stats")[0];
        assert_eq!((stats.transactions, stats.net_balance, stats.deposits, stats.withdrawals), (6, 700, 0, 0));
    }

    #[test]
    fn the_bank_is_summed_up() {
        let mut events = indebted();
        events.extend(account("000002", [opened(), deposited("0.50", "0.50"), deposited("1.00", "1.50")]));
        let expected = Stats {
            created: 2,
            deleted: 1,
            net_balance: 150,
            transactions: 5,
            deposits: 3,
            deposited: 1150,
            withdrawals: 1,
            withdrawn: 2500,
            forgiven: 1500,
        };
        assert_eq!(FoldedView::of(&Ledger, &events).all::<Stats>("bank_stats"), [expected]);
    }

    #[test]
    fn the_ledger_is_complete_up_to_the_first_version_that_is_missing() {
        let complete = |events: &[Recorded<Events<Ledger>>]| {
            FoldedView::of(&Ledger, events).get::<Complete>("ledgers", ("account_id", "000001"))
        };
        let mut events = indebted();
        assert_eq!(complete(&events), Some(Complete { complete_to: 5 }));
        let late = events.remove(2);
        assert_eq!(complete(&events), Some(Complete { complete_to: 2 }));
        events.push(late);
        assert_eq!(complete(&events), Some(Complete { complete_to: 5 }));
    }

    #[test]
    fn a_number_that_was_given_out_has_an_empty_ledger() {
        let view = FoldedView::of(&Ledger, &registry(&["000001"]));
        assert_eq!(view.get("ledgers", ("account_id", "000001")), Some(Complete { complete_to: 0 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_ledger_does_not_depend_on_order_or_repeats(happenings in happenings(), seed: u64) {
            triple_shuffle(&Ledger, &bank(happenings), seed);
        }
    }
}
