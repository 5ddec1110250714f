//! What a worker on real servers says it waits for, and that it goes on by itself once that is there.

use std::time::Duration;

use bytes::Bytes;
use headwater::log::kafka::{KafkaLog, KafkaSettings};
use headwater::log::{Log, Outgoing, Topic};
use headwater::position::Partition;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use reqwest::Client;
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::bank::{Bank, Worker, eventually};

/// What it waits for; none if it is ready.
async fn waits(worker: &Worker) -> Vec<Value> {
    let answer = Client::new().get(format!("{}/readyz", worker.url)).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let said: Value = answer.json().await.expect("JSON");
    let waits = said["waits_for"].as_array().unwrap_or_else(|| panic!("{said}")).clone();
    assert!(status == 503 || (status == 200 && waits.is_empty()), "{status}: {said}");
    if status == 503 && waits.is_empty() { vec![said] } else { waits }
}

async fn is_ready(worker: &Worker) {
    eventually("it is ready", async || waits(worker).await.is_empty().then_some(())).await;
}

/// What it says of a place once this is all that it waits for.
async fn waits_only(worker: &Worker, kind: &str) -> Value {
    eventually(kind, async || match &waits(worker).await[..] {
        [only] if only["for"] == kind => Some(only.clone()),
        _ => None,
    })
    .await
}

fn cluster(bank: &Bank) -> KafkaLog {
    let bootstrap_servers = bank.cluster().0.to_owned();
    KafkaLog::connect(KafkaSettings { bootstrap_servers, ..KafkaSettings::default() }).expect("a cluster")
}

fn record(bank: &Bank, topic: &str, partition: Partition, value: &'static [u8]) -> Outgoing {
    let (key, value) = (Some(Bytes::from_static(b"somebody")), Some(Bytes::from_static(value)));
    Outgoing { topic: Topic::from(format!("{}.{topic}", bank.cluster().1)), partition, key, value, traceparent: None }
}

/// Appends records that no engine wrote.
async fn append(bank: &Bank, topic: &str, partition: Partition, values: &[&'static [u8]]) {
    let log = cluster(bank);
    let records: Vec<_> = values.iter().map(|value| record(bank, topic, partition, value)).collect();
    let sent = spawn_blocking(move || {
        let sender = log.sender().expect("a sender");
        for record in records {
            sender.send(record, Box::new(|delivered| assert!(delivered.is_ok(), "{delivered:?}"))).expect("room");
        }
        sender.flush(Duration::from_mins(1)).expect("flushed");
    });
    sent.await.expect("sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_behind_an_open_transaction_says_how_far_it_is_and_where_it_goes() {
    let Some(bank) = Bank::on_servers() else { return };
    let log = cluster(&bank);
    let records = [record(&bank, "account.events", Partition(2), b"of a transaction that stays open")];
    let writer = spawn_blocking(move || {
        let mut writer = log.writer(&format!("waits.{}", std::process::id())).expect("a writer");
        writer.begin().expect("begun");
        writer.send(&records).expect("added");
        writer
    });
    let mut writer = writer.await.expect("opened");
    let worker = bank.launch("worker", &["--role", "commands"]).await;
    let wait = waits_only(&worker, "restore").await;
    assert_eq!((&wait["role"], &wait["name"], &wait["partition"]), (&"commands".into(), &"account".into(), &2.into()));
    assert!(wait["done"].as_i64() < wait["target"].as_i64(), "{wait}");
    spawn_blocking(move || writer.abort().expect("aborted")).await.expect("done");
    is_ready(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_a_schema_that_nobody_knows_is_waited_for_and_then_set_aside() {
    let Some(mut bank) = Bank::on_servers() else { return };
    // Longer than it takes to look.
    bank.set("HEADWATER_PROCESSOR__UNKNOWN_SCHEMA_SECONDS", "5");
    let worker = bank.start("worker", &["--role", "commands"]).await;
    append(&bank, "account.commands", Partition(1), &[&[0, 0x7f, 0xff, 0xff, 0xff, 0]]).await;
    let wait = waits_only(&worker, "schema").await;
    assert_eq!((&wait["name"], &wait["partition"]), (&"account".into(), &"1".into()));
    assert!(wait["reason"].as_str().is_some_and(|it| it.contains(&0x7fff_ffff.to_string())), "{wait}");
    is_ready(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_are_gone_stop_their_partition_until_somebody_accepts_the_loss() {
    let Some(bank) = Bank::on_servers() else { return };
    let partition = Partition(3);
    append(&bank, "account.commands", partition, &[b"read"]).await;
    let worker = bank.start("worker", &["--role", "commands"]).await;
    worker.leave();
    assert!(worker.ended().await);
    append(&bank, "account.commands", partition, &[b"never", b"seen", b"again"]).await;
    delete_before_the_end(&bank, "account.commands", partition).await;

    let worker = bank.launch("second", &["--role", "commands"]).await;
    let wait = waits_only(&worker, "operator").await;
    assert_eq!((&wait["name"], &wait["partition"]), (&"account".into(), &"3".into()));
    worker.leave();
    assert!(worker.ended().await);

    // It says what is to be run, to the letter.
    let reason = wait["reason"].as_str().expect("a reason");
    let advice = reason.split('`').nth(1).unwrap_or_else(|| panic!("{reason}"));
    let (arguments, skip) = (advice.split(' ').collect::<Vec<_>>(), ["topics", "skip", "account/3", "--to"]);
    assert_eq!(arguments[..4], skip, "{reason}");
    bank.succeed(&arguments);
    let worker = bank.start("third", &["--role", "commands"]).await;
    is_ready(&worker).await;
}

/// As a retention of a few days does it while nobody reads.
async fn delete_before_the_end(bank: &Bank, topic: &str, partition: Partition) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bank.cluster().0).create().expect("a client");
    let mut list = TopicPartitionList::new();
    let topic = format!("{}.{topic}", bank.cluster().1);
    list.add_partition_offset(&topic, partition.0, Offset::End).expect("listed");
    let deleted = admin.delete_records(&list, &AdminOptions::new()).await.expect("answered");
    assert!(deleted.elements().iter().all(|it| it.error().is_ok()), "{deleted:?}");
}
