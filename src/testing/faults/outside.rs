//! Faults at calls outside of groups and transactions: of senders of single records, and of readers.

use std::sync::Arc;
use std::time::Duration;

use super::{Call, Decree, Fault, Faults};
use crate::log::{Delivery, LogError, Outgoing, Reader, Record, Sender, Stretch, TopicPartition};
use crate::position::Offset;

pub(super) struct FaultySender {
    pub sender: Arc<dyn Sender>,
    pub faults: Faults,
}

impl Sender for FaultySender {
    /// A delivery that fails does so later, as on a log that went away meanwhile.
    fn send(&self, record: Outgoing, delivered: Delivery) -> Result<(), LogError> {
        let lost = || LogError::Unavailable("a planted fault".to_owned());
        match self.faults.decree(Call::Deliver) {
            Decree::Strike(Fault::Fail) => {
                delivered(Err(lost()));
                Ok(())
            }
            Decree::Strike(Fault::LoseAnswer) => self.sender.send(record, Box::new(move |_| delivered(Err(lost())))),
            Decree::Strike(Fault::CrashBefore) => {
                self.faults.crash();
                self.faults.asking(|| Ok(()))
            }
            Decree::Strike(Fault::CrashAfter) => {
                drop(self.sender.send(record, Box::new(drop)));
                self.faults.crash();
                self.faults.asking(|| Ok(()))
            }
            Decree::Go | Decree::Dead => self.faults.asking(|| self.sender.send(record, delivered)),
        }
    }

    fn flush(&self, wait: Duration) -> Result<(), LogError> {
        self.faults.asking(|| self.sender.flush(wait))
    }
}

pub(super) struct FaultyReader {
    pub reader: Box<dyn Reader>,
    pub faults: Faults,
}

impl Reader for FaultyReader {
    fn follow(&mut self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        let faults = self.faults.clone();
        faults.asking(|| self.reader.follow(from))
    }

    fn poll(&mut self, wait: Duration, max: usize) -> Result<Vec<Record>, LogError> {
        let faults = self.faults.clone();
        faults.asking(|| self.reader.poll(wait, max))
    }

    fn read(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        until: Offset,
        wait: Duration,
        max: usize,
    ) -> Result<Stretch, LogError> {
        let faults = self.faults.clone();
        faults.log_call(Call::Read, || self.reader.read(partition, from, until, wait, max))
    }
}
