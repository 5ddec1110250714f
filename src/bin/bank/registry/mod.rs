//! The registry of accounts: gives out their numbers.
//!
//! It keeps one number, the highest that is taken, so that the millionth account costs what the first
//! did. A number is given out once, whatever becomes of its account.

mod provisioning;
mod refusal;

use std::fmt;
use std::str::FromStr;

use headwater::{Aggregate, Context, Decision, EventContext, messages, state};
use serde::{Deserialize, Serialize};

pub use provisioning::{AccountIdProvisioned, AccountIdsReserved, CreateAccount, ReserveAccountIds};
pub use refusal::RegistryRefusal;

use crate::values::AccountId;

/// The registry of accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRegistry {
    /// The highest number that was given out or reserved.
    highest: Option<AccountId>,
}

state! { AccountRegistry in "schemas/bank/account_registry" }

messages! {
    /// What may be asked of the registry.
    pub enum RegistryCommand in "schemas/bank/account_registry/commands" { CreateAccount, ReserveAccountIds }
}

messages! {
    /// What can happen in the registry.
    pub enum RegistryEvent in "schemas/bank/account_registry/events" { AccountIdProvisioned, AccountIdsReserved }
}

/// There is one registry, and this is its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryId;

/// A text that is not the registry's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is one registry of accounts, and its id is \"registry\"")]
pub struct RegistryIdError;

impl fmt::Display for RegistryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("registry")
    }
}

impl FromStr for RegistryId {
    type Err = RegistryIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "registry" { Ok(Self) } else { Err(RegistryIdError) }
    }
}

impl Aggregate for AccountRegistry {
    const NAME: &'static str = "account_registry";
    type Id = RegistryId;
    type Command = RegistryCommand;
    type Event = RegistryEvent;
    type Refusal = RegistryRefusal;
    const ID_PATTERN: Option<&'static str> = Some("^registry$");

    fn decide(&self, command: RegistryCommand, _at: &Context<'_>) -> Result<Decision<RegistryEvent>, RegistryRefusal> {
        match command {
            RegistryCommand::CreateAccount(command) => self.create(command),
            RegistryCommand::ReserveAccountIds(command) => Ok(self.reserve(&command)),
        }
    }

    fn evolve(&mut self, event: &RegistryEvent, _at: &EventContext<'_>) {
        match event {
            RegistryEvent::AccountIdProvisioned(event) => self.highest = Some(event.account_id),
            RegistryEvent::AccountIdsReserved(event) => self.highest = Some(event.up_to),
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater::schema::check;

    use super::*;

    #[test]
    fn types_and_schemas_say_the_same() {
        check::<AccountRegistry>().expect("the state");
        check::<RegistryCommand>().expect("the commands");
        check::<RegistryEvent>().expect("the events");
    }

    #[test]
    fn there_is_one_registry() {
        assert_eq!("registry".parse(), Ok(RegistryId));
        assert_eq!(RegistryId.to_string(), "registry");
        assert_eq!("Registry".parse::<RegistryId>(), Err(RegistryIdError));
    }
}
