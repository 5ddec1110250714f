//! The wallet: somebody's money, of which there is never less than nothing.

use headwater::{Aggregate, AttemptsRetention, Context, Decision, EventContext, Refusal, messages, state};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::amount::Amount;
use crate::ksuid::Ksuid;

/// Somebody's money.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    balance: i64,
}

/// Puts money in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credit {
    /// How much.
    pub amount: Amount,
}

/// Takes money out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Debit {
    /// How much.
    pub amount: Amount,
}

/// Money came in or went out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// How much came in; less than nothing if it went out.
    pub by: i64,
    /// What is there afterwards.
    pub balance: i64,
}

state! { Wallet in "schemas/wallet/wallet" }

messages! {
    /// What may be asked of a wallet.
    pub enum WalletCommand in "schemas/wallet/wallet/commands" { Credit, Debit }
}

messages! {
    /// What can happen to a wallet.
    pub enum WalletEvent in "schemas/wallet/wallet/events" { Moved }
}

/// Why a wallet refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletRefusal {
    /// There is less in it than is to go out.
    #[error("there are {balance}, and {would_be} would be left")]
    Overdrawn {
        /// What is there.
        balance: i64,
        /// What would be there.
        would_be: i64,
    },
    /// More than a wallet can count.
    #[error("there are {balance}, and no wallet holds as much as that with {amount} more")]
    Full {
        /// What is there.
        balance: i64,
        /// What would come in.
        amount: i64,
    },
}

impl Refusal for WalletRefusal {
    const CODES: &'static [&'static str] = &["overdrawn", "wallet_full"];

    fn code(&self) -> &'static str {
        match self {
            Self::Overdrawn { .. } => "overdrawn",
            Self::Full { .. } => "wallet_full",
        }
    }

    fn data(&self) -> Option<serde_json::Value> {
        Some(match self {
            Self::Overdrawn { balance, would_be } => json!({ "balance": balance, "would_be": would_be }),
            Self::Full { balance, .. } => json!({ "balance": balance }),
        })
    }
}

impl Aggregate for Wallet {
    const NAME: &'static str = "wallet";
    /// The history tells of every attempt there ever was.
    const ATTEMPTS_RETENTION: AttemptsRetention = AttemptsRetention::Forever;
    type Id = Ksuid;
    type Command = WalletCommand;
    type Event = WalletEvent;
    type Refusal = WalletRefusal;

    fn decide(&self, command: WalletCommand, _: &Context<'_>) -> Result<Decision<WalletEvent>, WalletRefusal> {
        let balance = self.balance;
        let by = match command {
            WalletCommand::Credit(Credit { amount }) => amount.units(),
            WalletCommand::Debit(Debit { amount }) => -amount.units(),
        };
        let afterwards = balance.checked_add(by).ok_or(WalletRefusal::Full { balance, amount: by })?;
        if afterwards < 0 {
            return Err(WalletRefusal::Overdrawn { balance, would_be: afterwards });
        }
        Ok(Decision::event(Moved { by, balance: afterwards }).reply(&json!({ "balance": afterwards })))
    }

    fn evolve(&mut self, WalletEvent::Moved(moved): &WalletEvent, _: &EventContext<'_>) {
        self.balance = moved.balance;
    }
}

#[cfg(test)]
mod tests {
    use headwater::schema::check;
    use headwater::testing::Given;

    use super::*;

    fn amount(units: i64) -> Amount {
        units.try_into().expect("an amount")
    }

    #[test]
    fn types_and_schemas_say_the_same() {
        check::<Wallet>().expect("the state");
        check::<WalletCommand>().expect("the commands");
        check::<WalletEvent>().expect("the events");
    }

    #[test]
    fn money_comes_in_and_goes_out_down_to_nothing() {
        Given::<Wallet>::nothing()
            .when(Credit { amount: amount(5) })
            .then_events([Moved { by: 5, balance: 5 }])
            .then_reply(&json!({ "balance": 5 }))
            .when(Debit { amount: amount(5) })
            .then_events([Moved { by: -5, balance: 0 }])
            .into_given()
            .survives_the_log();
    }

    #[test]
    fn a_debit_beyond_the_balance_is_refused_with_the_balance_it_would_lead_to() {
        Given::<Wallet>::events([Moved { by: 5, balance: 5 }])
            .when(Debit { amount: amount(8) })
            .then_refused("overdrawn")
            .then_refusal_data(&json!({ "balance": 5, "would_be": -3 }));
        Given::<Wallet>::nothing()
            .when(Debit { amount: amount(i64::MAX) })
            .then_refused("overdrawn")
            .then_refusal_data(&json!({ "balance": 0, "would_be": -i64::MAX }));
    }

    #[test]
    fn a_credit_beyond_what_can_be_counted_is_refused() {
        Given::<Wallet>::events([Moved { by: i64::MAX, balance: i64::MAX }])
            .when(Credit { amount: amount(1) })
            .then_refused("wallet_full");
    }
}
