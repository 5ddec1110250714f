//! Recorded events of the bank, for the tests of its views.

use headwater::Recorded;
use headwater::projection::OneOf2;
use headwater::testing::history;

use crate::account::fixtures::name;
use crate::account::{Account, AccountEvent};
use crate::registry::{AccountIdProvisioned, AccountRegistry, RegistryEvent};
use crate::world::{Happening, World};

type BankEvent = OneOf2<RegistryEvent, AccountEvent>;

/// What happened to one account.
pub fn account(id: &str, events: impl IntoIterator<Item = AccountEvent>) -> Vec<Recorded<BankEvent>> {
    history::<Account>(id, events).into_iter().map(|event| event.map(OneOf2::Second)).collect()
}

/// What happened in a whole bank, whose accounts were opened by the registry.
pub fn bank(happenings: Vec<Happening>) -> Vec<Recorded<BankEvent>> {
    let world = World::after(happenings);
    let accounts = world.log().iter().map(|event| event.clone().map(OneOf2::Second));
    registry(&["000001", "000002", "000003"]).into_iter().chain(accounts).collect()
}

/// These numbers were given out.
pub fn registry(ids: &[&str]) -> Vec<Recorded<BankEvent>> {
    let provisioned = ids.iter().map(|id| {
        let account_id = id.parse().expect("an account id");
        AccountIdProvisioned { account_id, name: name() }.into()
    });
    history::<AccountRegistry>("registry", provisioned).into_iter().map(|event| event.map(OneOf2::First)).collect()
}
