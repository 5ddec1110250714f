//! The view of accounts: what they are called and what they hold now.

use headwater::Recorded;
use headwater::projection::{Changes, ColumnType, Events, OneOf2, Projection, Table, Tables};

use crate::account::{Account, AccountEvent};
use crate::registry::{AccountRegistry, RegistryEvent};

/// Folds accounts into the table `accounts`.
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
        Tables::new().with(accounts)
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
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater::testing::{FoldedView, triple_shuffle};
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::super::fixtures::{account, registry};
    use super::*;
    use crate::account::fixtures::{deleted, deposited, opened, withdrawn};
    use crate::account::properties::{after, commands};

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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_accounts_do_not_depend_on_order_or_repeats(
            one in proptest::collection::vec(commands(), 0..20),
            other in proptest::collection::vec(commands(), 0..20),
            seed: u64,
        ) {
            let mut events = registry(&["000001", "000002"]);
            events.extend(account("000001", after(one).history().to_vec()));
            events.extend(account("000002", after(other).history().to_vec()));
            triple_shuffle(&Accounts, &events, seed);
        }
    }
}
