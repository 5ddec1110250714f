//! The log as a guest sees it: everything but working in it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::connection::{Connection, misunderstood};
use super::remote_reader::RemoteReader;
use super::remote_sender::RemoteSender;
use super::wire::{self, Answer, Question, Request};
use crate::clock::Timestamp;
use crate::log::embedded::keys::StoredTopic;
use crate::log::{
    Bounds, CommittedOffset, Group, Isolation, Log, LogError, Member, Reader, Sender, Topic, TopicPartition, TopicSpec,
    Writer,
};
use crate::position::Offset;

/// How many connections wait for the next call.
const MAX_IDLE: usize = 4;

/// An embedded log that another process holds. When that process ends, calls fail as
/// [`LogError::Unavailable`] until another holds the log.
pub struct RemoteLog {
    folder: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl std::fmt::Debug for RemoteLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteLog").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl RemoteLog {
    /// Connects to the process that holds the log in a folder.
    pub fn connect(folder: &Path) -> Result<Self, LogError> {
        let connection = Connection::open(folder)?;
        Ok(Self { folder: folder.to_owned(), idle: Mutex::new(vec![connection]) })
    }

    fn ask(&self, question: Question) -> Result<Answer, LogError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(&self.folder)?,
        };
        let answer = connection.call(&Request::Ask(question));
        // A connection that lost an answer would give it to the next call.
        if !matches!(answer, Err(LogError::Unavailable(_))) {
            let mut idle = idle();
            if idle.len() < MAX_IDLE {
                idle.push(connection);
            }
        }
        answer.map(|(answer, _)| answer)
    }
}

fn no_worker<T>() -> Result<T, LogError> {
    Err(LogError::Fatal("a worker role cannot run beside the process that holds the embedded log".to_owned()))
}

impl Log for RemoteLog {
    fn cluster(&self) -> Result<String, LogError> {
        let Answer::Cluster(cluster) = self.ask(Question::Cluster)? else { return Err(misunderstood()) };
        Ok(cluster)
    }

    fn describe(&self, topics: &[Topic]) -> Result<Vec<Option<TopicSpec>>, LogError> {
        let names = topics.iter().map(ToString::to_string).collect();
        let Answer::Topics(topics) = self.ask(Question::Describe(names))? else { return Err(misunderstood()) };
        Ok(topics.iter().map(|it| it.as_ref().map(StoredTopic::spec)).collect())
    }

    fn create(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        let topics = topics.iter().map(|it| StoredTopic::new(0, it)).collect();
        self.ask(Question::Create(topics)).map(drop)
    }

    fn bounds(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<Bounds>, LogError> {
        let committed = isolation == Isolation::Committed;
        let question = Question::Bounds { partitions: wire::places(partitions), committed };
        let Answer::Bounds(bounds) = self.ask(question)? else { return Err(misunderstood()) };
        Ok(bounds.into_iter().map(|(low, end)| Bounds { low, end }).collect())
    }

    fn offset_at(&self, partition: &TopicPartition, time: Timestamp) -> Result<Option<Offset>, LogError> {
        let question = Question::OffsetAt { partition: wire::place(partition), time };
        let Answer::OffsetAt(offset) = self.ask(question)? else { return Err(misunderstood()) };
        Ok(offset)
    }

    fn committed(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        let question = Question::Committed { group: group.to_owned(), partitions: wire::places(partitions) };
        let Answer::Committed(offsets) = self.ask(question)? else { return Err(misunderstood()) };
        Ok(offsets.into_iter().map(|it| it.map(|(offset, metadata)| wire::committed(offset, metadata))).collect())
    }

    fn set_committed(&self, group: &str, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), LogError> {
        let offsets = offsets.iter().map(|(to, it)| (wire::place(to), it.offset, it.metadata.clone())).collect();
        self.ask(Question::SetCommitted { group: group.to_owned(), offsets }).map(drop)
    }

    fn join(&self, _group: &Group) -> Result<Box<dyn Member>, LogError> {
        no_worker()
    }

    fn writer(&self, _id: &str) -> Result<Box<dyn Writer>, LogError> {
        no_worker()
    }

    fn sender(&self) -> Result<Arc<dyn Sender>, LogError> {
        Ok(Arc::new(RemoteSender::connect(&self.folder)?))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(RemoteReader::new(self.folder.clone())))
    }
}
