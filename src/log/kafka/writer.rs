//! Transactions of records and offsets.
//!
//! One transaction takes three round trips at best: offsets are sent while the records travel, and the
//! commit follows at once. The client's own repeats make a writer suspect: librdkafka repeats the request
//! that ends a transaction after a timeout or a lost connection, and a delayed copy can end the *next*
//! transaction of the same producer (librdkafka #5423). Such a repeat waits at least 0.8 ×
//! `retry.backoff.ms`, so that a call which was quicker had none.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hashbrown::{Equivalent, HashMap};
use rdkafka::Message;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::config::Configs;
use super::context::{Voice, speaks};
use super::error::{is_temporary, transaction_error, undelivered};
use super::inquiry::offset_list;
use super::native::{self, GroupMetadata, NativeTopic, TransactionFailure};
use super::record::headers;
use super::served::ServedProducer;
use crate::clock;
use crate::log::{
    CommittedOffset, Fence, LogError, Outgoing, Topic, TopicPartition, TransactionError, Writer, Written,
};
use crate::position::{Offset, Partition};

const ROOM_PAUSE: Duration = Duration::from_millis(1);
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// What became of the records of the present transaction. Partitions are numbered in the order in which
/// this writer first wrote to them, so that a delivery is a look-up in an array.
#[derive(Default)]
struct Deliveries {
    last: Vec<Option<Offset>>,
    failure: Option<(Code, String)>,
}

#[derive(Default)]
struct WriterContext {
    voice: Voice,
    deliveries: Mutex<Deliveries>,
}

speaks!(WriterContext);

impl WriterContext {
    fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProducerContext for WriterContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: usize) {
        let mut deliveries = self.deliveries();
        match result {
            Ok(message) => {
                if let Some(last) = deliveries.last.get_mut(slot) {
                    *last = (*last).max(Some(Offset(message.offset())));
                }
            }
            Err((error, message)) => {
                // The first tells why; those after it only that the transaction is to be aborted.
                let place = format!("{}/{}", message.topic(), message.partition());
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                deliveries.failure.get_or_insert_with(|| (code, format!("writing to {place}: {error}")));
            }
        }
    }
}

/// Writes transactions under one transactional id.
pub(super) struct KafkaWriter {
    id: String,
    /// `None` only while being dropped.
    producer: Option<ServedProducer<WriterContext>>,
    /// Numbers into `destinations`, and into what the deliveries tell.
    slots: HashMap<TopicPartition, usize>,
    destinations: Vec<Destination>,
    transaction_timeout: Duration,
    suspicious_after: Duration,
    is_slow: bool,
}

/// A partition that this writer has written to.
struct Destination {
    topic: NativeTopic,
    partition: Partition,
}

/// A partition of a topic, without a copy of the topic's name.
#[derive(Hash)]
struct Place<'a> {
    topic: &'a Topic,
    partition: Partition,
}

impl Equivalent<TopicPartition> for Place<'_> {
    fn equivalent(&self, key: &TopicPartition) -> bool {
        self.partition == key.partition && *self.topic == key.topic
    }
}

impl KafkaWriter {
    pub(super) fn open(configs: &Configs, id: &str) -> Result<Self, LogError> {
        let doing = format!("opening transactional writer {id}");
        // A producer that has its own polling thread: delivery reports are served, and an abort does not
        // hang, while this thread waits for the end of a transaction.
        let producer = ServedProducer::open(&configs.writer(id), WriterContext::default(), &doing)?;
        let wait = configs.settings().answer_timeout() + configs.transaction_timeout();
        let voice = &producer.context().voice;
        // Without a connection librdkafka would look for the coordinator again only after half a second.
        native::await_broker(producer.client(), configs.settings().answer_timeout());
        native::init_transactions(producer.client(), wait).map_err(|failure| {
            let last = voice.last_error().map(|last| format!("; {last}")).unwrap_or_default();
            let text = format!("{doing}: {failure}{last}");
            let may_work_later = failure.is_retriable || is_temporary(failure.code);
            if may_work_later { LogError::Unavailable(text) } else { LogError::Fatal(text) }
        })?;
        voice.forgive();
        Ok(Self {
            id: id.to_owned(),
            producer: Some(producer),
            slots: HashMap::new(),
            destinations: Vec::new(),
            transaction_timeout: configs.transaction_timeout(),
            suspicious_after: configs.retry_backoff().mul_f64(0.8),
            is_slow: false,
        })
    }

    fn producer(&self) -> &ServedProducer<WriterContext> {
        self.producer.as_ref().expect("a producer is there until the writer is dropped")
    }

    fn slot(&mut self, record: &Outgoing) -> Result<usize, TransactionError> {
        if let Some(slot) = self.slots.get(&Place { topic: &record.topic, partition: record.partition }) {
            return Ok(*slot);
        }
        let partition = record.topic.partition(record.partition);
        let topic = NativeTopic::of(self.producer().client(), record.topic.as_str());
        let topic = topic.filter(|_| record.partition.0 >= 0);
        let topic =
            topic.ok_or_else(|| TransactionError::Rejected(format!("writing to {partition}: no such partition")))?;
        let slot = self.destinations.len();
        self.destinations.push(Destination { topic, partition: record.partition });
        self.slots.insert(partition, slot);
        self.producer().context().deliveries().last.push(None);
        Ok(slot)
    }

    /// Enqueues records of one partition. Waits for room in the queue.
    fn enqueue(&self, slot: usize, mut records: &[&Outgoing]) -> Result<(), TransactionError> {
        let Destination { topic, partition } = &self.destinations[slot];
        let deadline = clock::instant() + ROOM_WAIT;
        while let Err((refused, code)) = topic.produce(*partition, records, slot) {
            records = &records[refused..];
            self.make_room(records[0], code, deadline)?;
        }
        Ok(())
    }

    /// Enqueues a record with a header, which only goes one by one.
    fn enqueue_with_header(&self, slot: usize, record: &Outgoing) -> Result<(), TransactionError> {
        let deadline = clock::instant() + ROOM_WAIT;
        loop {
            let mut outgoing = BaseRecord::with_opaque_to(record.topic.as_str(), slot).partition(record.partition.0);
            outgoing.key = record.key.as_deref();
            outgoing.payload = record.value.as_deref();
            outgoing.headers = headers(record.traceparent.as_ref());
            let Err((error, _)) = self.producer().send(outgoing) else { return Ok(()) };
            self.make_room(record, error.rdkafka_error_code().unwrap_or(Code::Fail), deadline)?;
        }
    }

    /// After a record was not taken: waits a moment if the queue is full, otherwise tells why.
    fn make_room(&self, record: &Outgoing, code: Code, deadline: Instant) -> Result<(), TransactionError> {
        let place = || format!("writing to {}/{}", record.topic, record.partition);
        if code != Code::QueueFull {
            return Err(undelivered(code, format!("{}: {code}", place())));
        }
        self.check_deliveries()?;
        if clock::instant() >= deadline {
            return Err(TransactionError::Abortable(format!("{}: the queue stayed full for {ROOM_WAIT:?}", place())));
        }
        sleep(ROOM_PAUSE);
        Ok(())
    }

    /// Ends a transactional call: tells what is to be done if it failed, and whether it took so long that
    /// it may have been repeated inside.
    fn finish(
        &mut self,
        doing: &str,
        began: Instant,
        outcome: Result<(), TransactionFailure>,
    ) -> Result<(), TransactionError> {
        let took = began.elapsed();
        if took >= self.suspicious_after {
            tracing::debug!(writer = self.id, ?took, "{doing} took so long that it may have been repeated");
            self.is_slow = true;
        }
        outcome.map_err(|failure| transaction_error(&format!("{doing} of writer {}", self.id), &failure))
    }

    /// Why a record of this transaction was not delivered, if so.
    fn check_deliveries(&self) -> Result<(), TransactionError> {
        match self.producer().context().deliveries().failure.clone() {
            Some((code, text)) => Err(undelivered(code, text)),
            None => Ok(()),
        }
    }

    fn written(&self) -> Written {
        let deliveries = self.producer().context().deliveries();
        let of = |(partition, slot): (&TopicPartition, &usize)| {
            let last = deliveries.last.get(*slot).copied().flatten()?;
            Some((partition.clone(), last.next()))
        };
        self.slots.iter().filter_map(of).collect()
    }
}

impl Writer for KafkaWriter {
    fn begin(&mut self) -> Result<(), TransactionError> {
        {
            let mut deliveries = self.producer().context().deliveries();
            deliveries.last.fill(None);
            deliveries.failure = None;
        }
        native::begin(self.producer().client())
            .map_err(|failure| transaction_error(&format!("begin of writer {}", self.id), &failure))
    }

    fn send(&mut self, records: &[Outgoing]) -> Result<(), TransactionError> {
        let mut runs: Vec<Vec<&Outgoing>> = Vec::new();
        for record in records {
            let slot = self.slot(record)?;
            runs.resize_with(self.destinations.len(), Vec::new);
            if record.traceparent.is_none() {
                runs[slot].push(record);
                continue;
            }
            self.enqueue(slot, &std::mem::take(&mut runs[slot]))?;
            self.enqueue_with_header(slot, record)?;
        }
        for (slot, run) in runs.iter().enumerate().filter(|(_, run)| !run.is_empty()) {
            self.enqueue(slot, run)?;
        }
        Ok(())
    }

    fn send_offsets(
        &mut self,
        fence: &Fence,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), TransactionError> {
        let Some(group) = fence.token.downcast_ref::<GroupMetadata>() else {
            return Err(TransactionError::Abortable(format!("the fence {fence:?} was not taken from Kafka")));
        };
        let list = offset_list(offsets).map_err(|error| TransactionError::Rejected(error.to_string()))?;
        let began = clock::instant();
        let outcome = native::send_offsets(self.producer().client(), &list, group);
        self.finish("sending offsets", began, outcome)
    }

    fn commit(&mut self) -> Result<Written, TransactionError> {
        // Waiting for deliveries first leaves only the request that ends the transaction to be timed: a
        // large batch on a healthy cluster is not suspect.
        if !native::flush(self.producer().client(), self.transaction_timeout) {
            return Err(TransactionError::Fatal(format!(
                "records of writer {} were not delivered within {:?}",
                self.id, self.transaction_timeout
            )));
        }
        self.check_deliveries()?;
        let began = clock::instant();
        let outcome = native::commit(self.producer().client());
        self.finish("commit", began, outcome)?;
        Ok(self.written())
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        let began = clock::instant();
        let outcome = native::abort(self.producer().client());
        self.finish("abort", began, outcome)
    }

    fn is_suspect(&self) -> bool {
        self.is_slow || self.producer().context().voice.has_lost_a_request()
    }
}

impl Drop for KafkaWriter {
    fn drop(&mut self) {
        // Closing a producer takes more than a second, most of it waiting for its polling thread; the writer that
        // replaces it does not have to wait, since it fences this one.
        self.destinations.clear();
        let Some(producer) = self.producer.take() else { return };
        let closing = std::thread::Builder::new().name("kafka-writer-close".to_owned());
        if let Err(error) = closing.spawn(move || drop(producer)) {
            tracing::warn!(writer = self.id, %error, "no thread to close the old producer: it was closed in place");
        }
    }
}
