//! The calls that go to librdkafka directly, past rust-rdkafka: the only unsafe code of the engine.
//!
//! * Ending a transaction: `Producer::commit_transaction` flushes through a poll of 100 ms that does not
//!   come back early, so that every commit costs at least that. The call itself takes a millisecond or two.
//! * Writing many records of one partition: `BaseProducer::send` looks the topic up by name for each, and
//!   copies the name to do so.
//! * Group metadata: rust-rdkafka hides the generation, and a commit with generation -1 is accepted
//!   *unfenced* by a classic coordinator.
//!
//! Each function borrows the client that it works on, which keeps the native handle alive; librdkafka is
//! thread-safe throughout.

#![expect(unsafe_code, reason = "calls into librdkafka that rust-rdkafka does not offer, or only slowly")]

use std::ffi::{CStr, CString, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use crate::log::Outgoing;
use crate::position::Partition;

/// Without end of its own: librdkafka bounds it by `transaction.timeout.ms`. Any other value risks a
/// call that has ended here and goes on inside.
const UNTIL_TRANSACTION_TIMEOUT: i32 = -1;

/// What librdkafka says about a transactional call that failed.
#[derive(Debug)]
pub(super) struct TransactionFailure {
    pub(super) code: RDKafkaErrorCode,
    pub(super) text: String,
    pub(super) is_retriable: bool,
    pub(super) requires_abort: bool,
    pub(super) is_fatal: bool,
}

impl fmt::Display for TransactionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.text, self.code)
    }
}

fn outcome(error: *mut native::rd_kafka_error_t) -> Result<(), TransactionFailure> {
    let Some(error) = NonNull::new(error) else { return Ok(()) };
    // SAFETY: the pointer came from a librdkafka call that gives the error to its caller; it is read while
    // alive, copied, and destroyed exactly once.
    unsafe {
        let failure = TransactionFailure {
            code: native::rd_kafka_error_code(error.as_ptr()).into(),
            text: CStr::from_ptr(native::rd_kafka_error_string(error.as_ptr())).to_string_lossy().into_owned(),
            is_retriable: native::rd_kafka_error_is_retriable(error.as_ptr()) != 0,
            requires_abort: native::rd_kafka_error_txn_requires_abort(error.as_ptr()) != 0,
            is_fatal: native::rd_kafka_error_is_fatal(error.as_ptr()) != 0,
        };
        native::rd_kafka_error_destroy(error.as_ptr());
        Err(failure)
    }
}

/// Waits until a broker is connected, or `wait` has passed.
pub(super) fn await_broker<C: ClientContext>(client: &Client<C>, wait: Duration) {
    const ONLY_KNOWN_TOPICS: i32 = 0;
    let mut metadata = ptr::null();
    // SAFETY: the borrowed client keeps the handle alive for the whole call; what it gives is destroyed
    // once, and only if there is any.
    unsafe {
        let (client, wait) = (client.native_ptr(), millis(wait));
        native::rd_kafka_metadata(client, ONLY_KNOWN_TOPICS, ptr::null_mut(), &raw mut metadata, wait);
        if !metadata.is_null() {
            native::rd_kafka_metadata_destroy(metadata);
        }
    }
}

/// Gets a producer id, ending what an earlier producer of the same transactional id left open.
pub(super) fn init_transactions<C: ClientContext>(
    client: &Client<C>,
    wait: Duration,
) -> Result<(), TransactionFailure> {
    // SAFETY: the borrowed client keeps the handle alive for the whole call.
    outcome(unsafe { native::rd_kafka_init_transactions(client.native_ptr(), millis(wait)) })
}

/// Begins a transaction; no round trip.
pub(super) fn begin<C: ClientContext>(client: &Client<C>) -> Result<(), TransactionFailure> {
    // SAFETY: the borrowed client keeps the handle alive for the whole call.
    outcome(unsafe { native::rd_kafka_begin_transaction(client.native_ptr()) })
}

/// Adds consumer offsets to the transaction, fenced by the group's metadata.
pub(super) fn send_offsets<C: ClientContext>(
    client: &Client<C>,
    offsets: &TopicPartitionList,
    group: &GroupMetadata,
) -> Result<(), TransactionFailure> {
    // SAFETY: client, list and metadata are borrowed for the whole call; librdkafka copies what it keeps.
    outcome(unsafe {
        native::rd_kafka_send_offsets_to_transaction(
            client.native_ptr(),
            offsets.ptr(),
            group.0.as_ptr(),
            UNTIL_TRANSACTION_TIMEOUT,
        )
    })
}

/// Commits. Needs another thread to serve the delivery reports.
pub(super) fn commit<C: ClientContext>(client: &Client<C>) -> Result<(), TransactionFailure> {
    // SAFETY: the borrowed client keeps the handle alive for the whole call.
    outcome(unsafe { native::rd_kafka_commit_transaction(client.native_ptr(), UNTIL_TRANSACTION_TIMEOUT) })
}

/// Aborts. Needs another thread to serve the delivery reports, or it hangs until its timeout.
pub(super) fn abort<C: ClientContext>(client: &Client<C>) -> Result<(), TransactionFailure> {
    // SAFETY: the borrowed client keeps the handle alive for the whole call.
    outcome(unsafe { native::rd_kafka_abort_transaction(client.native_ptr(), UNTIL_TRANSACTION_TIMEOUT) })
}

/// Waits until everything enqueued was delivered or given up; whether it was, within `wait`. Wakes at once,
/// where `Producer::flush` sleeps in steps of 100 ms. Needs another thread to serve the delivery reports.
pub(super) fn flush<C: ClientContext>(client: &Client<C>, wait: Duration) -> bool {
    // SAFETY: the borrowed client keeps the handle alive for the whole call.
    let code = unsafe { native::rd_kafka_flush(client.native_ptr(), millis(wait)) };
    code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// A topic, looked up once. Must be dropped before its client.
pub(super) struct NativeTopic(NonNull<native::rd_kafka_topic_t>);

// SAFETY: a counted reference to an object that librdkafka guards with locks of its own.
unsafe impl Send for NativeTopic {}

impl NativeTopic {
    /// A topic as `client` sees it; `None` for a name that is none.
    pub(super) fn of<C: ClientContext>(client: &Client<C>, name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        // SAFETY: the borrowed client keeps the handle alive for the whole call, the name is terminated and
        // copied, and no configuration means the client's own.
        NonNull::new(unsafe { native::rd_kafka_topic_new(client.native_ptr(), name.as_ptr(), ptr::null_mut()) })
            .map(Self)
    }

    /// Enqueues records of one partition, in order, with `opaque` for the reports of their delivery. If one
    /// is not taken, gives its number and why. Headers are left out.
    pub(super) fn produce(
        &self,
        partition: Partition,
        records: &[&Outgoing],
        opaque: usize,
    ) -> Result<(), (usize, RDKafkaErrorCode)> {
        let part =
            |bytes: Option<&[u8]>| bytes.map_or((ptr::null_mut(), 0), |it| (it.as_ptr().cast_mut().cast(), it.len()));
        let message = |record: &&Outgoing| {
            let (payload, len) = part(record.value.as_deref());
            let (key, key_len) = part(record.key.as_deref());
            native::rd_kafka_message_t {
                err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
                rkt: ptr::null_mut(),
                partition: partition.0,
                payload,
                len,
                key,
                key_len,
                offset: 0,
                _private: ptr::without_provenance_mut::<c_void>(opaque),
            }
        };
        let mut messages: Vec<_> = records.iter().map(message).collect();
        let count = i32::try_from(messages.len()).expect("a batch is far smaller");
        // SAFETY: the topic is valid as long as `self`. Keys and values are borrowed for the whole call and
        // only read: librdkafka copies them, as the flag says. Only the messages' errors are written.
        let taken = unsafe {
            let copy = native::RD_KAFKA_MSG_F_COPY;
            native::rd_kafka_produce_batch(self.0.as_ptr(), partition.0, copy, messages.as_mut_ptr(), count)
        };
        if taken == count {
            return Ok(());
        }
        let refused = |message: &native::rd_kafka_message_t| message.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        let number = messages.iter().position(refused).unwrap_or(0);
        Err((number, messages[number].err.into()))
    }
}

impl Drop for NativeTopic {
    fn drop(&mut self) {
        // SAFETY: this value's own reference, given back once.
        unsafe { native::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

fn millis(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}

/// A consumer's membership in its group, at the moment of asking.
pub(super) struct GroupMetadata(NonNull<native::rd_kafka_consumer_group_metadata_t>);

// SAFETY: it is a value that librdkafka made for the caller, shares nothing and is never changed.
unsafe impl Send for GroupMetadata {}
// SAFETY: as above; it is only read.
unsafe impl Sync for GroupMetadata {}

impl GroupMetadata {
    /// The present membership; `None` for a consumer without a group.
    pub(super) fn of<C: ClientContext>(client: &Client<C>) -> Option<Self> {
        // SAFETY: the borrowed client keeps the handle alive; the result belongs to the caller.
        NonNull::new(unsafe { native::rd_kafka_consumer_group_metadata(client.native_ptr()) }).map(Self)
    }

    /// The group's generation; -1 or 0 before the first join and after eviction.
    pub(super) fn generation(&self) -> i32 {
        // SAFETY: the pointer is valid as long as `self`.
        unsafe { native::rd_kafka_consumer_group_metadata_generation_id(self.0.as_ptr()) }
    }

    /// The id that the group gave this member; empty before the first join and after eviction.
    pub(super) fn member_id(&self) -> String {
        // SAFETY: the pointer is valid as long as `self`, and so is the text that it holds.
        let text = unsafe { native::rd_kafka_consumer_group_metadata_member_id(self.0.as_ptr()) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: not null, and terminated, as librdkafka promises.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: made by librdkafka for this value alone and destroyed once.
        unsafe { native::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}
