//! The sender of single records. A record is in storage before its delivery is told.

use std::sync::Arc;
use std::time::Duration;

use super::broker::Broker;
use super::chunk::{Parts, Producer};
use super::shared::Shared;
use super::storage::Batch;
use crate::log::{Delivery, LogError, Outgoing, Sender, TopicPartition};
use crate::position::Offset;

pub(super) struct DirectSender {
    shared: Arc<Shared>,
}

impl Broker {
    fn deliver(&mut self, record: &Outgoing) -> Result<Offset, LogError> {
        let to = TopicPartition { topic: record.topic.clone(), partition: record.partition };
        let offset = self.append(&to, Producer::NONE, Parts::from(record))?;
        let mut batch = Batch::default();
        self.partition_mut(&to)?.close_tail(&mut batch);
        self.write(batch)?;
        Ok(offset)
    }
}

impl DirectSender {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Sender for DirectSender {
    fn send(&self, record: Outgoing, delivered: Delivery) -> Result<(), LogError> {
        let offset = self.shared.lock()?.deliver(&record)?;
        self.shared.wake();
        delivered(Ok(offset));
        Ok(())
    }

    fn flush(&self, _wait: Duration) -> Result<(), LogError> {
        // Everything was delivered when `send` returned.
        Ok(())
    }
}
