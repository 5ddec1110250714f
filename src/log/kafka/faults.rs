//! What the adapter makes of a cluster that fails, on librdkafka's own mock cluster: a real broker cannot be
//! made to answer wrongly, or not at all, at a chosen request.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaApiKey as Api;
use rdkafka::types::RDKafkaRespErr::{
    self, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS as LOADING,
    RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION as ILLEGAL_GENERATION,
    RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH as INVALID_PRODUCER_EPOCH,
    RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as TOO_LARGE, RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT as UNSTABLE,
};

use super::{KafkaLog, KafkaSettings};
use crate::clock;
use crate::log::{
    CommittedOffset, Fence, Group, Isolation, Log, LogError, Outgoing, Polled, Topic, TransactionError, Writer,
};
use crate::position::{Offset, Partition};

const PATIENCE: Duration = Duration::from_secs(30);

struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
    log: KafkaLog,
    topic: Topic,
}

fn cluster() -> Cluster {
    cluster_with(&[])
}

/// A busy machine makes a commit slow, but hardly that slow.
fn cluster_with_long_backoff() -> Cluster {
    cluster_with(&[("retry.backoff.ms", "2000"), ("retry.backoff.max.ms", "2000")])
}

fn cluster_with(properties: &[(&str, &str)]) -> Cluster {
    let mock = MockCluster::new(1).expect("a mock cluster");
    mock.create_topic("topic", 1, 1).expect("a topic");
    let mut settings = KafkaSettings {
        bootstrap_servers: mock.bootstrap_servers(),
        answer_timeout_ms: 2_000,
        ..KafkaSettings::default()
    };
    for (property, value) in [("transaction.timeout.ms", "5000")].iter().chain(properties) {
        settings.properties.insert((*property).to_owned(), (*value).to_owned());
    }
    let log = KafkaLog::connect(settings).expect("a log");
    Cluster { mock, log, topic: Topic::from("topic") }
}

impl Cluster {
    fn fail(&self, api: Api, with: &[RDKafkaRespErr]) {
        self.mock.request_errors(api, with);
    }

    fn writer(&self) -> Box<dyn Writer> {
        self.log.writer("writer").expect("a writer")
    }

    fn record(&self) -> Outgoing {
        Outgoing {
            topic: self.topic.clone(),
            partition: Partition(0),
            key: None,
            value: Some("value".into()),
            traceparent: None,
        }
    }

    fn begin(&self, writer: &mut dyn Writer) {
        writer.begin().expect("begin");
        writer.send(&[self.record()]).expect("send");
    }

    fn fence(&self) -> Fence {
        let group = Group { name: "group".into(), instance: None, topics: vec![self.topic.clone()] };
        let mut member = self.log.join(&group).expect("join");
        let deadline = clock::instant() + PATIENCE;
        while !matches!(member.poll(Duration::from_millis(100), 1).expect("poll"), Polled::Assigned(_)) {
            assert!(clock::instant() < deadline, "nothing is assigned");
        }
        member.fence().expect("fence")
    }
}

#[test]
fn a_healthy_commit_leaves_the_writer_above_suspicion() {
    let cluster = cluster_with_long_backoff();
    let mut writer = cluster.writer();
    cluster.begin(&mut *writer);
    let written = writer.commit().expect("commit");
    assert_eq!(written[&cluster.topic.partition(Partition(0))], Offset(1));
    assert!(!writer.is_suspect());
}

#[test]
fn a_commit_that_was_repeated_inside_makes_the_writer_suspect() {
    let cluster = cluster_with_long_backoff();
    let mut writer = cluster.writer();
    cluster.begin(&mut *writer);
    cluster.fail(Api::EndTxn, &[LOADING]);
    writer.commit().expect("the second try");
    assert!(writer.is_suspect());
    drop(writer);
    let mut writer = cluster.writer();
    cluster.begin(&mut *writer);
    writer.commit().expect("commit");
    assert!(!writer.is_suspect(), "its successor starts anew");
}

#[test]
fn a_connection_that_breaks_makes_the_writer_suspect() {
    let cluster = cluster();
    let mut writer = cluster.writer();
    cluster.begin(&mut *writer);
    cluster.mock.broker_down(1).expect("down");
    let deadline = clock::instant() + PATIENCE;
    while !writer.is_suspect() {
        assert!(clock::instant() < deadline, "the broken connection is not noticed");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_commit_comes_back_although_the_cluster_is_away() {
    let cluster = cluster();
    let mut writer = cluster.writer();
    cluster.begin(&mut *writer);
    cluster.mock.broker_down(1).expect("down");
    let error = writer.commit().expect_err("nobody is there");
    assert!(!matches!(error, TransactionError::Rejected(_)), "{error:?}");
    assert!(writer.is_suspect());
}

#[test]
fn a_fenced_writer_is_to_be_replaced() {
    let cluster = cluster();
    let mut writer = cluster.writer();
    cluster.begin(&mut *writer);
    cluster.fail(Api::EndTxn, &[INVALID_PRODUCER_EPOCH]);
    let error = writer.commit().expect_err("fenced");
    assert!(matches!(error, TransactionError::Fatal(_)), "{error:?}");
    assert!(matches!(writer.begin(), Err(TransactionError::Fatal(_))), "and stays so");
}

#[test]
fn offsets_of_a_passed_generation_abort_the_transaction() {
    let cluster = cluster();
    let fence = cluster.fence();
    let mut writer = cluster.writer();
    cluster.begin(&mut *writer);
    cluster.fail(Api::TxnOffsetCommit, &[ILLEGAL_GENERATION]);
    let offset = CommittedOffset { offset: Offset(1), metadata: String::new() };
    let error = writer.send_offsets(&fence, &[(cluster.topic.partition(Partition(0)), offset)]).expect_err("passed");
    assert!(matches!(error, TransactionError::Abortable(_)), "{error:?}");
    writer.abort().expect("abort");
    cluster.begin(&mut *writer);
    writer.commit().expect("the writer goes on");
}

#[test]
fn a_record_that_the_broker_finds_too_large_is_rejected() {
    let cluster = cluster();
    let mut writer = cluster.writer();
    cluster.fail(Api::Produce, &[TOO_LARGE]);
    cluster.begin(&mut *writer);
    let error = writer.commit().expect_err("too large");
    assert!(matches!(error, TransactionError::Rejected(_)), "{error:?}");
    writer.abort().expect("abort");
}

#[test]
fn unstable_offsets_are_not_taken_for_none() {
    let cluster = cluster();
    let partition = cluster.topic.partition(Partition(0));
    let offset = CommittedOffset { offset: Offset(5), metadata: "kept".into() };
    cluster.log.set_committed("group", &[(partition.clone(), offset.clone())]).expect("set");
    cluster.fail(Api::OffsetFetch, &[UNSTABLE; 12]);
    assert_eq!(cluster.log.committed("group", &[partition]).expect("asked until stable"), [Some(offset)]);
}

#[test]
fn questions_to_a_cluster_that_is_away_end_with_what_was_asked() {
    let cluster = cluster();
    let partition = cluster.topic.partition(Partition(0));
    cluster.mock.broker_down(1).expect("down");
    let errors = [
        cluster.log.bounds(std::slice::from_ref(&partition), Isolation::Committed).map(drop),
        cluster.log.describe(std::slice::from_ref(&cluster.topic)).map(drop),
        cluster
            .log
            .set_committed("group", &[(partition, CommittedOffset { offset: Offset(1), metadata: String::new() })]),
        cluster.log.writer("another").map(drop),
    ];
    for error in errors {
        let error = error.expect_err("nobody is there");
        assert!(
            matches!(&error, LogError::Unavailable(text) if text.contains("topic") || text.contains("group") || text.contains("another")),
            "{error}"
        );
    }
}
