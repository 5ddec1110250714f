//! Sends commands and waits for what becomes of them: the way in for every face.
//!
//! A command goes to the partition of its aggregate's id and asks for its outcome on one partition of
//! the replies topic, which the client follows from an offset that it resolved *before* its first
//! command; so no reply can be missed. Replies to others on that partition are passed over. A client that
//! [claims](Client::claim_replies) a partition of its own moves there; replies that it asked for before are
//! still heard where it was.
//!
//! What it promises: commands [submitted](Client::submit) one after the other reach the log in that
//! order, and those after one that was not acknowledged are held back where that [matters](Client::order);
//! at most so many as it was opened with are under way at once; every command ends in its
//! outcome or an error by its deadline; who does not want to wait for room is [told](Client::try_submit)
//! that there is none. An [unknown](ClientError::Unknown) end is no refusal: the same
//! command under the same id may be sent again, and has the outcome of the first.
//!
//! It never blocks a tokio thread: threads of its own talk to the log, and a waiting command is
//! woken by its reply, not by a timer.

mod claim;
mod inbox;
mod outbox;
mod pending;
mod waiters;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Sender, TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use self::claim::Claim;
use self::inbox::Inbox;
use self::outbox::Letter;
pub use self::pending::Pending;
use self::waiters::{Key, Shared};
use super::{Outcome, Reply, ReplyTo};
use crate::clock;
use crate::log::{Group, Log, LogError, Outgoing, Topic};
use crate::position::Partition;
use crate::schema::RecordCodec;
use crate::topology::{Topology, partition_of};
use crate::trace;

/// How long to wait before a call that found the log away or its queue full is made again.
const RETRY_WAIT: Duration = Duration::from_millis(20);

/// A log that acknowledges nothing for so long, although commands are on their way to it, is away.
const AWAY_AFTER: Duration = Duration::from_secs(2);

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// As many commands are under way as the client takes. This one was not sent.
    #[error("command {command_id} was not sent: {in_flight} commands are under way already; try again")]
    Full {
        /// The command.
        command_id: Uuid,
        /// How many the client takes.
        in_flight: usize,
    },
    /// The log has not acknowledged anything for a while. This command was not sent.
    #[error("command {command_id} was not sent: the log has acknowledged none for {since:?}; try again")]
    Away {
        /// The command.
        command_id: Uuid,
        /// Since when.
        since: Duration,
    },
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
    /// The envelope, encoded.
    pub value: Bytes,
    /// The partition of the replies on which it asks for its outcome, as [`Client::reply_to`] says;
    /// `None` if it asks for none.
    pub reply_at: Option<Partition>,
}

/// Sends commands and waits for their outcomes.
pub struct Client {
    replies: Topic,
    partitions: i32,
    in_flight: usize,
    permits: Arc<Semaphore>,
    outbox: Option<Sender<Letter>>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// A stretch of commands in which none was lost: see [`Client::order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order(u64);

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
        let shared = Arc::new(Shared::new(partition));
        let inbox = Inbox::open(log, topology.replies(), replies, shared.clone())?;
        let sender = log.sender()?;
        let (outbox, letters) = crossbeam_channel::bounded(in_flight);
        let posting = shared.clone();
        let threads = vec![
            spawn("replies", move || inbox.run())?,
            spawn("commands", move || outbox::post(&letters, sender.as_ref(), &posting))?,
        ];
        let permits = Arc::new(Semaphore::new(in_flight));
        let outbox = Some(outbox);
        let (replies, partitions) = (topology.replies(), topology.partitions);
        Ok(Self { replies, partitions, in_flight, permits, outbox, shared, threads })
    }

    /// Claims a partition of the replies for this client alone, among all that do so: for a client that
    /// lives long and has many commands under way. Until it has one, and where there are fewer partitions
    /// than clients, it shares one with others. Blocks.
    pub fn claim_replies(&mut self, log: &Arc<dyn Log>, topology: &Topology) -> Result<(), ClientError> {
        let group = Group { name: topology.replies_group(), instance: None, topics: vec![self.replies.clone()] };
        let claim = Claim::new(log.join(&group)?, self.shared.clone());
        self.threads.push(spawn("claim", move || claim.run())?);
        Ok(())
    }

    /// Where a command of this client is to ask for its reply.
    #[must_use]
    pub fn reply_to(&self) -> ReplyTo {
        let topic = self.replies.as_str().to_owned();
        ReplyTo { topic, partition: self.shared.reply_at().0, key: self.shared.key().to_owned() }
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
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        self.hand_over(order, command, wait, permit)
    }

    /// [`submit`](Self::submit)s a command at once, or says that there is [no room](ClientError::Full) or
    /// that the log is [away](ClientError::Away). Never waits.
    pub fn try_submit(&self, command: EncodedCommand, wait: Duration) -> Result<Pending, ClientError> {
        let permit = self.room_for(command.command_id)?;
        self.hand_over(self.order(), command, wait, permit)
    }

    /// Hands a command over that asks for no reply, at once or not at all, and waits until the log has
    /// acknowledged it.
    pub async fn post(&self, command: EncodedCommand, wait: Duration) -> Result<(), ClientError> {
        self.try_submit(EncodedCommand { reply_at: None, ..command }, wait)?.answer().await.map(drop)
    }

    fn room_for(&self, command_id: Uuid) -> Result<OwnedSemaphorePermit, ClientError> {
        if let Some(since) = self.shared.away_for(AWAY_AFTER) {
            return Err(ClientError::Away { command_id, since });
        }
        self.permits.clone().try_acquire_owned().map_err(|_| self.full(command_id))
    }

    const fn full(&self, command_id: Uuid) -> ClientError {
        ClientError::Full { command_id, in_flight: self.in_flight }
    }

    fn hand_over(
        &self,
        order: Order,
        command: EncodedCommand,
        wait: Duration,
        permit: OwnedSemaphorePermit,
    ) -> Result<Pending, ClientError> {
        let EncodedCommand { topic, id, command_id, value, reply_at } = command;
        if order != self.order() {
            return Err(ClientError::HeldBack { command_id });
        }
        let outbox = self.outbox.as_ref().ok_or_else(closed)?;
        let key = Key { aggregate_id: id.clone(), command_id, reply_at };
        let partition = partition_of(id.as_bytes(), self.partitions);
        let span = tracing::info_span!(
            target: trace::TARGET, "send", otel.kind = "client", otel.name = format!("send {topic}"),
            id, %command_id, partition = partition.0,
        );
        let traceparent = trace::header(&span);
        let record = Outgoing { topic, partition, key: Some(Bytes::from(id)), value: Some(value), traceparent };
        let begun = clock::instant();
        let deadline = begun + wait;
        let pending = Pending::wait_for(key.clone(), begun, deadline, &self.shared, span, permit)?;
        outbox.try_send(Letter { key, record, deadline, order }).map_err(|error| match error {
            // Those who gave up waiting left room for others, but their commands are still in here.
            TrySendError::Full(_) => self.full(command_id),
            TrySendError::Disconnected(_) => closed(),
        })?;
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

fn closed() -> ClientError {
    ClientError::Stopped("the client is closed".to_owned())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|error| LogError::Fatal(format!("cannot start a thread: {error}")))
}
