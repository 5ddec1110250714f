//! What an instance does when its time has come, without an input: its deadline, the retries of its steps,
//! and when it has ended long ago, being forgotten.
//!
//! Nothing is done before the wall clock says so. The time that the saga is told is the moment that was
//! waited for, or the partition's if that is later, so it depends on the log alone and never runs backwards.

use std::sync::Arc;

use bytes::Bytes;

use super::super::error::PartitionError;
use super::Runner;
use super::instance::{Cause, Instance};
use super::partition::{Changes, Entry, Owned};
use crate::clock::Timestamp;
use crate::lane::Share;
use crate::log::LogError;
use crate::saga::{Input, Saga};
use crate::schema::DecodeError;

impl<S: Saga> Runner<S> {
    /// Does what is due, as much as fits a batch. An instance that the batch has changed already waits for
    /// the next.
    pub(super) fn fire(&self, state: &Owned, share: &mut Share<Changes>, now: Timestamp) -> Result<(), PartitionError> {
        let is_free = |id: &&Arc<str>| !share.changes.instances.contains_key(*id);
        let due: Vec<_> =
            state.instances.due(now).filter(is_free).take(self.processor.batch_commands).cloned().collect();
        for id in due {
            if share.bytes() >= self.processor.batch_bytes {
                break;
            }
            let Some(Entry { due, record, .. }) = state.instances.get(&id) else { continue };
            share.changes.time = share.changes.time.max(*due);
            match record {
                None => {
                    let key = Bytes::copy_from_slice(id.as_bytes());
                    share.delete(self.codecs.topics.state.partition(share.partition), key);
                    share.changes.instances.insert(id, None);
                }
                Some(record) => self.fire_one(id, record, share, now)?,
            }
        }
        Ok(())
    }

    fn fire_one(
        &self,
        id: Arc<str>,
        record: &[u8],
        share: &mut Share<Changes>,
        now: Timestamp,
    ) -> Result<(), PartitionError> {
        let partition = self.codecs.topics.state.partition(share.partition);
        let mut instance = self.opened(id, record).map_err(|error| match error {
            DecodeError::RegistryAway(reason) => LogError::Unavailable(reason).into(),
            other => PartitionError::Unreadable {
                partition: partition.clone(),
                what: "an instance's state",
                offset: share.next_offset,
                reason: other.to_string(),
            },
        })?;
        let cause = Cause {
            partition,
            input: "what is due".to_owned(),
            id: None,
            time: share.changes.time,
            issued_at: now,
            offset: None,
            traceparent: None,
        };
        self.reissue_where(&mut instance, &cause, |step| step.retry_at.is_some_and(|at| at <= now))?;
        self.tell_deadline(&mut instance, &cause, now)?;
        self.keep(instance, share, &cause)
    }

    fn tell_deadline(&self, instance: &mut Instance<S>, cause: &Cause, now: Timestamp) -> Result<(), PartitionError> {
        let is_over = instance.head.deadline.is_some_and(|deadline| deadline <= now);
        if !is_over || instance.head.is_ending {
            return Ok(());
        }
        instance.head.deadline = None;
        self.react(instance, Input::Deadline, None, cause)
    }
}
