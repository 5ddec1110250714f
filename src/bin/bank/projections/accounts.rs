//! The view of accounts: what they are called, what they hold now, and what they are asked for.

use headwater::Recorded;
use headwater::position::Version;
use headwater::projection::{Changes, ColumnType, Events, OneOf2, Projection, RowChange, Table, Tables, Value};

use crate::account::{Account, AccountEvent};
use crate::registry::{AccountRegistry, RegistryEvent};
use crate::values::TransactionId;

/// Folds accounts into the table `accounts`, and requests for money into `requests`.
///
/// A request is pending from its receipt on until it is decided or comes to nothing, of which different
/// accounts tell, in any order. So both are noted as facts: it is pending once it is `received` and not
/// `ended`.
///
/// The registry's events as well: whoever created an account and waits for that position finds the
/// account, even before its own first event came by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accounts;

impl Projection for Accounts {
    const NAME: &'static str = "accounts";
    type Source = (AccountRegistry, Account);

    fn tables() -> Tables {
        let accounts = Table::rows("accounts")
            .key("account_id", ColumnType::Text)
            .column("name", ColumnType::Text)
            .versioned("balance", ColumnType::Integer);
        let requests = Table::rows("requests")
            .key("funded_account", ColumnType::Text)
            .key("transaction_id", ColumnType::Text)
            .key("begun_version", ColumnType::Integer)
            .column("funding_account", ColumnType::Text)
            .column("amount", ColumnType::Integer)
            .column("deadline", ColumnType::Timestamp)
            .column("received", ColumnType::Boolean)
            .column("ended", ColumnType::Boolean)
            .index(&["funding_account", "ended"]);
        Tables::new().with(accounts).with(requests)
    }

    fn project(&self, event: &Recorded<Events<Self>>, rows: &mut Changes) {
        match &event.data {
            OneOf2::First(RegistryEvent::AccountIdProvisioned(provisioned)) => {
                rows.at("accounts", ("account_id", provisioned.account_id)).set("name", provisioned.name.as_str());
            }
            OneOf2::First(RegistryEvent::AccountIdsReserved(_)) => {}
            OneOf2::Second(account) => {
                let row = rows.at("accounts", ("account_id", &event.aggregate_id));
                match account {
                    AccountEvent::AccountCreated(created) => row.set("name", created.name.as_str()),
                    AccountEvent::AccountDeleted(_) => row.delete(event.version),
                    _ => row,
                };
                if let Some(movement) = account.movement() {
                    row.set_versioned("balance", movement.balance, event.version);
                }
                note_request(account, &event.aggregate_id, rows);
            }
        }
    }
}

fn note_request(event: &AccountEvent, account_id: &str, rows: &mut Changes) {
    match event {
        AccountEvent::RequestReceived(it) => {
            request(rows, it.funded_account, &it.transaction_id, it.begun_version)
                .set("funding_account", account_id)
                .set("amount", it.amount.money())
                .set("deadline", it.deadline)
                .set("received", true);
        }
        AccountEvent::RequestApproved(it) => {
            request(rows, it.funded_account, &it.transaction_id, it.begun_version).set("ended", true);
        }
        AccountEvent::RequestRejected(it) => {
            request(rows, it.funded_account, &it.transaction_id, it.begun_version).set("ended", true);
        }
        AccountEvent::RequestRejectionReceived(it) => {
            request(rows, account_id, &it.transaction_id, it.begun_version).set("ended", true);
        }
        _ => {}
    }
}

fn request<'r>(
    rows: &'r mut Changes,
    funded_account: impl Into<Value>,
    transaction_id: &TransactionId,
    begun_version: Version,
) -> &'r mut RowChange {
    let name =
        (("funded_account", funded_account), ("transaction_id", transaction_id), ("begun_version", begun_version));
    rows.at("requests", name)
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
    struct Row {
        name: Option<String>,
        balance: Option<i64>,
    }

    fn row(balance: Option<i64>) -> Row {
        Row { name: Some("Emmet".to_owned()), balance }
    }

    fn fold(events: &[Recorded<Events<Accounts>>]) -> Option<Row> {
        FoldedView::of(&Accounts, events).get("accounts", ("account_id", "000001"))
    }

    #[test]
    fn an_account_is_found_as_soon_as_its_number_was_given_out() {
        assert_eq!(fold(&registry(&["000001"])), Some(row(None)));
    }

    #[test]
    fn an_account_that_opened_by_itself_is_found() {
        assert_eq!(fold(&account("000001", [opened()])), Some(row(None)));
    }

    #[test]
    fn the_balance_is_that_of_the_highest_version() {
        let mut events = account("000001", [opened(), deposited("10.00", "10.00"), withdrawn("2.00", "8.00")]);
        assert_eq!(fold(&events), Some(row(Some(800))));
        events.swap(1, 2);
        assert_eq!(fold(&events), Some(row(Some(800))));
    }

    #[test]
    fn a_deleted_account_is_not_found_even_if_its_creation_comes_late() {
        let mut events = account("000001", [opened(), deposited("10.00", "10.00"), deleted()]);
        events.extend(registry(&["000001"]));
        assert_eq!(fold(&events), None);
        events.reverse();
        assert_eq!(fold(&events), None);
        events.extend(account("000001", [opened()]));
        assert_eq!(fold(&events), None);
    }

    /// The transactions that an account is asked to decide.
    fn pending(events: &[Recorded<Events<Accounts>>], funding_account: &str) -> usize {
        #[derive(Deserialize)]
        struct Request {
            funding_account: Option<String>,
            received: Option<bool>,
            ended: Option<bool>,
        }
        let requests = FoldedView::of(&Accounts, events).all::<Request>("requests");
        let is_pending = |it: &&Request| it.received == Some(true) && it.ended.is_none();
        let here = |it: &&Request| it.funding_account.as_deref() == Some(funding_account);
        requests.iter().filter(is_pending).filter(here).count()
    }

    /// What account 000002 hears of the request that it began with its version 7.
    fn told() -> Vec<Recorded<Events<Accounts>>> {
        account("000002", [rejection_received(BEGUN.0)])
    }

    #[test]
    fn a_received_request_is_pending_and_ceases_with_approval_rejection_or_its_notice() {
        let received = account("000001", [opened(), request_received("4.00")]);
        assert_eq!(pending(&received, "000001"), 1);
        for decision in [request_approved(), request_rejected()] {
            assert_eq!(pending(&account("000001", [opened(), request_received("4.00"), decision]), "000001"), 0);
        }
        let timed_out = [received.clone(), told()].concat();
        assert_eq!(pending(&timed_out, "000001"), 0);
    }

    #[test]
    fn a_request_whose_notice_comes_first_is_never_pending() {
        let notice_first = [told(), account("000001", [opened(), request_received("4.00")])].concat();
        assert_eq!(pending(&notice_first, "000001"), 0);
        assert_eq!(pending(&told(), "000001"), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_accounts_do_not_depend_on_order_or_repeats(happenings in happenings(), seed: u64) {
            triple_shuffle(&Accounts, &bank(happenings), seed);
        }
    }
}
