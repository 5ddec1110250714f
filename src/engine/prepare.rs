//! Makes of an input from outside a command that can be sent, or says which rule it breaks.

use uuid::Uuid;

use super::{BadInput, CommandInput, Engine, SendOptions};
use crate::aggregate::Aggregate;
use crate::clock::{self, Timestamp};
use crate::command::{CommandHead, EncodedCommand, IssuedAtError, ReplyTo, issued_at};
use crate::position::{Partition, Version};
use crate::schema::SchemaError;

/// Why an input cannot be sent.
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
    /// Checks an input and makes it a command that asks for its outcome at `reply_to`. Every input gets a
    /// time-ordered id that brings none.
    pub fn prepare(&self, input: CommandInput, reply_to: Option<ReplyTo>) -> Result<EncodedCommand, PrepareError> {
        let aggregate = self.aggregate(&input.aggregate)?;
        aggregate.check_id(&input.id)?;
        aggregate.check_command(&input.command, input.internal)?;
        let reply_at = reply_to.as_ref().map(|it| Partition(it.partition));
        let head = head(input.command_id, input.issued_at, input.expect, reply_to)?;
        let value = aggregate.encode_command(&head, &input.command, &input.data)?;
        let topic = aggregate.topics().commands.clone();
        Ok(EncodedCommand { topic, id: input.id, command_id: head.id, value, reply_at })
    }

    /// The same for a command that is a value already, internal or not.
    pub fn prepare_value<A: Aggregate>(
        &self,
        id: &A::Id,
        command: &A::Command,
        options: &SendOptions,
        reply_to: ReplyTo,
    ) -> Result<EncodedCommand, PrepareError> {
        let aggregate = self.aggregate(A::NAME)?;
        let id = id.to_string();
        aggregate.check_id(&id)?;
        let reply_at = Some(Partition(reply_to.partition));
        let head = head(options.command_id, options.issued_at, options.expect, Some(reply_to))?;
        let value = aggregate.encode_value(&head, command)?;
        let topic = aggregate.topics().commands.clone();
        Ok(EncodedCommand { topic, id, command_id: head.id, value, reply_at })
    }
}

pub(super) fn head(
    command_id: Option<Uuid>,
    given: Option<Timestamp>,
    expected_version: Option<Version>,
    reply_to: Option<ReplyTo>,
) -> Result<CommandHead, BadInput> {
    let id = command_id.unwrap_or_else(clock::new_id);
    let issued_at = issued_at(id, given).map_err(|error| {
        let field = if matches!(error, IssuedAtError::Missing(_)) { "/command_id" } else { "/issued_at" };
        BadInput::at(field, error.to_string())
    })?;
    Ok(CommandHead { id, issued_at, expected_version, causation_id: None, correlation_id: id, reply_to })
}
