//! An outcome as the faces show it: JSON that names its command.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Outcome;
use crate::position::Position;

/// The outcome of one command, to be shown:
/// `{"outcome":"accepted","aggregate":"account","id":"000001","command_id":"…","version":8,"position":"account/3:1042"}`.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The aggregate's type name.
    pub aggregate: &'a str,
    /// The aggregate's id.
    pub id: &'a str,
    /// The command's id.
    pub command_id: Uuid,
    /// What became of it.
    pub outcome: &'a Outcome,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("outcome", self.outcome.kind())?;
        map.serialize_entry("aggregate", self.aggregate)?;
        map.serialize_entry("id", self.id)?;
        map.serialize_entry("command_id", &self.command_id)?;
        match self.outcome {
            Outcome::Accepted(accepted) => {
                map.serialize_entry("version", &accepted.version)?;
                let (aggregate, partition, sequence) =
                    (self.aggregate.to_owned(), accepted.partition, accepted.sequence);
                map.serialize_entry("position", &Position { aggregate, partition, sequence })?;
                data(&mut map, accepted.data.as_deref())?;
            }
            Outcome::Refused(refused) => {
                map.serialize_entry("code", &refused.code)?;
                map.serialize_entry("message", &refused.message)?;
                map.serialize_entry("version", &refused.version)?;
                data(&mut map, refused.data.as_deref())?;
            }
            Outcome::Failed(failed) => {
                map.serialize_entry("code", failed.code.as_str())?;
                map.serialize_entry("message", &failed.message)?;
            }
        }
        map.end()
    }
}

/// The aggregate's own data is JSON already.
fn data<M: SerializeMap>(map: &mut M, text: Option<&str>) -> Result<(), M::Error> {
    match text.map(serde_json::from_str::<&RawValue>) {
        Some(Ok(data)) => map.serialize_entry("data", data),
        Some(Err(error)) => Err(serde::ser::Error::custom(format!("the outcome's data is no JSON: {error}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Accepted, Failure, Refused};
    use crate::position::{Partition, Sequence, Version};

    fn shown(outcome: &Outcome) -> String {
        let answer = Answer { aggregate: "account", id: "000001", command_id: Uuid::nil(), outcome };
        serde_json::to_string(&answer).expect("JSON")
    }

    #[test]
    fn an_outcome_names_its_command_and_what_became_of_it() {
        let head =
            "\"aggregate\":\"account\",\"id\":\"000001\",\"command_id\":\"00000000-0000-0000-0000-000000000000\"";
        let accepted = Outcome::Accepted(Accepted {
            version: Version(8),
            partition: Partition(3),
            sequence: Sequence(1042),
            data: Some("{\"balance\":\"1.00\"}".to_owned()),
        });
        let expected = format!(
            "{{\"outcome\":\"accepted\",{head},\"version\":8,\"position\":\"account/3:1042\",\"data\":{{\"balance\":\"1.00\"}}}}"
        );
        assert_eq!(shown(&accepted), expected);
        let (code, message) = ("insufficient_funds".to_owned(), "not enough".to_owned());
        let refused = Outcome::Refused(Refused { code, message, version: Version(7), data: None });
        let expected = format!(
            "{{\"outcome\":\"refused\",{head},\"code\":\"insufficient_funds\",\"message\":\"not enough\",\"version\":7}}"
        );
        assert_eq!(shown(&refused), expected);
        let failed = Outcome::failed(Failure::Conflict, "other payload");
        let expected = format!("{{\"outcome\":\"failed\",{head},\"code\":\"conflict\",\"message\":\"other payload\"}}");
        assert_eq!(shown(&failed), expected);
    }
}
