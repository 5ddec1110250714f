//! A producer whose delivery reports are served by a thread of its own.
//!
//! As rust-rdkafka's `ThreadedProducer`, which polls for a tenth of a second and spends the last millisecond
//! of each poll awake: with a producer for each writer of each lane that alone is a sixth of a core.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, ProducerContext};

use crate::log::LogError;

use super::error::log_error;

/// The longest that a drop waits for the thread.
const POLL: Duration = Duration::from_secs(1);

/// A producer and the thread that serves it.
pub(super) struct ServedProducer<C: ProducerContext + 'static> {
    producer: Arc<BaseProducer<C>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext + 'static> ServedProducer<C> {
    pub(super) fn open(config: &ClientConfig, context: C, doing: &str) -> Result<Self, LogError> {
        let producer: BaseProducer<C> =
            config.create_with_context(context).map_err(|error| log_error(doing, &error, None))?;
        let (producer, stop) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
        let (served, ended) = (producer.clone(), stop.clone());
        let thread = std::thread::Builder::new().name("kafka-deliveries".to_owned()).spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                served.poll(POLL);
            }
        });
        let thread =
            thread.map_err(|error| LogError::Unavailable(format!("{doing}: no thread to serve it: {error}")))?;
        Ok(Self { producer, stop, thread: Some(thread) })
    }
}

impl<C: ProducerContext + 'static> Deref for ServedProducer<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl<C: ProducerContext + 'static> Drop for ServedProducer<C> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, was its last word; there is nobody left to report it to.
            drop(thread.join());
        }
    }
}
