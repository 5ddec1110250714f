//! The registry that is kept in the log itself, for the embedded log.
//!
//! One compacted topic holds a record for each id: the key is the id, the value JSON with subject and
//! schema. To register, a process opens the one writer of this topic, which fences every other; what
//! it then reads is all there is, and it commits only if nobody opened the writer after it. So ids are
//! given once, whoever asks, through the log port alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use serde::{Deserialize, Serialize};

use super::subjects::Subjects;
use super::{Registered, Registry, RegistryError, SchemaId};
use crate::log::{
    Log, LogError, Outgoing, RangeReader, Record, Retention, StallError, TimeKind, Topic, TopicPartition, TopicSpec,
    TransactionError,
};
use crate::position::{Offset, Partition};

const TOPIC: &str = "_schemas";
const WRITER: &str = "_schemas";
const STALL: Duration = Duration::from_secs(30);
/// An attempt is lost when another process opened the writer meanwhile. Unequal pauses between them keep
/// processes that start together from fencing each other for ever.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const ATTEMPTS: usize = 60;

/// Keeps ids and schemas on a compacted topic of a log.
pub struct EmbeddedRegistry {
    log: Arc<dyn Log>,
    partition: TopicPartition,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    subjects: Subjects,
    next: Offset,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    subject: String,
    schema: String,
}

impl EmbeddedRegistry {
    /// The registry of a log; creates its topic where there is none.
    pub fn open(log: Arc<dyn Log>) -> Result<Self, RegistryError> {
        let topic = Topic::from(TOPIC);
        let spec =
            TopicSpec { topic: topic.clone(), partitions: 1, retention: Retention::Compacted, time: TimeKind::Create };
        log.create(&[spec]).map_err(of_log)?;
        Ok(Self { log, partition: topic.partition(Partition(0)), known: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known, up to the end of the topic as of now.
    fn refreshed(&self) -> Result<MutexGuard<'_, Known>, RegistryError> {
        let mut known = self.known();
        let mut reader = self.log.reader().map_err(of_log)?;
        let range = RangeReader::to_present_end(&*self.log, self.partition.clone(), known.next, STALL);
        let mut range = range.map_err(of_log)?;
        while let Some(records) = range.step(&*self.log, &mut *reader).map_err(of_stall)? {
            for record in &records {
                known.take_in(record)?;
            }
            known.next = range.next_offset();
        }
        Ok(known)
    }

    /// One attempt; `None` if another process was faster.
    fn try_register(&self, subject: &str, schema: &str) -> Result<Option<SchemaId>, RegistryError> {
        let mut writer = self.log.writer(WRITER).map_err(of_log)?;
        let id = {
            let known = self.refreshed()?;
            if let Some(id) = known.subjects.lookup(subject, schema)? {
                return Ok(Some(id));
            }
            known.subjects.next_id(subject, schema)?
        };
        let entry = Entry { subject: subject.to_owned(), schema: schema.to_owned() };
        let value = serde_json::to_vec(&entry).map_err(|error| RegistryError::Refused(error.to_string()))?;
        let record = Outgoing {
            topic: self.partition.topic.clone(),
            partition: self.partition.partition,
            key: Some(id.to_string().into()),
            value: Some(value.into()),
            traceparent: None,
        };
        let write = || {
            writer.begin()?;
            writer.send(&[record])?;
            writer.commit()
        };
        match write() {
            Ok(_) => Ok(Some(id)),
            Err(TransactionError::Rejected(reason)) => Err(RegistryError::Refused(reason)),
            // The next attempt's writer ends what this one may have left, and reads what became of it.
            Err(_) => Ok(None),
        }
    }
}

impl Known {
    fn take_in(&mut self, record: &Record) -> Result<(), RegistryError> {
        let place = format!("{}/{} offset {}", record.topic, record.partition, record.offset);
        let wrong = |reason: &str| RegistryError::Refused(format!("{place}: {reason}"));
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let id = key.and_then(|key| key.parse().ok()).ok_or_else(|| wrong("the key is no schema id"))?;
        let value = record.value.as_deref().ok_or_else(|| wrong("a schema was deleted"))?;
        let entry: Entry = serde_json::from_slice(value).map_err(|error| wrong(&error.to_string()))?;
        self.subjects.restore(SchemaId(id), &entry.subject, &entry.schema)
    }
}

impl Registry for EmbeddedRegistry {
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        if let Some(id) = self.lookup(subject, schema)? {
            return Ok(id);
        }
        let pauses = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(ATTEMPTS)
            .with_jitter();
        for pause in pauses.build() {
            if let Some(id) = self.try_register(subject, schema)? {
                return Ok(id);
            }
            std::thread::sleep(pause);
        }
        Err(RegistryError::Away(format!("{TOPIC}: other processes register schemas all the time")))
    }

    fn lookup(&self, subject: &str, schema: &str) -> Result<Option<SchemaId>, RegistryError> {
        if let Some(id) = self.known().subjects.lookup(subject, schema)? {
            return Ok(Some(id));
        }
        self.refreshed()?.subjects.lookup(subject, schema)
    }

    fn schema(&self, id: SchemaId) -> Result<Option<String>, RegistryError> {
        if let Some(schema) = self.known().subjects.schema(id) {
            return Ok(Some(schema));
        }
        Ok(self.refreshed()?.subjects.schema(id))
    }

    fn latest(&self, subject: &str) -> Result<Option<Registered>, RegistryError> {
        Ok(self.refreshed()?.subjects.latest(subject))
    }

    fn check(&self, subject: &str, schema: &str) -> Result<Vec<String>, RegistryError> {
        self.refreshed()?.subjects.check(subject, schema)
    }

    fn set_compatibility(&self, _subject: &str) -> Result<(), RegistryError> {
        // Nothing else is ever accepted here.
        Ok(())
    }
}

fn of_log(error: LogError) -> RegistryError {
    RegistryError::Away(error.to_string())
}

fn of_stall(error: StallError) -> RegistryError {
    RegistryError::Away(error.to_string())
}
