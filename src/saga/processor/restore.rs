//! A partition's instances from the compacted state topic, to its present end.
//!
//! A cold restore starts from nothing; a warm one, after a batch that did not commit, from the instances
//! before it.

use std::sync::Arc;

use super::super::error::PartitionError;
use super::super::records::Routed;
use super::Runner;
use super::gauges::Gauge;
use super::partition::{Entry, Instances, NEVER, Owned};
use crate::clock::Timestamp;
use crate::lane::{Committed, Progress, Step, Tools};
use crate::log::{LogError, RangeReader, Record, TopicPartition};
use crate::position::{Offset, Partition};
use crate::saga::Saga;
use crate::schema::DecodeError;

/// A restore under way.
#[derive(Debug)]
pub(super) struct Restore {
    owned: Owned,
    range: Option<RangeReader>,
    committed: Option<Offset>,
    /// The highest inbox offset that an instance has taken in.
    taken_in: Option<Offset>,
}

impl Owned {
    pub fn new(partition: Partition, gauge: Gauge) -> Self {
        Self {
            partition,
            instances: Instances::default(),
            time: Timestamp::MIN,
            inbox_offset: Offset::ZERO,
            state_offset: Offset::ZERO,
            is_dirty: false,
            passed_at: Timestamp::MIN,
            gauge,
        }
    }
}

impl Restore {
    pub(super) fn begin(owned: Owned, committed: Option<Committed>) -> Self {
        Self { owned, range: None, committed: committed.map(|it| it.offset), taken_in: None }
    }

    pub fn progress(&self) -> Progress {
        match &self.range {
            None => "begins".into(),
            Some(range) => Progress::reading("reads instances", range),
        }
    }

    pub(super) fn step<S: Saga>(
        mut self: Box<Self>,
        runner: &Runner<S>,
        tools: &mut Tools<'_>,
    ) -> Result<Step<Box<Self>, Owned>, PartitionError> {
        let Some(range) = &mut self.range else {
            let state = runner.codecs.topics.state.partition(self.owned.partition);
            self.range = Some(tools.range(state, self.owned.state_offset)?.0);
            return Ok(Step::More(self));
        };
        let Some(records) = tools.read(range)? else {
            self.owned.state_offset = range.next_offset();
            let inbox = runner.codecs.topics.inbox.partition(self.owned.partition);
            return Ok(Step::Done(self.finish(&inbox, tools)?));
        };
        for record in records {
            self.take(&record, runner)?;
        }
        Ok(Step::More(self))
    }

    fn take<S: Saga>(&mut self, record: &Record, runner: &Runner<S>) -> Result<(), PartitionError> {
        let partition = || record.topic.partition(record.partition);
        let Some(id) = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()) else { return Ok(()) };
        if id.starts_with(Routed::KEY) {
            return Ok(());
        }
        let id = self.owned.instances.id(id).unwrap_or_else(|| Arc::from(id));
        let Some(value) = &record.value else {
            self.owned.instances.put(id, None);
            return Ok(());
        };
        let head = runner.codecs.state.decode_head(value).map_err(|error| match error {
            DecodeError::RegistryAway(reason) => LogError::Unavailable(reason).into(),
            other => PartitionError::Unreadable {
                partition: partition(),
                what: "an instance's state",
                offset: record.offset,
                reason: other.to_string(),
            },
        })?;
        if head.ended_at.is_none() && head.state != S::STATE {
            let (id, found) = (id.to_string(), head.state);
            return Err(PartitionError::OtherState { partition: partition(), id, found, known: S::STATE });
        }
        self.owned.time = self.owned.time.max(head.time);
        self.taken_in = self.taken_in.max(Some(head.input_offset));
        let entry = match head.ended_at {
            Some(at) => Entry { due: at.plus(runner.settings.ended()), time: at, record: None },
            None => Entry { due: head.due().unwrap_or(NEVER), time: head.time, record: Some(Box::from(&value[..])) },
        };
        self.owned.instances.put(id, Some(entry));
        Ok(())
    }

    /// The offsets of an idle group expire: then the last input that an instance has taken in says where to go
    /// on. Those after it that changed nothing change nothing again.
    fn finish(mut self, inbox: &TopicPartition, tools: &mut Tools<'_>) -> Result<Owned, PartitionError> {
        if let (Some(input), Some(committed)) = (self.taken_in, self.committed)
            && input >= committed
        {
            return Err(PartitionError::Torn { partition: inbox.clone(), input, committed });
        }
        let low = tools.low(inbox)?;
        let before = Some(self.owned.inbox_offset).filter(|offset| *offset > Offset::ZERO);
        let known = self.taken_in.map(Offset::next).max(before);
        let committed = self.committed.or(known).unwrap_or(low);
        if committed < low {
            return Err(PartitionError::LostInputs { partition: inbox.clone(), committed, low });
        }
        self.owned.inbox_offset = tools.pass_markers(inbox, committed)?;
        self.owned.passed_at = tools.clock.now();
        Ok(self.owned)
    }
}
