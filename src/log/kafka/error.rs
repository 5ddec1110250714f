//! What went wrong, in the port's words.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::context::Voice;
use super::native::TransactionFailure;
use crate::log::{LogError, TransactionError};

/// librdkafka's code for an error, where there is one.
pub(super) fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        // rust-rdkafka's own accessor leaves this one out.
        KafkaError::AdminOp(code) => Some(*code),
        _ => error.rdkafka_error_code(),
    }
}

/// Whether a topic or partition is not there.
pub(super) const fn is_missing(code: Code) -> bool {
    matches!(code, Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition | Code::InvalidTopic)
}

/// Whether the cluster may answer if asked again.
pub(super) const fn is_temporary(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::Resolve
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::WaitingForCoordinator
            | Code::InProgress
            | Code::Retry
            | Code::BrokerDestroy
            | Code::DestroyBroker
            | Code::NodeUpdate
            | Code::WaitCache
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::NotController
            | Code::KafkaStorageError
            | Code::ListenerNotFound
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::PreferredLeaderNotAvailable
            | Code::EligibleLeadersNotAvailable
            | Code::RebalanceInProgress
            | Code::UnstableOffsetCommit
            | Code::ConcurrentTransactions
            | Code::ThrottlingQuotaExceeded
    )
}

/// Whether the broker no longer takes this member for one of the group.
pub(super) const fn is_fenced(code: Code) -> bool {
    matches!(
        code,
        Code::UnknownMemberId
            | Code::IllegalGeneration
            | Code::FencedInstanceId
            | Code::Fenced
            | Code::NonEmptyGroup
            | Code::AssignmentLost
    )
}

/// An error met while `doing` something, said with what the client complained about last.
pub(super) fn log_error(doing: &str, error: &KafkaError, voice: Option<&Voice>) -> LogError {
    match code_of(error) {
        Some(Code::QueueFull) => LogError::QueueFull,
        Some(code) if is_temporary(code) => {
            let last = voice.and_then(Voice::last_error).map(|last| format!("; {last}")).unwrap_or_default();
            LogError::Unavailable(format!("{doing}: {error}{last}"))
        }
        Some(code) if is_fenced(code) => LogError::Fenced(format!("{doing}: {error}")),
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => LogError::TooLarge(format!("{doing}: {error}")),
        _ => LogError::Fatal(format!("{doing}: {}", without_value(error))),
    }
}

/// librdkafka repeats the value of a property that it does not take, and the value may be a secret.
fn without_value(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, key, value) if value.is_empty() => format!("{key}: {description}"),
        KafkaError::ClientConfig(_, description, key, value) => {
            format!("the Kafka property {key} is not accepted: {}", description.replace(value.as_str(), "***"))
        }
        _ => error.to_string(),
    }
}

/// What is to be done about a transactional call that failed. Only librdkafka's own flags count: a
/// failure without any is of unknown consequence, and the writer is replaced.
pub(super) fn transaction_error(doing: &str, failure: &TransactionFailure) -> TransactionError {
    let text = format!("{doing}: {failure}");
    if failure.is_fatal {
        TransactionError::Fatal(text)
    } else if failure.requires_abort {
        TransactionError::Abortable(text)
    } else if failure.is_retriable {
        TransactionError::Retriable(text)
    } else {
        TransactionError::Fatal(text)
    }
}

/// What is to be done about a record that was not delivered within a transaction.
pub(super) fn undelivered(code: Code, text: String) -> TransactionError {
    match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
            TransactionError::Rejected(text)
        }
        Code::Fatal
        | Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::TransactionCoordinatorFenced => TransactionError::Fatal(text),
        _ => TransactionError::Abortable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID;

    #[test]
    fn the_value_of_a_refused_property_is_not_repeated() {
        let error = KafkaError::ClientConfig(
            RD_KAFKA_CONF_INVALID,
            "Invalid value \"hunter2\"".into(),
            "sasl.password".into(),
            "hunter2".into(),
        );
        let said = log_error("connecting", &error, None).to_string();
        assert!(said.contains("sasl.password") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn a_failure_without_flags_replaces_the_writer() {
        let failure = |is_retriable, requires_abort, is_fatal| TransactionFailure {
            code: Code::Fail,
            text: String::new(),
            is_retriable,
            requires_abort,
            is_fatal,
        };
        let judged = |failure| transaction_error("commit", &failure);
        assert!(matches!(judged(failure(false, false, false)), TransactionError::Fatal(_)));
        assert!(matches!(judged(failure(true, false, false)), TransactionError::Retriable(_)));
        assert!(matches!(judged(failure(true, true, false)), TransactionError::Abortable(_)));
        assert!(matches!(judged(failure(true, true, true)), TransactionError::Fatal(_)));
    }
}
