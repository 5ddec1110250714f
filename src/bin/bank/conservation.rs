//! The conservation of money: no event makes any, and none loses any.
//!
//! At every prefix of the log: deposits − withdrawals + forgiven debt = the sum of the balances, those of
//! deleted accounts too, + the money in flight, which was debited and neither credited nor given back yet.

use std::collections::HashMap;

use headwater::position::Version;
use headwater::{Invariant, Recorded};

use crate::account::{Account, AccountEvent, MovementKind};
use crate::values::{Amount, Money, TransactionId};

/// The money of the bank, folded from the events of its accounts.
///
/// It holds a number for each account and the money in flight, however long the log.
#[derive(Clone, Debug, Default)]
pub struct Conservation {
    balances: HashMap<String, Money>,
    in_flight: HashMap<Flight, Amount>,
    /// Deposits, less withdrawals, and forgiven debt.
    came_in: Money,
    in_accounts: Money,
    flying: Money,
}

/// Names money in flight: the account that began the transaction, its id, and the version with which it began.
type Flight = (String, TransactionId, Version);

/// What an event does to the money in flight.
enum Leg {
    Begins(Flight),
    Ends(Flight),
}

impl Invariant for Conservation {
    const NAME: &'static str = "conservation_of_money";
    const PROMISE: &'static str = "money is conserved: what came in is in the accounts or in flight";
    type Source = Account;

    /// Money lands only after it took off, on another account.
    fn is_ready(&self, event: &Recorded<AccountEvent>) -> bool {
        match leg(event) {
            Some(Leg::Ends(flight)) => self.in_flight.contains_key(&flight),
            Some(Leg::Begins(_)) | None => true,
        }
    }

    fn fold(&mut self, event: &Recorded<AccountEvent>) -> Result<(), String> {
        let Some(movement) = event.data.movement() else { return Ok(()) };
        let change = movement.change();
        let before = self.balances.insert(event.aggregate_id.clone(), movement.balance).unwrap_or_default();
        self.in_accounts = self.in_accounts + (movement.balance - before);
        if matches!(movement.kind, MovementKind::Deposit | MovementKind::Withdrawal | MovementKind::DebtForgiven) {
            self.came_in = self.came_in + change;
        }
        let flew = self.fly(leg(event), movement.amount);
        if before + change != movement.balance {
            let balance = movement.balance;
            return Err(format!("the balance was {before} and changes by {change}, but the event says {balance}"));
        }
        flew?;
        let Self { came_in, in_accounts, flying, .. } = *self;
        if came_in == in_accounts + flying {
            Ok(())
        } else {
            Err(format!("{came_in} came in, but {in_accounts} is in the accounts and {flying} in flight"))
        }
    }
}

impl Conservation {
    /// How much is in flight.
    #[cfg(test)]
    pub const fn flying(&self) -> Money {
        self.flying
    }

    fn fly(&mut self, leg: Option<Leg>, amount: Amount) -> Result<(), String> {
        match leg {
            None => Ok(()),
            Some(Leg::Begins(flight)) => {
                self.flying = self.flying + amount;
                let wrong = format!("{} is debited a second time", shown(&flight));
                self.in_flight.insert(flight, amount).map_or(Ok(()), |_| Err(wrong))
            }
            Some(Leg::Ends(flight)) => {
                self.flying = self.flying - amount;
                match self.in_flight.remove(&flight) {
                    Some(debited) if debited == amount => Ok(()),
                    Some(debited) => Err(format!("of {}, {debited} was debited and {amount} comes in", shown(&flight))),
                    None => Err(format!("{} is credited, but none of it is in flight", shown(&flight))),
                }
            }
        }
    }
}

fn shown((account, transaction, version): &Flight) -> String {
    format!("transaction {:?} of account {account}, begun with version {version},", transaction.as_str())
}

fn leg(event: &Recorded<AccountEvent>) -> Option<Leg> {
    let this = event.aggregate_id.clone();
    Some(match &event.data {
        AccountEvent::TransferDebited(it) => Leg::Begins((this, it.transaction_id.clone(), event.version)),
        AccountEvent::TransferDebitRolledBack(it) => Leg::Ends((this, it.transaction_id.clone(), it.begun_version)),
        AccountEvent::TransferCredited(it) => {
            Leg::Ends((it.funding_account.to_string(), it.transaction_id.clone(), it.begun_version))
        }
        AccountEvent::RequestDebited(it) => {
            Leg::Begins((it.funded_account.to_string(), it.transaction_id.clone(), it.begun_version))
        }
        AccountEvent::RequestDebitRolledBack(it) => {
            Leg::Ends((it.funded_account.to_string(), it.transaction_id.clone(), it.begun_version))
        }
        AccountEvent::RequestCredited(it) => Leg::Ends((this, it.transaction_id.clone(), it.begun_version)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use headwater::testing::history;

    use super::*;
    use crate::account::TransferCredited;
    use crate::account::fixtures::*;

    /// What is wrong with the last of these events of account 000001, all the others being right.
    fn wrong<const N: usize>(events: [AccountEvent; N]) -> Option<String> {
        let mut money = Conservation::default();
        let events = history::<Account>("000001", events);
        let (last, before) = events.split_last().expect("events");
        for event in before {
            money.fold(event).expect("right");
        }
        money.fold(last).err()
    }

    #[test]
    fn money_is_conserved_by_what_accounts_do() {
        let debited = [opened(), deposited("10.00", "10.00"), transfer_debited("4.00", "6.00")];
        assert_eq!(wrong(debited), None);
        let back = transfer_rolled_back(3, "4.00", "10.00");
        assert_eq!(wrong([opened(), deposited("10.00", "10.00"), transfer_debited("4.00", "6.00"), back]), None);
    }

    #[test]
    fn a_balance_that_does_not_follow_from_the_one_before_is_found() {
        let found = wrong([opened(), deposited("10.00", "10.00"), withdrawn("4.00", "6.01")]).expect("wrong");
        assert!(found.contains("was 10.00") && found.contains("says 6.01"), "{found}");
    }

    #[test]
    fn money_from_nowhere_is_found() {
        let found = wrong([opened(), transfer_credited(3, "4.00", "4.00")]).expect("wrong");
        assert!(found.contains("\"t1\" of account 000002") && found.contains("none of it is in flight"), "{found}");
    }

    #[test]
    fn money_that_comes_back_twice_is_found() {
        let back = |balance| transfer_rolled_back(3, "4.00", balance);
        let events =
            [opened(), deposited("10.00", "10.00"), transfer_debited("4.00", "6.00"), back("10.00"), back("14.00")];
        let found = wrong(events).expect("wrong");
        assert!(found.contains("none of it is in flight"), "{found}");
    }

    #[test]
    fn money_that_changes_in_flight_is_found() {
        let back = transfer_rolled_back(3, "4.01", "10.01");
        let events = [opened(), deposited("10.00", "10.00"), transfer_debited("4.00", "6.00"), back];
        let found = wrong(events).expect("wrong");
        assert!(found.contains("4.00 was debited and 4.01 comes in"), "{found}");
    }

    #[test]
    fn what_lands_waits_for_what_took_off() {
        let mut fold = Conservation::default();
        let debit = &history::<Account>("000001", [transfer_debited("4.00", "-4.00")])[0];
        let credited = TransferCredited {
            transaction_id: t1(),
            funding_account: this(),
            begun_version: Version(1),
            amount: amount("4.00"),
            balance: money("4.00"),
        };
        let credit = &history::<Account>("000002", [credited.into()])[0];
        assert!(!fold.is_ready(credit));
        fold.fold(debit).expect("right");
        assert!(fold.is_ready(credit));
        assert_eq!(fold.flying(), money("4.00"));
        fold.fold(credit).expect("right");
        assert!(!fold.is_ready(credit), "it landed");
    }
}
