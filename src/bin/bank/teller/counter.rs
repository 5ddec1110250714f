//! Where the teller hands orders in: at the log, or at a gateway. Both take commands and queries by name.
//!
//! A command whose outcome is not known is handed in again under the same id, which does nothing twice.

mod gateway;
mod log;

use std::time::Duration;

use headwater::clock;
use headwater::position::Position;
use serde_json::Value;
use uuid::Uuid;

pub use gateway::Gateway;
pub use log::AtTheLog;

/// How long a command is handed in again for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one call waits.
const WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);

/// Where orders are handed in.
pub enum Counter {
    Log(AtTheLog),
    Gateway(Gateway),
}

/// A command by name.
#[derive(Clone, Debug)]
pub struct Slip {
    pub aggregate: &'static str,
    pub id: String,
    pub command: &'static str,
    pub data: Value,
}

/// What became of a command.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It was done. The position is to be waited for by whoever wants to see it.
    Accepted { data: Value, position: Option<Position> },
    /// The bank said no.
    Refused { code: String, message: String },
}

/// Why an order has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CounterError {
    /// It was wrong.
    #[error("{0}")]
    Input(String),
    /// Nobody answers at the moment; a command may have been done or not.
    #[error("{0}")]
    Silent(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

impl Counter {
    /// Hands a command in, again and again under one id until its outcome is known.
    pub async fn hand_in(&self, slip: &Slip) -> Result<Verdict, CounterError> {
        let (command_id, began) = (clock::new_id(), clock::instant());
        loop {
            match self.try_to(slip, command_id).await {
                Err(CounterError::Silent(_)) if began.elapsed() < PATIENCE => clock::sleep(PAUSE).await,
                Err(CounterError::Silent(reason)) => {
                    let unknown = "look at the ledger before you do it again: it may have been done";
                    return Err(CounterError::Silent(format!("{reason}; {unknown}")));
                }
                known => return known,
            }
        }
    }

    async fn try_to(&self, slip: &Slip, command_id: Uuid) -> Result<Verdict, CounterError> {
        match self {
            Self::Log(log) => log.send(slip, command_id).await,
            Self::Gateway(gateway) => gateway.send(slip, command_id).await,
        }
    }

    /// Asks a query once the views have reached these positions; nothing if there is no such thing.
    pub async fn ask(
        &self,
        query: &str,
        fields: &[(&str, String)],
        at: &[Position],
    ) -> Result<Option<Value>, CounterError> {
        match self {
            Self::Log(log) => log.ask(query, fields, at).await,
            Self::Gateway(gateway) => gateway.ask(query, fields, at).await,
        }
    }

    /// Leaves.
    pub async fn leave(self) {
        if let Self::Log(log) = self {
            log.leave().await;
        }
    }
}
