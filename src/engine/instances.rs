//! The instances of sagas, as their state topics tell of them, and waking one by hand. Blocks.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;

use super::scan::scan;
use super::{BadInput, Engine, InstanceError, InstanceRow, SagaGate};
use crate::clock;
use crate::log::{LogError, Outgoing, StallError, TopicPartition};
use crate::position::{Offset, Partition};
use crate::saga::Routed;
use crate::schema::SchemaError;
use crate::schema::json::Secrets;

/// How long to wait until a wake is taken in.
const WAKE_WAIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why instances cannot be shown or woken.
#[derive(Debug, thiserror::Error)]
pub enum SagasError {
    /// Something that is asked for does not exist.
    #[error(transparent)]
    Input(#[from] BadInput),
    /// The log, or an open transaction in it.
    #[error(transparent)]
    Stalled(#[from] StallError),
    /// An instance cannot be shown.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The wake cannot be written.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Nobody took the wake in.
    #[error("the wake is in the log, and nobody has taken it in within {0:?}; is a worker of role `sagas` running?")]
    Unheard(Duration),
}

impl From<LogError> for SagasError {
    fn from(error: LogError) -> Self {
        Self::Stalled(error.into())
    }
}

impl Engine {
    /// Every open instance, of one saga or of all, the oldest first.
    pub fn open_instances(&self, saga: Option<&str>, secrets: Secrets) -> Result<Vec<InstanceRow>, SagasError> {
        let mut rows = Vec::new();
        for gate in &self.sagas {
            if saga.is_some_and(|saga| saga != gate.name()) {
                continue;
            }
            for partition in
                (0..self.topology.partitions).map(|number| gate.topics().state.partition(Partition(number)))
            {
                for (id, record) in self.records_of(partition)? {
                    rows.push(gate.instance(&id, &record, secrets)?);
                }
            }
        }
        rows.retain(|row| row.ended_at.is_none());
        rows.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        Ok(rows)
    }

    /// One instance; `None` if there is none, or it ended long ago.
    pub fn instance(&self, gate: &dyn SagaGate, id: &str, secrets: Secrets) -> Result<Option<InstanceRow>, SagasError> {
        let partition = gate.topics().state.partition(self.partition_of(id));
        let record = self.records_of(partition)?.remove(id);
        Ok(record.map(|record| gate.instance(id, &record, secrets)).transpose()?)
    }

    /// The last record of each instance in a partition.
    fn records_of(&self, partition: TopicPartition) -> Result<BTreeMap<String, Bytes>, SagasError> {
        let mut records = BTreeMap::new();
        scan::<SagasError>(&*self.log, partition, Offset::ZERO, |record| {
            let id = record.key.and_then(|key| String::from_utf8(key.to_vec()).ok());
            if let Some(id) = id.filter(|id| !id.starts_with(Routed::KEY)) {
                match record.value {
                    Some(value) => records.insert(id, value),
                    None => records.remove(&id),
                };
            }
            Ok(())
        })?;
        Ok(records)
    }

    /// Wakes an instance: the steps that wait for their time are issued anew at once. Comes back when that is
    /// taken in.
    pub fn wake(&self, gate: &dyn SagaGate, id: &str) -> Result<(), SagasError> {
        let inbox = gate.topics().inbox.partition(self.partition_of(id));
        let value = gate.wake(clock::new_id(), self.clock.now())?;
        let written = self.write_wake(&inbox, id, value)?;
        let group = self.topology.saga_group(gate.name());
        let deadline = clock::instant() + WAKE_WAIT;
        while clock::instant() < deadline {
            let committed = self.log.committed(&group, std::slice::from_ref(&inbox))?.pop().flatten();
            if committed.is_some_and(|committed| committed.offset > written) {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Err(SagasError::Unheard(WAKE_WAIT))
    }

    fn write_wake(&self, inbox: &TopicPartition, id: &str, value: Bytes) -> Result<Offset, LogError> {
        let (report, written) = mpsc::sync_channel(1);
        let sender = self.log.sender()?;
        let record = Outgoing {
            topic: inbox.topic.clone(),
            partition: inbox.partition,
            key: Some(Bytes::copy_from_slice(id.as_bytes())),
            value: Some(value),
            traceparent: None,
        };
        // The receiver waits as long as the sender lives, so there is always somebody to report to.
        sender.send(record, Box::new(move |delivered| drop(report.send(delivered))))?;
        sender.flush(WAKE_WAIT)?;
        written
            .recv_timeout(WAKE_WAIT)
            .unwrap_or_else(|_| Err(LogError::Unavailable("what became of the wake is not known".to_owned())))
    }
}
