//! Makes a wish from outside a command that can be sent, or says which rule it breaks.

use super::{BadInput, Engine, Wish};
use crate::clock;
use crate::command::{CommandHead, EncodedCommand, IssuedAtError, ReplyTo, issued_at};
use crate::schema::SchemaError;

/// Why a wish cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It breaks a rule.
    #[error(transparent)]
    Input(#[from] BadInput),
    /// Its command cannot be written at all.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl Engine {
    /// Checks a wish and makes it a command that asks for its outcome at `reply_to`. Every wish gets a
    /// time-ordered id that brings none.
    pub fn prepare(&self, wish: Wish, reply_to: Option<ReplyTo>) -> Result<EncodedCommand, PrepareError> {
        let aggregate = self.aggregate(&wish.aggregate)?;
        aggregate.check_id(&wish.id)?;
        aggregate.check_command(&wish.command, wish.internal)?;
        let command_id = wish.command_id.unwrap_or_else(clock::new_id);
        let issued_at = issued_at(command_id, wish.issued_at).map_err(|error| {
            let field = if matches!(error, IssuedAtError::Missing(_)) { "/command_id" } else { "/issued_at" };
            BadInput::at(field, error.to_string())
        })?;
        let head = CommandHead {
            id: command_id,
            issued_at,
            expected_version: wish.expect,
            causation_id: None,
            correlation_id: command_id,
            reply_to,
        };
        let value = aggregate.encode_command(&head, &wish.command, &wish.data)?;
        Ok(EncodedCommand { topic: aggregate.topics().commands.clone(), id: wish.id, command_id, value })
    }
}
