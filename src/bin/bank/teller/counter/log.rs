//! The log, by the engine's own calls.

use headwater::command::{ClientError, Outcome};
use headwater::engine::{CallError, Calls, CommandInput};
use headwater::position::Position;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{CounterError, Slip, Verdict, WAIT};

/// The log.
pub struct AtTheLog(pub Calls);

impl AtTheLog {
    pub(super) async fn send(&self, slip: &Slip, command_id: Uuid) -> Result<Verdict, CounterError> {
        let Slip { aggregate, id, command, data } = slip.clone();
        let input = CommandInput {
            aggregate: aggregate.to_owned(),
            id,
            command: command.to_owned(),
            data,
            command_id: Some(command_id),
            issued_at: None,
            expect: None,
            internal: false,
        };
        let judged = self.0.send(input, WAIT).await.map_err(explained)?;
        let position = judged.position();
        match judged.outcome {
            Outcome::Accepted(accepted) => {
                let data = accepted.data.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default();
                Ok(Verdict::Accepted { data, position })
            }
            Outcome::Refused(refused) => Ok(Verdict::Refused { code: refused.code, message: refused.message }),
            Outcome::Failed(failed) => Err(CounterError::Failed(failed.message)),
        }
    }

    pub(super) async fn ask(
        &self,
        query: &str,
        fields: &[(&str, String)],
        at: &[Position],
    ) -> Result<Option<Value>, CounterError> {
        let fields: Map<_, _> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
        Ok(self.0.ask_by_name(query, fields.into(), at, WAIT).await.map_err(explained)?.answer)
    }

    pub(super) async fn leave(self) {
        self.0.close().await;
    }
}

fn explained(error: CallError) -> CounterError {
    match error {
        CallError::Input(error) => CounterError::Input(error.to_string()),
        CallError::Command(error @ ClientError::Stopped(_)) => CounterError::Failed(error.to_string()),
        CallError::Command(error) => CounterError::Silent(error.to_string()),
        CallError::Query(error) if error.is_temporary() => CounterError::Silent(error.to_string()),
        other => CounterError::Failed(other.to_string()),
    }
}
