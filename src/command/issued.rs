//! When a command was issued: what its id says, or what its sender says.

use uuid::Uuid;

use crate::clock::{self, Timestamp};

/// Why it cannot be told when a command was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuedAtError {
    /// The id says one time and its sender another.
    #[error("command id {command_id} was made at {of_id}, which is when the command was issued; leave {given} out")]
    Contradiction {
        /// The command.
        command_id: Uuid,
        /// What the id says.
        of_id: Timestamp,
        /// What was said beside it.
        given: Timestamp,
    },
    /// Neither says it.
    #[error("command id {0} does not say when it was made: say when it was issued, or use a version-7 id")]
    Missing(Uuid),
}

/// The moment at which a command was issued: of a version-7 id the one that the id carries, to the
/// millisecond; of any other what its sender says.
///
/// A repeat is recognised by id and age; so a repeat must say the same time, which an id does by itself.
pub fn issued_at(command_id: Uuid, given: Option<Timestamp>) -> Result<Timestamp, IssuedAtError> {
    match (clock::time_of_id(command_id), given) {
        (Some(of_id), Some(given)) if of_id.as_millis() != given.as_millis() => {
            Err(IssuedAtError::Contradiction { command_id, of_id, given })
        }
        (Some(of_id), _) => Ok(of_id),
        (None, Some(given)) => Ok(given),
        (None, None) => Err(IssuedAtError::Missing(command_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_7_id_says_it_and_bears_no_other_time_beside_it() {
        let id = clock::new_id();
        let time = clock::time_of_id(id).expect("version 7");
        assert_eq!(issued_at(id, None), Ok(time));
        assert_eq!(issued_at(id, Some(Timestamp(time.0 + 999 - time.0 % 1000))), Ok(time));
        assert!(matches!(issued_at(id, Some(Timestamp(0))), Err(IssuedAtError::Contradiction { .. })));
    }

    #[test]
    fn for_other_ids_the_sender_must_say_it() {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, b"1");
        assert_eq!(issued_at(id, Some(Timestamp(7))), Ok(Timestamp(7)));
        assert_eq!(issued_at(id, None), Err(IssuedAtError::Missing(id)));
    }
}
