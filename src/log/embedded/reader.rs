//! The reader that belongs to no group.

use std::sync::Arc;
use std::time::Duration;

use super::fetch::{self, Flows};
use super::shared::{Shared, deadline};
use crate::clock;
use crate::log::{LogError, Reader, Record, Stretch, TopicPartition};
use crate::position::Offset;

pub(super) struct FreeReader {
    shared: Arc<Shared>,
    flows: Flows,
}

impl FreeReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, flows: Flows::default() }
    }
}

impl Reader for FreeReader {
    fn follow(&mut self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        let broker = self.shared.lock()?;
        for (partition, _) in from {
            broker.partition(partition)?;
        }
        drop(broker);
        self.flows.clear();
        for (partition, offset) in from {
            self.flows.start(partition.clone(), *offset);
        }
        Ok(())
    }

    fn poll(&mut self, wait: Duration, max: usize) -> Result<Vec<Record>, LogError> {
        let deadline = deadline(wait);
        let shared = Arc::clone(&self.shared);
        loop {
            let records = self.flows.take(max.max(1));
            if !records.is_empty() {
                return Ok(records);
            }
            let mut broker = shared.lock()?;
            let mut plans = self.flows.plans(&broker)?;
            while plans.is_empty() {
                if clock::instant() >= deadline {
                    return Ok(Vec::new());
                }
                broker = shared.wait(broker, deadline)?;
                plans = self.flows.plans(&broker)?;
            }
            drop(broker);
            self.flows.fetch(&shared, plans, max.max(1))?;
        }
    }

    fn read(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        until: Offset,
        wait: Duration,
        max: usize,
    ) -> Result<Stretch, LogError> {
        self.flows.clear();
        let deadline = deadline(wait);
        let mut broker = self.shared.lock()?;
        let plan = loop {
            let plan = broker.partition(partition)?.checked_plan(partition, from, until)?;
            if plan.from < plan.until || from >= until || clock::instant() >= deadline {
                break plan;
            }
            broker = self.shared.wait(broker, deadline)?;
        };
        drop(broker);
        let max = max.max(1);
        let mut fetched = fetch::fetch_held(&self.shared, partition, &plan, max)?;
        if fetched.records.len() > max {
            fetched.next = fetched.records[max].offset;
            fetched.records.truncate(max);
        }
        Ok(Stretch { records: fetched.records, next: fetched.next })
    }
}
