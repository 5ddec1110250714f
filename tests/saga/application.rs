//! A saga in an application: its role, its instances as people see them, and waking one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater::clock;
use headwater::engine::{Engine, InstanceRow, SendOptions};
use headwater::schema::json::Secrets;
use headwater::settings::{LogSetting, Settings};
use headwater::{App, Connected};

use crate::purse::{Command, Delivery, Lock, Purse, Send, Unlock};

async fn connect(folder: &Path) -> Connected {
    let settings = Settings { log: LogSetting::Embedded(folder.to_owned()), ..Settings::default() };
    App::new("purses").aggregate::<Purse>().saga::<Delivery>().connect(settings).await.expect("connected")
}

async fn send(app: &Connected, id: &str, command: impl Into<Command>) {
    app.calls()
        .send_to::<Purse>(
            &id.to_owned(),
            command.into(),
            SendOptions { wait: Duration::from_mins(1), ..SendOptions::default() },
        )
        .await
        .expect("judged");
}

/// The open instances, once they are as wanted.
async fn open(engine: &Arc<Engine>, what: &str, wanted: impl Fn(&[InstanceRow]) -> bool) -> Vec<InstanceRow> {
    let deadline = clock::instant() + Duration::from_mins(1);
    loop {
        let of = engine.clone();
        let open = tokio::task::spawn_blocking(move || of.open_instances(Some("delivery"), Secrets::Hidden));
        let open = open.await.expect("it ends").expect("readable");
        if wanted(&open) {
            return open;
        }
        assert!(clock::instant() < deadline, "not in time: {what}: {open:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_get_on_is_seen_woken_and_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = connect(folder.path()).await;
    send(&app, "a", Lock {}).await;
    send(&app, "b", Lock {}).await;
    send(&app, "a", Send { number: 1, to: "b".to_owned(), amount: 5, patience: 0 }).await;
    let engine = app.calls().engine().clone();
    let waits = |open: &[InstanceRow]| open.iter().any(|row| row.under_way.iter().any(|step| step.retry_at.is_some()));
    let seen = open(&engine, "it waits for its retry", waits).await;
    let [row] = &seen[..] else { panic!("{seen:#?}") };
    assert_eq!((row.id.as_str(), row.steps, row.under_way[0].step.as_str()), ("a/1", 2, Some("TakeBack")));
    assert_eq!(row.state.as_ref().expect("a state")["amount"], 5);
    assert!(row.next_at.is_some() && row.under_way[0].is_compensation, "{row:#?}");

    drop(engine);
    app.close().await.expect("closed");
    let app = connect(folder.path()).await;
    let engine = app.calls().engine().clone();
    send(&app, "a", Unlock {}).await;
    let woken = tokio::task::spawn_blocking({
        let engine = engine.clone();
        move || engine.wake(engine.saga("delivery").expect("it is there").as_ref(), "a/1")
    });
    woken.await.expect("it ends").expect("taken in");
    open(&engine, "it has ended", <[InstanceRow]>::is_empty).await;
    let ended = tokio::task::spawn_blocking(move || {
        engine.instance(engine.saga("delivery").expect("it is there").as_ref(), "a/1", Secrets::Hidden)
    });
    let ended = ended.await.expect("it ends").expect("readable").expect("remembered for a while");
    assert!(ended.ended_at.is_some() && ended.state.is_none(), "{ended:#?}");
    app.close().await.expect("closed");
}
