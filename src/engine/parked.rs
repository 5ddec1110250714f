//! Parked aggregates, as their parked topics tell of them, and what may be asked about one.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::events::{EventsError, as_text};
use super::prepare::{PrepareError, head};
use super::scan::scan;
use super::{AggregateGate, Engine};
use crate::clock::Timestamp;
use crate::command::{Control, EncodedCommand, ParkedQueue, ParkedQueues, ReplyTo, WaitingCommand};
use crate::position::{Offset, Partition};
use crate::schema::json::Secrets;

/// A parked aggregate as the faces show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParkedRow {
    /// The aggregate's type name.
    pub aggregate: &'static str,
    /// The aggregate's id.
    pub id: String,
    /// The partition it stands in.
    pub partition: Partition,
    /// How many of its commands wait.
    pub commands: usize,
    /// The first of them.
    pub command_id: Uuid,
    /// The offset of the first.
    pub offset: Offset,
    /// When the first was appended.
    #[serde(serialize_with = "as_text")]
    pub appended_at: Timestamp,
    /// Why the first cannot be judged; empty while it was not tried.
    pub reason: String,
}

/// A command that waits, as the faces show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WaitingRow {
    /// The command's id.
    pub command_id: Uuid,
    /// Its offset on the commands topic.
    pub offset: Offset,
    /// When it was appended.
    #[serde(serialize_with = "as_text")]
    pub appended_at: Timestamp,
    /// Its type name; none if this release cannot read it.
    pub command: Option<&'static str>,
    /// Its fields.
    pub data: Value,
}

impl Engine {
    /// Every parked aggregate, of one type or of all, by partition and id. Blocks.
    pub fn parked(&self) -> Result<Vec<ParkedRow>, EventsError> {
        let mut rows = Vec::new();
        for gate in &self.aggregates {
            for partition in (0..self.topology.partitions).map(Partition) {
                let queues = self.parked_queues(gate.as_ref(), partition)?;
                let row = |(id, queue): (&Arc<str>, &ParkedQueue)| row(gate.name(), id, partition, queue);
                rows.extend(queues.iter().filter_map(row));
            }
        }
        rows.sort_by(|one, other| {
            (one.aggregate, one.partition, &one.id).cmp(&(other.aggregate, other.partition, &other.id))
        });
        Ok(rows)
    }

    /// One parked aggregate with the commands that wait, in order; `None` if it is not parked. Blocks.
    pub fn parked_aggregate(
        &self,
        gate: &dyn AggregateGate,
        id: &str,
        secrets: Secrets,
    ) -> Result<Option<(ParkedRow, Vec<WaitingRow>)>, EventsError> {
        let partition = self.partition_of(id);
        let queues = self.parked_queues(gate, partition)?;
        let Some(queue) = queues.get(id) else { return Ok(None) };
        let waiting = |command: &WaitingCommand| {
            let named = gate.command(&command.value, secrets);
            let (name, data) = named.map_or((None, Value::Null), |named| (Some(named.name), named.data));
            let WaitingCommand { command_id, offset, appended_at, .. } = *command;
            WaitingRow { command_id, offset, appended_at, command: name, data }
        };
        let commands = queue.iter().map(|command| waiting(command)).collect();
        Ok(row(gate.name(), id, partition, queue).map(|row| (row, commands)))
    }

    fn parked_queues(&self, gate: &dyn AggregateGate, partition: Partition) -> Result<ParkedQueues, EventsError> {
        let mut queues = ParkedQueues::default();
        scan::<EventsError>(&*self.log, gate.topics().parked.partition(partition), Offset::ZERO, |record| {
            let parked = gate.parked(&record)?;
            let id = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
            queues.fold(&id, parked, record.offset);
            Ok(())
        })?;
        Ok(queues)
    }

    /// Makes of what is asked about a parked aggregate a command that can be sent.
    pub fn prepare_control(
        &self,
        gate: &dyn AggregateGate,
        id: &str,
        control: &Control,
        reply_to: ReplyTo,
    ) -> Result<EncodedCommand, PrepareError> {
        gate.check_id(id)?;
        let reply_at = Some(Partition(reply_to.partition));
        let head = head(None, None, None, Some(reply_to))?;
        let value: Bytes = gate.encode_control(&head, control)?;
        let topic = gate.topics().commands.clone();
        Ok(EncodedCommand { topic, id: id.to_owned(), command_id: head.id, value, reply_at })
    }
}

fn row(aggregate: &'static str, id: &str, partition: Partition, queue: &ParkedQueue) -> Option<ParkedRow> {
    let first = queue.first()?;
    Some(ParkedRow {
        aggregate,
        id: id.to_owned(),
        partition,
        commands: queue.len(),
        command_id: first.command_id,
        offset: first.offset,
        appended_at: first.appended_at,
        reason: queue.reason.clone(),
    })
}
