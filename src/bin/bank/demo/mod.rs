//! What `bank demo` shows the bank at work with: a load, a story, and what must have come of both.

mod story;

use futures::future::BoxFuture;
use headwater::Aggregate;
use headwater::engine::{CommandInput, Demo, Ending, EventCounts, Stage, StoryError};
use serde_json::{Value, json};

use crate::account::Account;
use crate::registry::RegistryId;
use crate::values::Money;

/// Many customers, a few of them busy: accounts open, money comes in and goes out, is sent and asked for, not
/// always with success; now and then a debt is forgiven or an account deleted.
#[derive(Clone, Copy, Debug, Default)]
pub struct DemoLoad;

impl Demo for DemoLoad {
    fn commands(&self, seed: u64, count: u64) -> Box<dyn Iterator<Item = CommandInput> + Send> {
        // One account for twenty commands.
        let accounts = (count / 20).clamp(1, 100_000);
        Box::new(Load { dice: Dice(seed), accounts, reserved: false, opened: 0, begun: 0, left: count })
    }

    fn figures(&self) -> Option<(&'static str, Value)> {
        Some(("BankStats", json!({})))
    }

    fn story<'a>(&'a self, stage: &'a Stage) -> BoxFuture<'a, Result<(), StoryError>> {
        Box::pin(story::tell(stage))
    }

    /// As the events count them; what did not happen is what was asked for less what did.
    fn endings(&self, events: &EventCounts) -> Vec<Ending> {
        let of = |event| events.of(Account::NAME, event);
        let (created, received) = (of("RequestCreated"), of("RequestReceived"));
        let (approved, rejected, paid) = (of("RequestApproved"), of("RequestRejected"), of("RequestCredited"));
        vec![
            Ending::of(
                "transfers",
                of("TransferDebited"),
                &[("arrived", of("TransferCredited")), ("given back", of("TransferDebitRolledBack"))],
            ),
            Ending::of(
                "requests",
                created,
                &[
                    ("refused", created.saturating_sub(received)),
                    ("rejected", rejected),
                    ("timed out", received.saturating_sub(approved + rejected)),
                    ("accepted", approved),
                ],
            ),
            Ending::of(
                "accepted requests",
                approved,
                &[
                    ("paid", paid),
                    ("not covered", approved.saturating_sub(of("RequestDebited"))),
                    ("given back", of("RequestDebitRolledBack")),
                ],
            ),
            Ending::of(
                "requests that were not paid",
                created.saturating_sub(paid),
                &[("told to whoever asked", of("RequestRejectionReceived"))],
            ),
        ]
    }
}

struct Load {
    dice: Dice,
    accounts: u64,
    reserved: bool,
    opened: u64,
    /// How many transactions were begun.
    begun: u64,
    left: u64,
}

impl Iterator for Load {
    type Item = CommandInput;

    fn next(&mut self) -> Option<CommandInput> {
        self.left = self.left.checked_sub(1)?;
        if !self.reserved {
            self.reserved = true;
            return Some(registry("ReserveAccountIds", json!({ "up_to": account_id(self.accounts) })));
        }
        // New customers come all the time, until all are there.
        if self.opened == 0 || (self.opened < self.accounts && self.dice.roll(10) == 0) {
            return Some(self.open());
        }
        Some(if self.dice.roll(200) == 0 { self.create() } else { self.move_money() })
    }
}

impl Load {
    /// An account whose number the registry finds; nobody here knows it.
    fn create(&mut self) -> CommandInput {
        registry("CreateAccount", json!({ "name": "Passer-by", "initial_deposit": self.amount() }))
    }

    fn open(&mut self) -> CommandInput {
        self.opened += 1;
        let name = format!("Customer {:06}", self.opened);
        let deposit = (self.dice.roll(2) == 0).then(|| self.amount());
        account(self.opened, "OpenAccount", json!({ "name": name, "initial_deposit": deposit }))
    }

    fn move_money(&mut self) -> CommandInput {
        // The lower of three dice: some accounts are far busier than others.
        let busy = (0..3).map(|_| self.dice.roll(self.opened)).min().unwrap_or(0);
        let (command, data) = match self.dice.roll(1000) {
            0..450 => ("DepositFunds", json!({ "amount": self.amount() })),
            450..900 => ("WithdrawFunds", json!({ "amount": self.amount() })),
            900..950 => ("Transfer", self.transaction("funded_account")),
            950..980 => ("Request", self.transaction("funding_account")),
            980..999 => ("ForgiveDebt", json!({})),
            _ => ("DeleteAccount", json!({})),
        };
        account(busy + 1, command, data)
    }

    /// With anybody, also with one who has no account yet.
    fn transaction(&mut self, other_side: &str) -> Value {
        self.begun += 1;
        let other = 1 + self.dice.roll(self.opened + self.opened / 4 + 1);
        json!({ "transaction_id": format!("load-{}", self.begun), other_side: account_id(other), "amount": self.amount() })
    }

    /// Small amounts more often than large ones.
    fn amount(&mut self) -> String {
        let magnitude = [100, 1_000, 10_000, 100_000][usize::try_from(self.dice.roll(4)).unwrap_or(0)];
        let units = i64::try_from(1 + self.dice.roll(magnitude)).unwrap_or(1);
        Money::from_minor(units).to_string()
    }
}

fn account_id(number: u64) -> String {
    format!("{number:06}")
}

fn account(number: u64, command: &str, data: Value) -> CommandInput {
    input("account", account_id(number), command, data)
}

fn registry(command: &str, data: Value) -> CommandInput {
    input("account_registry", RegistryId.to_string(), command, data)
}

fn input(aggregate: &str, id: String, command: &str, data: Value) -> CommandInput {
    let (aggregate, command) = (aggregate.to_owned(), command.to_owned());
    CommandInput { aggregate, id, command, data, command_id: None, issued_at: None, expect: None, internal: true }
}

/// Splitmix64: small, and the same on every machine. Source: Steele, Lea, Flood, "Fast Splittable
/// Pseudorandom Number Generators", 2014.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut roll = self.0;
        roll = (roll ^ (roll >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        roll = (roll ^ (roll >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (roll ^ (roll >> 31)) % sides.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_load_and_another_gives_another() {
        let load = |seed| DemoLoad.commands(seed, 500).collect::<Vec<_>>();
        assert_eq!(load(1), load(1));
        assert_ne!(load(1), load(2));
        assert_eq!(load(1).len(), 500);
    }

    #[test]
    fn an_account_opens_before_anything_is_asked_of_it() {
        let mut opened = std::collections::BTreeSet::new();
        for input in DemoLoad.commands(7, 5000).filter(|input| input.aggregate == "account") {
            if input.command == "OpenAccount" {
                assert!(opened.insert(input.id.clone()), "{input:?}");
            }
            assert!(opened.contains(&input.id), "{input:?}");
        }
    }
}
