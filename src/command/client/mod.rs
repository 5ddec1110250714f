//! Sends commands and waits for what becomes of them: the way in for every face.
//!
//! A command goes to the partition of its aggregate's id and asks for its outcome on one partition of
//! the replies topic, which the client follows from an offset that it resolved *before* its first
//! command; so no reply can be missed. Replies to others on that partition are passed over.
//!
//! What it promises: commands [submitted](Client::submit) one after the other reach the log in that
//! order, and those after one that was not acknowledged are held back where that [matters](Client::order);
//! at most so many as it was opened with are under way at once; every command ends in its
//! outcome or an error by its deadline. An [unknown](ClientError::Unknown) end is no refusal: the same
//! command under the same id may be sent again, and has the outcome of the first.
//!
//! It never blocks a tokio thread: two threads of its own talk to the log, and a waiting command is
//! woken by its reply, not by a timer.

mod inbox;
mod outbox;
mod waiters;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use self::inbox::Inbox;
use self::outbox::Letter;
use self::waiters::{Key, Shared};
use super::{Outcome, Reply, ReplyTo};
use crate::clock;
use crate::log::{Isolation, Log, LogError, Outgoing, Topic};
use crate::position::Partition;
use crate::schema::RecordCodec;
use crate::topology::{Topology, partition_of};

/// How long to wait before a call that found the log away or its queue full is made again.
const RETRY_WAIT: Duration = Duration::from_millis(20);

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The command may or may not have been judged.
    #[error("no outcome of command {command_id} within {waited:?}; send it again with the same id to learn it")]
    Unknown {
        /// The command.
        command_id: Uuid,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The log did not acknowledge the command: it may have been written or not.
    #[error("command {command_id} was not acknowledged: {reason}; send it again with the same id")]
    Unacknowledged {
        /// The command.
        command_id: Uuid,
        /// Why.
        reason: LogError,
    },
    /// The command was not written.
    #[error("command {command_id} was not sent: {reason}")]
    NotSent {
        /// The command.
        command_id: Uuid,
        /// Why.
        reason: LogError,
    },
    /// The command was not sent, because one before it was not acknowledged: sent after it, it would
    /// overtake it.
    #[error(
        "command {command_id} was not sent, since one before it was not acknowledged by the log; send them again, in \
         order and with the same ids"
    )]
    HeldBack {
        /// The command.
        command_id: Uuid,
    },
    /// Replies can no longer be read.
    #[error("replies are no longer read: {0}")]
    Stopped(String),
    /// The client cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A command as it goes to its topic.
#[derive(Clone, Debug)]
pub struct EncodedCommand {
    /// The commands topic of its aggregate.
    pub topic: Topic,
    /// The aggregate's id.
    pub id: String,
    /// The command's id.
    pub command_id: Uuid,
    /// The envelope, encoded; it asks for its reply at [`Client::reply_to`].
    pub value: Bytes,
}

/// Sends commands and waits for their outcomes.
pub struct Client {
    reply_to: ReplyTo,
    partitions: i32,
    permits: Arc<Semaphore>,
    outbox: Option<Sender<Letter>>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// A stretch of commands in which none was lost: see [`Client::order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order(u64);

/// A command under way. Dropping it gives up waiting, not the command.
pub struct Pending {
    key: Key,
    receiver: oneshot::Receiver<Result<Outcome, ClientError>>,
    begun: Instant,
    deadline: Instant,
    shared: Arc<Shared>,
    /// Held until the outcome is taken, so that a slow reader of outcomes slows the sending down.
    _permit: OwnedSemaphorePermit,
}

impl Client {
    /// Opens a client that has at most `in_flight` commands under way. Blocks.
    pub fn open(
        log: &Arc<dyn Log>,
        topology: &Topology,
        replies: RecordCodec<Reply>,
        in_flight: usize,
    ) -> Result<Self, ClientError> {
        let count = u64::from(topology.reply_partitions.unsigned_abs()).max(1);
        let partition = Partition(i32::try_from(clock::random() % count).unwrap_or(0));
        let place = topology.replies().partition(partition);
        let start = log.bounds(std::slice::from_ref(&place), Isolation::Uncommitted)?[0].end;
        let mut reader = log.reader()?;
        reader.follow(&[(place.clone(), start)])?;
        let sender = log.sender()?;
        let reply_to = ReplyTo {
            topic: place.topic.as_str().to_owned(),
            partition: partition.0,
            key: clock::new_id().simple().to_string(),
        };
        let shared = Arc::new(Shared::default());
        let inbox = Inbox::new(reader, place, start, reply_to.key.clone(), replies, shared.clone());
        let (outbox, letters) = crossbeam_channel::bounded(in_flight);
        let posting = shared.clone();
        let threads = vec![
            spawn("replies", move || inbox.run())?,
            spawn("commands", move || outbox::post(&letters, sender.as_ref(), &posting))?,
        ];
        let permits = Arc::new(Semaphore::new(in_flight));
        Ok(Self { reply_to, partitions: topology.partitions, permits, outbox: Some(outbox), shared, threads })
    }

    /// Where a command of this client is to ask for its reply.
    #[must_use]
    pub const fn reply_to(&self) -> &ReplyTo {
        &self.reply_to
    }

    /// Sends a command and waits for its outcome.
    pub async fn send(&self, command: EncodedCommand, wait: Duration) -> Result<Outcome, ClientError> {
        self.submit(command, wait).await?.outcome().await
    }

    /// Hands a command over for sending, once there is room. Commands that are submitted one after the
    /// other reach the log in that order.
    pub async fn submit(&self, command: EncodedCommand, wait: Duration) -> Result<Pending, ClientError> {
        self.submit_in(self.order(), command, wait).await
    }

    /// The present order. It ends as soon as a command is not acknowledged.
    #[must_use]
    pub fn order(&self) -> Order {
        self.shared.order()
    }

    /// [`submit`](Self::submit)s a command that makes sense only if those before it reached the log: it is
    /// [held back](ClientError::HeldBack) once any of this order was not acknowledged.
    pub async fn submit_in(
        &self,
        order: Order,
        command: EncodedCommand,
        wait: Duration,
    ) -> Result<Pending, ClientError> {
        let EncodedCommand { topic, id, command_id, value } = command;
        let closed = || ClientError::Stopped("the client is closed".to_owned());
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        if order != self.order() {
            return Err(ClientError::HeldBack { command_id });
        }
        let begun = clock::instant();
        let deadline = begun + wait;
        let record = Outgoing {
            topic,
            partition: partition_of(id.as_bytes(), self.partitions),
            key: Some(Bytes::from(id.clone())),
            value: Some(value),
            traceparent: None,
        };
        let key = (id, command_id);
        let receiver = self.shared.wait_for(&key)?;
        let pending =
            Pending { key: key.clone(), receiver, begun, deadline, shared: self.shared.clone(), _permit: permit };
        let outbox = self.outbox.as_ref().ok_or_else(closed)?;
        // There is room for each permit; the other end closes only with the client.
        outbox.try_send(Letter { key, record, deadline, order }).map_err(|_| closed())?;
        Ok(pending)
    }

    /// Stops reading replies and waits for both threads to end.
    pub fn close(mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the command client panicked");
            }
        }
    }

    fn stop(&mut self) {
        self.shared.close();
        self.outbox = None;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|error| LogError::Fatal(format!("cannot start a thread: {error}")))
}

impl Pending {
    /// The command's id.
    #[must_use]
    pub const fn command_id(&self) -> Uuid {
        self.key.1
    }

    /// Waits for the outcome, until the deadline.
    pub async fn outcome(mut self) -> Result<Outcome, ClientError> {
        let answered = tokio::time::timeout_at(self.deadline.into(), &mut self.receiver).await;
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(ClientError::Unknown { command_id: self.key.1, waited: self.begun.elapsed() }),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.receiver.close();
        self.shared.forget(&self.key);
    }
}
