//! Single records outside of transactions: idempotent, acknowledged by all replicas, pipelined.
//!
//! The queue is bounded by count and bytes; a record that finds no room is refused at once. Open a sender
//! early: librdkafka asks for its producer id half a second after it was made, and sends nothing before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::Message;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::config::Configs;
use super::context::{Voice, speaks};
use super::error::{code_of, is_missing, log_error};
use super::native;
use super::record::headers;
use crate::log::{Delivery, LogError, Outgoing, Sender};
use crate::position::Offset;

#[derive(Default)]
struct SenderContext {
    voice: Voice,
}

speaks!(SenderContext);

/// What is to be called; the lock only makes it shareable, as librdkafka asks.
type Pending = Box<Mutex<Delivery>>;

impl ProducerContext for SenderContext {
    type DeliveryOpaque = Pending;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Pending) {
        let delivered = pending.into_inner().unwrap_or_else(PoisonError::into_inner);
        let outcome = match result {
            Ok(message) => Ok(Offset(message.offset())),
            Err((error, message)) => {
                let place = format!("{}/{}", message.topic(), message.partition());
                Err(undelivered(&place, error, Some(&self.voice)))
            }
        };
        // A panic here would end the thread that serves all deliveries, and with it every send.
        if catch_unwind(AssertUnwindSafe(|| delivered(outcome))).is_err() {
            tracing::error!("what was to be told of a delivery panicked");
        }
    }
}

fn undelivered(place: &str, error: &KafkaError, voice: Option<&Voice>) -> LogError {
    match code_of(error) {
        Some(code) if is_missing(code) => LogError::Missing(place.to_owned()),
        _ => log_error(&format!("writing to {place}"), error, voice),
    }
}

/// Sends single records.
pub(super) struct KafkaSender {
    producer: ThreadedProducer<SenderContext>,
}

impl KafkaSender {
    pub(super) fn open(configs: &Configs) -> Result<Self, LogError> {
        let created = configs.sender().create_with_context(SenderContext::default());
        let producer = created.map_err(|error| log_error("making a Kafka producer", &error, None))?;
        Ok(Self { producer })
    }
}

impl Sender for KafkaSender {
    fn send(&self, record: Outgoing, delivered: Delivery) -> Result<(), LogError> {
        let topic = record.topic.as_str();
        if record.partition.0 < 0 {
            return Err(LogError::Missing(format!("{topic}/{}", record.partition)));
        }
        let mut outgoing =
            BaseRecord::with_opaque_to(topic, Box::new(Mutex::new(delivered))).partition(record.partition.0);
        outgoing.key = record.key.as_deref();
        outgoing.payload = record.value.as_deref();
        outgoing.headers = headers(record.traceparent.as_ref());
        self.producer
            .send(outgoing)
            .map_err(|(error, _)| undelivered(&format!("{topic}/{}", record.partition), &error, None))
    }

    fn flush(&self, wait: Duration) -> Result<(), LogError> {
        if native::flush(self.producer.client(), wait) {
            return Ok(());
        }
        let waiting = self.producer.in_flight_count();
        let last = self.producer.context().voice.last_error().unwrap_or_default();
        Err(LogError::Unavailable(format!("{waiting} records are still on their way after {wait:?}; {last}")))
    }
}
