//! Numbers for accounts: given out one by one, or set aside for an import.

use headwater::Decision;
use serde::{Deserialize, Serialize};

use super::{AccountRegistry, RegistryEvent, RegistryRefusal};
use crate::account::{Account, OpenAccount};
use crate::values::{AccountId, Amount, Name};

/// Opens a new account under the next free number, which is the reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateAccount {
    /// The name on it.
    pub name: Name,
    /// What is put in at once.
    pub initial_deposit: Option<Amount>,
}

/// Sets numbers aside, for an import that opens accounts by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveAccountIds {
    /// The last of them.
    pub up_to: AccountId,
}

/// A number was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountIdProvisioned {
    /// The number.
    pub account_id: AccountId,
    /// The name on the account that is opened under it.
    pub name: Name,
}

/// Numbers were set aside and are never given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountIdsReserved {
    /// The last of them.
    pub up_to: AccountId,
}

impl AccountRegistry {
    /// The account is opened in the transaction that gives its number out.
    pub(super) fn create(&self, command: CreateAccount) -> Result<Decision<RegistryEvent>, RegistryRefusal> {
        let CreateAccount { name, initial_deposit } = command;
        let next = self.highest.map_or(Some(AccountId::FIRST), AccountId::next);
        let account_id = next.ok_or(RegistryRefusal::AccountIdsExhausted)?;
        let provisioned = Decision::event(AccountIdProvisioned { account_id, name: name.clone() });
        Ok(provisioned.hand_off::<Account>(account_id, OpenAccount { name, initial_deposit }).reply(&account_id))
    }

    pub(super) fn reserve(&self, command: &ReserveAccountIds) -> Decision<RegistryEvent> {
        if self.highest >= Some(command.up_to) {
            return Decision::none();
        }
        Decision::event(AccountIdsReserved { up_to: command.up_to })
    }
}

#[cfg(test)]
mod tests {
    use headwater::testing::Given;

    use super::*;

    fn id(text: &str) -> AccountId {
        text.parse().expect("an account id")
    }

    fn name() -> Name {
        "Emmet".try_into().expect("a name")
    }

    fn create(initial_deposit: Option<Amount>) -> CreateAccount {
        CreateAccount { name: name(), initial_deposit }
    }

    fn provisioned(account_id: &str) -> RegistryEvent {
        AccountIdProvisioned { account_id: id(account_id), name: name() }.into()
    }

    fn reserved(up_to: &str) -> RegistryEvent {
        AccountIdsReserved { up_to: id(up_to) }.into()
    }

    #[test]
    fn the_first_account_gets_the_first_number_and_its_reply_is_that_number() {
        Given::<AccountRegistry>::nothing()
            .id("registry")
            .when(create(None))
            .then_events([provisioned("000001")])
            .then_reply(&"000001");
    }

    #[test]
    fn a_created_account_is_opened_in_the_same_transaction_with_its_deposit() {
        let deposit = Some(Amount::try_from(1234).expect("an amount"));
        Given::<AccountRegistry>::nothing()
            .when(create(deposit))
            .then_hand_off::<Account>("000001", OpenAccount { name: name(), initial_deposit: deposit });
    }

    #[test]
    fn no_number_is_given_out_twice() {
        Given::<AccountRegistry>::events([provisioned("000001")])
            .when(create(None))
            .then_events([provisioned("000002")])
            .when(create(None))
            .then_events([provisioned("000003")]);
    }

    #[test]
    fn the_ten_thousandth_account_is_created_from_a_state_no_larger_than_the_first() {
        let size = |registry: &AccountRegistry| serde_json::to_string(registry).expect("a state").len();
        let mut registry = Given::<AccountRegistry>::nothing().when(create(None)).into_given();
        let first = size(registry.state());
        for _ in 2..=10_000 {
            registry = registry.when(create(None)).into_given();
        }
        assert_eq!(registry.history().last(), Some(&provisioned("010000")));
        assert_eq!(size(registry.state()), first);
    }

    #[test]
    fn reserved_numbers_are_never_given_out() {
        Given::<AccountRegistry>::events([provisioned("000001")])
            .when(ReserveAccountIds { up_to: id("011382") })
            .then_events([reserved("011382")])
            .then_no_hand_off()
            .when(create(None))
            .then_events([provisioned("011383")]);
    }

    #[test]
    fn numbers_that_are_taken_already_need_no_reservation() {
        let given = Given::<AccountRegistry>::events([reserved("000100")]);
        for up_to in ["000001", "000100"] {
            given.clone().when(ReserveAccountIds { up_to: id(up_to) }).then_no_events();
        }
        given.when(create(None)).then_events([provisioned("000101")]);
    }

    #[test]
    fn after_the_last_number_no_account_is_created() {
        Given::<AccountRegistry>::events([reserved("999998")])
            .when(create(None))
            .then_events([provisioned("999999")])
            .when(create(None))
            .then_refused("account_ids_exhausted");
    }

    #[test]
    fn events_and_state_are_read_back_as_they_were_written() {
        let nothing = Given::<AccountRegistry>::nothing();
        nothing.survives_the_log();
        nothing.and_events([provisioned("000001"), reserved("000100")]).survives_the_log();
    }
}
