//! The log port: what the engine needs of Kafka, and nothing more.
//!
//! Two adapters stand behind it, [`kafka`] and [`embedded`]; one contract suite holds both to the
//! same behaviour. Everything here blocks: it is called from lane threads and other OS threads, never
//! from a tokio thread.
//!
//! What an adapter promises:
//!
//! * A transaction of records and offsets is all or nothing, and a reader that is
//!   [read-committed](Isolation::Committed) sees nothing of it before it is committed, nor anything
//!   behind the oldest open transaction.
//! * Offsets are committed only under a current [`Fence`]: the group's generation is checked with each.
//! * A member is never given a partition that another live member still holds.

pub mod embedded;
mod fence;
pub mod kafka;
mod range;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::position::{Offset, Partition};

pub use fence::Fence;
pub use range::{RangeReader, StallError};

/// A topic's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One partition of this topic.
    #[must_use]
    pub fn partition(&self, partition: Partition) -> TopicPartition {
        TopicPartition { topic: self.clone(), partition }
    }
}

impl std::borrow::Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for Topic {
    fn from(name: T) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: Partition,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A record as read. An absent value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic it was read from.
    pub topic: Topic,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// When the broker appended it, on a topic with [`AppendTime`](TimeKind::Append); else when its
    /// producer made it.
    pub timestamp: Timestamp,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// The W3C `traceparent` header, the only header the engine knows; others are passed over.
    pub traceparent: Option<Bytes>,
}

/// A record to be written. The engine always names the partition itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic to write to.
    pub topic: Topic,
    /// The partition to write to.
    pub partition: Partition,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` writes a tombstone.
    pub value: Option<Bytes>,
    /// The W3C `traceparent` header.
    pub traceparent: Option<Bytes>,
}

/// What a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Everything that was appended. Only for asking where a partition ends.
    Uncommitted,
    /// Only what was committed, up to the oldest open transaction.
    Committed,
}

/// The stretch of a partition that there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset still held.
    pub low: Offset,
    /// One past the last: the high watermark for [`Isolation::Uncommitted`], the last stable offset
    /// for [`Isolation::Committed`].
    pub end: Offset,
}

/// A consumer offset with the text stored beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// Free text kept with it; the engine stores the owner's transactional ids here.
    pub metadata: String,
}

/// How long a topic keeps its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// For ever.
    Forever,
    /// At least this long.
    For(Duration),
    /// The last record of each key.
    Compacted,
}

/// Whose clock a topic's timestamps come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeKind {
    /// The broker's, when it appends (`LogAppendTime`).
    Append,
    /// The producer's (`CreateTime`).
    Create,
}

/// A topic as the engine wants it, or as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub topic: Topic,
    /// How many partitions it has.
    pub partitions: i32,
    /// How long it keeps records.
    pub retention: Retention,
    /// Whose clock its timestamps come from.
    pub time: TimeKind,
}

/// What went wrong at the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log is away or busy: try again.
    #[error("the log is not reachable: {0}")]
    Unavailable(String),
    /// A topic or partition does not exist.
    #[error("{0} does not exist; create the topics with `topics apply`")]
    Missing(String),
    /// The offset asked for is no longer held, or not yet there.
    #[error("{partition}: offset {offset} is outside of what is held ({low} to {end})")]
    OutOfRange {
        /// Where.
        partition: TopicPartition,
        /// What was asked for.
        offset: Offset,
        /// The first offset held.
        low: Offset,
        /// One past the last.
        end: Offset,
    },
    /// This member no longer belongs to its group's present generation.
    #[error("fenced: {0}")]
    Fenced(String),
    /// The local queue is full: wait and try again.
    #[error("the queue towards the log is full")]
    QueueFull,
    /// A record is larger than the log takes.
    #[error("{0}")]
    TooLarge(String),
    /// Trying again does not help.
    #[error("the log failed: {0}")]
    Fatal(String),
}

impl LogError {
    /// Whether the log is away or busy, and is to be tried again.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::QueueFull)
    }

    /// Whether the same call may succeed later: also if something is missing. A topic may be created, and a
    /// broker that has just come up says of each that it does not exist until it has read which there are.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        self.is_away() || matches!(self, Self::Missing(_))
    }
}

/// Why a transactional call did not succeed, as what is to be done next.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// Make the same call with the same arguments again.
    #[error("try the same call again: {0}")]
    Retriable(String),
    /// Abort, then rewind to the committed offset.
    #[error("abort the transaction: {0}")]
    Abortable(String),
    /// This record cannot be written at all, however often it is tried. Abort, then rewind.
    #[error("{0}")]
    Rejected(String),
    /// Throw the writer away and make a new one under the same id, which ends whatever the old one left.
    #[error("replace the writer: {0}")]
    Fatal(String),
}

/// What a writer's transaction left behind, once committed: for each partition written to, one past
/// its last record.
pub type Written = hashbrown::HashMap<TopicPartition, Offset>;

/// Called once with the offset of a record sent outside of transactions, or with why it was not
/// written. Must not block.
pub type Delivery = Box<dyn FnOnce(Result<Offset, LogError>) + Send>;

/// A consumer group to join.
#[derive(Clone, Debug)]
pub struct Group {
    /// `group.id`.
    pub name: String,
    /// `group.instance.id`: names this member across restarts. No two live members may share one.
    pub instance: Option<String>,
    /// The topics whose partitions are shared out.
    pub topics: Vec<Topic>,
}

/// What [`Member::poll`] came back with.
#[derive(Debug)]
pub enum Polled {
    /// Records of resumed partitions, in order within each; none if the wait ended first.
    Records(Vec<Record>),
    /// Partitions newly owned. They are paused until [`Member::resume`].
    Assigned(Vec<TopicPartition>),
    /// Partitions to be handed over. They are still owned, and nobody else has them, until
    /// [`Member::release`], which must follow soon: the whole group waits for it.
    Revoked(Vec<TopicPartition>),
    /// Partitions that are gone already; another member may own them. Also to be released.
    Lost(Vec<TopicPartition>),
}

/// A log: a Kafka cluster, or the embedded one.
pub trait Log: Send + Sync + 'static {
    /// Tells clusters apart: local state that was made from one is worthless for another.
    fn cluster(&self) -> Result<String, LogError>;
    /// Each topic as it is; `None` where it does not exist.
    fn describe(&self, topics: &[Topic]) -> Result<Vec<Option<TopicSpec>>, LogError>;
    /// Creates the topics; one that exists is left as it is.
    fn create(&self, topics: &[TopicSpec]) -> Result<(), LogError>;
    /// What there is to read of each partition, in the order asked.
    fn bounds(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<Bounds>, LogError>;
    /// The first offset with a timestamp at or after `time`; `None` if there is none.
    fn offset_at(&self, partition: &TopicPartition, time: Timestamp) -> Result<Option<Offset>, LogError>;
    /// A group's committed offsets, in the order asked, however old the transactions that wrote them.
    fn committed(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError>;
    /// Sets a group's offsets by hand. Refused as [`LogError::Fenced`] while the group has members.
    fn set_committed(&self, group: &str, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), LogError>;
    /// Joins a consumer group.
    fn join(&self, group: &Group) -> Result<Box<dyn Member>, LogError>;
    /// Opens a transactional writer. Ends the transaction that an earlier writer of this id left open,
    /// and fences that writer.
    fn writer(&self, id: &str) -> Result<Box<dyn Writer>, LogError>;
    /// Opens a sender of single records, outside of transactions.
    fn sender(&self) -> Result<Arc<dyn Sender>, LogError>;
    /// Opens a reader that belongs to no group; it sees what is committed.
    fn reader(&self) -> Result<Box<dyn Reader>, LogError>;
}

/// A member of a consumer group, used by one thread.
pub trait Member: Send {
    /// Waits up to `wait` for something to do, then gives at most `max` records without waiting for
    /// more. Must be called at least once a minute, also while everything is paused, or the group
    /// evicts this member.
    fn poll(&mut self, wait: Duration, max: usize) -> Result<Polled, LogError>;
    /// Starts the flow of newly assigned, or rewinds resumed, partitions at these offsets. Records
    /// fetched before are dropped.
    fn resume(&mut self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError>;
    /// Stops the flow of partitions until they are resumed.
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;
    /// Hands over what was [revoked](Polled::Revoked) or [lost](Polled::Lost).
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;
    /// The group's committed offsets. Waits while a transaction that changes them is open.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError>;
    /// Proof of the present membership. [`LogError::Fenced`] before the first assignment and after
    /// eviction.
    fn fence(&mut self) -> Result<Fence, LogError>;
    /// Leaves the group at once, so that others take over without waiting for the session to end.
    fn leave(self: Box<Self>) -> Result<(), LogError>;
}

/// A transactional writer, used by one thread.
pub trait Writer: Send {
    /// Begins a transaction.
    fn begin(&mut self) -> Result<(), TransactionError>;
    /// Adds records, which keep this order within each partition. Returns before they are written. After an
    /// error some may have been added: the transaction is to be aborted, and the call is never retriable.
    fn send(&mut self, records: &[Outgoing]) -> Result<(), TransactionError>;
    /// Adds consumer offsets, which are accepted only if the fence is still current.
    fn send_offsets(
        &mut self,
        fence: &Fence,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), TransactionError>;
    /// Commits. When it returns `Ok`, all of it is durable; it becomes visible at once or a moment later,
    /// when the marker of the transaction is written in each partition.
    fn commit(&mut self) -> Result<Written, TransactionError>;
    /// Aborts.
    fn abort(&mut self) -> Result<(), TransactionError>;
    /// Whether this writer must be replaced before its next transaction, although all went well: a
    /// call took so long that a copy of its last request may still be under way, which could end the
    /// *next* transaction (librdkafka #5423).
    fn is_suspect(&self) -> bool;
}

/// A sender of single records, idempotent and acknowledged by all replicas.
pub trait Sender: Send + Sync {
    /// Enqueues a record. [`LogError::QueueFull`] if there is no room; `delivered` is then not called.
    fn send(&self, record: Outgoing, delivered: Delivery) -> Result<(), LogError>;
    /// Waits until everything sent so far was delivered or given up.
    fn flush(&self, wait: Duration) -> Result<(), LogError>;
}

/// A stretch that [`Reader::read`] gave.
#[derive(Debug)]
pub struct Stretch {
    /// The committed records in it, in order.
    pub records: Vec<Record>,
    /// The next offset to read; past markers and aborted records, so it moves on even without records.
    pub next: Offset,
}

/// A reader outside of any group, used by one thread. It sees only what is committed.
pub trait Reader: Send {
    /// Follows partitions from these offsets, in place of those followed before.
    fn follow(&mut self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError>;
    /// Waits up to `wait` for records of the followed partitions; gives at most `max`, in order within
    /// each partition.
    fn poll(&mut self, wait: Duration, max: usize) -> Result<Vec<Record>, LogError>;
    /// Reads on in one partition, from `from` towards `until` (not included). Comes back after `wait`
    /// at the latest, possibly with nothing and `next == from`: an open transaction is in the way.
    /// Replaces what was followed.
    fn read(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        until: Offset,
        wait: Duration,
        max: usize,
    ) -> Result<Stretch, LogError>;
}
