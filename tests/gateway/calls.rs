//! The engine as an application calls it that uses it as a library.

use std::time::Duration;

use headwater::Connected;
use headwater::clock;
use headwater::command::{ClientError, Outcome};
use headwater::engine::{CallError, Calls, CommandInput, SendOptions};
use headwater::position::Version;
use headwater::settings::{LogSetting, Settings};
use serde_json::json;

use crate::sample::{Deposit, Till, TillId, TillSummary, shop};

const LONG: Duration = Duration::from_mins(1);

async fn open(folder: &std::path::Path) -> Connected {
    let settings = Settings { log: LogSetting::Embedded(folder.to_owned()), ..Settings::default() };
    shop().connect(settings).await.expect("connected")
}

fn deposit(id: &str, amount: serde_json::Value) -> CommandInput {
    CommandInput {
        aggregate: "till".to_owned(),
        id: id.to_owned(),
        command: "Deposit".to_owned(),
        data: json!({ "amount": amount }),
        command_id: None,
        issued_at: None,
        expect: None,
        internal: false,
    }
}

#[tokio::test]
async fn a_command_given_as_a_value_is_judged_and_a_query_reads_what_it_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let shop = open(folder.path()).await;
    let id = TillId("till-1".to_owned());
    let options = SendOptions { wait: LONG, ..SendOptions::default() };
    let judged =
        shop.calls().send_to::<Till>(&id, Deposit { amount: 7, note: None }, options).await.expect("an outcome");
    let position = judged.position().expect("accepted");
    let summary = TillSummary { till_id: id.0.clone() };
    let answer = shop.calls().ask(summary, std::slice::from_ref(&position), LONG).await.expect("an answer");
    assert_eq!(answer.answer.expect("a row").balance, 7);
    assert!(answer.positions.contains(&position), "{:?}", answer.positions);
    shop.close().await.expect("closed");
}

#[tokio::test]
async fn a_repeat_under_the_same_id_has_the_first_outcome_and_another_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let shop = open(folder.path()).await;
    let calls: &Calls = shop.calls();
    let input = CommandInput { command_id: Some(clock::new_id()), ..deposit("till-2", json!(1)) };
    let first = calls.send(input.clone(), LONG).await.expect("an outcome");
    assert_eq!(calls.send(input, LONG).await.expect("an outcome"), first);
    let expecting = CommandInput { expect: Some(Version(5)), ..deposit("till-2", json!(1)) };
    let refused = calls.send(expecting, LONG).await.expect("an outcome").outcome;
    assert!(matches!(refused, Outcome::Refused(it) if it.code == "version_mismatch" && it.version == Version(1)));
    shop.close().await.expect("closed");
}

#[tokio::test]
async fn a_command_that_is_only_written_is_judged_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let shop = open(folder.path()).await;
    let command_id = clock::new_id();
    let input = CommandInput { command_id: Some(command_id), ..deposit("till-3", json!(3)) };
    assert_eq!(shop.calls().post(input.clone(), LONG).await.expect("written"), command_id);
    let judged = shop.calls().send(input, LONG).await.expect("an outcome");
    assert!(matches!(judged.outcome, Outcome::Accepted(it) if it.version == Version(1)));
    shop.close().await.expect("closed");
}

#[tokio::test]
async fn bad_input_names_the_place_and_nothing_is_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let shop = open(folder.path()).await;
    for (input, place) in [
        (deposit("till-4", json!("much")), "/data/amount"),
        (deposit("till-4", json!(0)), "/data/amount"),
        (deposit("safe", json!(1)), "/id"),
        (CommandInput { command: "Seize".to_owned(), ..deposit("till-4", json!(1)) }, "/command"),
        (CommandInput { aggregate: "tilt".to_owned(), ..deposit("till-4", json!(1)) }, "/aggregate"),
    ] {
        match shop.calls().send(input, LONG).await {
            Err(CallError::Input(error)) => assert_eq!(error.pointer, place, "{error}"),
            other => panic!("{place}: {other:?}"),
        }
    }
    shop.close().await.expect("closed");
}

#[tokio::test]
async fn a_full_client_says_so_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let shop = open(folder.path()).await;
    let calls = Calls::open(shop.calls().engine(), 0).await.expect("opened");
    let error = calls.send(deposit("till-5", json!(1)), LONG).await.expect_err("no room");
    assert!(matches!(error, CallError::Command(ClientError::Full { in_flight: 0, .. })), "{error}");
    shop.close().await.expect("closed");
}
