//! What a librdkafka client says by itself: its log lines and its errors, routed to `tracing`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

/// Listens to one client.
#[derive(Debug, Default)]
pub(super) struct Voice {
    last_error: Mutex<Option<String>>,
    lost_request: AtomicBool,
}

impl Voice {
    pub(super) fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.note(facility, line);
        match level {
            // One configuration serves consumers and producers: that the one ignores what is meant for the
            // other is no news.
            _ if facility == "CONFWARN" => tracing::debug!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
        }
    }

    pub(super) fn error(&self, error: &KafkaError, reason: &str) {
        match error {
            // The end of a partition is no error.
            KafkaError::Global(Code::PartitionEOF) => return,
            KafkaError::Global(Code::AllBrokersDown) => tracing::warn!(target: "librdkafka", %error, "{reason}"),
            // The log says it too.
            _ => tracing::debug!(target: "librdkafka", %error, "{reason}"),
        }
        *self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(reason.to_owned());
    }

    fn note(&self, facility: &str, line: &str) {
        // A connection that was refused carried no request; one that broke may have.
        let broke = facility == "FAIL" && !line.contains("Connect to");
        if broke || facility == "REQTMOUT" {
            self.lost_request.store(true, Ordering::Relaxed);
        }
    }

    /// What the client complained about last, to be put beside an error that only says "timed out".
    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Whether a request got no answer since [`Voice::forgive`]: a copy of it may still be under way.
    pub(super) fn has_lost_a_request(&self) -> bool {
        self.lost_request.load(Ordering::Relaxed)
    }

    /// Forgets about requests that got no answer.
    pub(super) fn forgive(&self) {
        self.lost_request.store(false, Ordering::Relaxed);
    }
}

/// Implements [`ClientContext`] for a type with a field `voice`.
macro_rules! speaks {
    ($context:ty) => {
        impl rdkafka::ClientContext for $context {
            fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, line: &str) {
                self.voice.log(level, facility, line);
            }

            fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
                self.voice.error(&error, reason);
            }
        }
    };
}
pub(super) use speaks;

/// The context of a client with no callbacks of its own.
#[derive(Debug, Default)]
pub(super) struct Plain {
    pub(super) voice: Voice,
}

speaks!(Plain);
impl ConsumerContext for Plain {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_that_may_have_arrived_counts_as_lost() {
        let voice = Voice::default();
        voice.note("FAIL", "b:9092/1: Connect to ipv6#[::1]:9092 failed: Connection refused");
        assert!(!voice.has_lost_a_request());
        voice.note("FAIL", "b:9092/1: Disconnected (after 5 ms in state UP)");
        assert!(voice.has_lost_a_request());
        voice.forgive();
        voice.note("REQTMOUT", "Timed out EndTxnRequest in flight");
        assert!(voice.has_lost_a_request());
    }
}
