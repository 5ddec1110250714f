//! Server-Sent Events, as a client of them reads them.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater::settings::HttpSettings;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::served::{Answered, PATIENCE, Served, settings};

/// A client that reads a stream, and comes back where it was.
pub struct Listener {
    client: Client,
    response: Option<Response>,
    text: String,
    path: String,
    last_id: Option<String>,
    pub events: Vec<Value>,
    pub comebacks: usize,
}

impl Listener {
    /// Listens, and has its stream when this comes back.
    pub async fn to(shop: &Served, path: &str) -> Self {
        Self::at(&shop.client, &shop.base, path).await
    }

    /// The same at any gateway.
    pub async fn at(client: &Client, base: &str, path: &str) -> Self {
        let (client, text, path) = (client.clone(), String::new(), path.to_owned());
        let mut listener = Self { client, response: None, text, path, last_id: None, events: Vec::new(), comebacks: 0 };
        listener.connect(base).await.expect("a stream");
        while listener.last_id.is_none() {
            assert!(listener.read().await, "the stream ended before it began");
        }
        listener
    }

    /// Comes back, to this gateway or another.
    pub async fn connect(&mut self, base: &str) -> Result<(), Answered> {
        let mut request = self.client.get(format!("{base}{}", self.path));
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.expect("an answer");
        if response.status() != 200 {
            return Err(Answered::of(response).await);
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        self.text.clear();
        self.response = Some(response);
        Ok(())
    }

    /// Reads on; whether there is a stream yet.
    async fn read(&mut self) -> bool {
        let Some(response) = &mut self.response else { return false };
        let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await.expect("nothing comes any more");
        let Ok(Some(chunk)) = chunk else {
            self.response = None;
            return false;
        };
        self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        while let Some(end) = self.text.find("\n\n") {
            let block: String = self.text.drain(..end + 2).collect();
            for line in block.lines() {
                if let Some(id) = line.strip_prefix("id: ") {
                    self.last_id = Some(id.to_owned());
                }
                if let Some(data) = line.strip_prefix("data: ") {
                    self.events.push(serde_json::from_str(data).expect("JSON"));
                }
            }
        }
        true
    }

    /// Reads until there are so many events, coming back to one of these gateways where a stream ends.
    pub async fn until(&mut self, count: usize, bases: &[&str]) {
        while self.events.len() < count {
            if !self.read().await {
                self.come_back(bases).await;
            }
        }
        assert_eq!(self.events.len(), count);
    }

    /// To the first gateway that is there.
    async fn come_back(&mut self, bases: &[&str]) {
        for base in bases {
            if self.client.get(format!("{base}/livez")).send().await.is_ok() {
                self.comebacks += 1;
                return self.connect(base).await.expect("a stream");
            }
        }
        panic!("no gateway is there any more");
    }

    pub fn versions(&self) -> Vec<i64> {
        self.events.iter().map(|event| event["version"].as_i64().expect("a version")).collect()
    }
}

async fn deposit(shop: &Served, id: &str) {
    let answered = Answered::to(shop.post(&format!("/till/{id}/Deposit"), &json!({"amount": 1}))).await;
    assert_eq!(answered.status, 200, "{answered:?}");
}

#[tokio::test]
async fn a_stream_has_the_events_of_one_aggregate_from_now_on_or_from_the_first() {
    let shop = Served::new().await;
    deposit(&shop, "till-1").await;
    let mut now = Listener::to(&shop, "/events?aggregate=till&id=till-1").await;
    let mut all = Listener::to(&shop, "/events?aggregate=till&id=till-1&from=earliest").await;
    for _ in 0..3 {
        deposit(&shop, "till-1").await;
        deposit(&shop, "till-2").await;
    }
    now.until(3, &[]).await;
    all.until(4, &[]).await;
    assert_eq!(now.versions(), [2, 3, 4]);
    assert_eq!(all.versions(), [1, 2, 3, 4]);
    assert_eq!((&all.events[0]["event"], &all.events[0]["data"]["balance"]), (&json!("Moved"), &json!(1)));
    shop.close().await;
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing_and_has_nothing_twice() {
    let shop = Served::new().await;
    let mut listener = Listener::to(&shop, "/events?aggregate=till&id=till-1").await;
    for round in 1..=20 {
        deposit(&shop, "till-1").await;
        listener.until(round, &[]).await;
        deposit(&shop, "till-2").await;
        if round % 5 == 0 {
            listener.response = None;
            listener.connect(&shop.base).await.expect("a stream");
        }
    }
    assert_eq!(listener.versions(), (1..=20).collect::<Vec<_>>());
    shop.close().await;
}

#[tokio::test]
async fn an_idle_stream_says_that_it_is_alive_and_where_to_go_on() {
    let heartbeat = "20ms".parse().expect("a time");
    let shop = Served::with(HttpSettings { heartbeat, ..HttpSettings::default() }).await;
    let partition = |id: &str| shop.shop.calls().engine().partition_of(id);
    let other = (2..1000).map(|number| format!("till-{number}")).find(|id| partition(id) == partition("till-1"));
    let mut listener = Listener::to(&shop, "/events?aggregate=till&id=till-1").await;
    let begun = listener.last_id.clone();
    deposit(&shop, &other.expect("some till of the same partition")).await;
    while listener.last_id == begun {
        assert!(listener.read().await);
    }
    assert!(listener.events.is_empty());
    shop.close().await;
}

#[tokio::test]
async fn what_cannot_be_streamed_is_answered_with_the_reason() {
    let shop = Served::new().await;
    let get = |path: &'static str| Answered::to(shop.get(path));
    get("/events").await.is_problem(400, "bad_input");
    get("/events?aggregate=till").await.is_problem(400, "bad_input");
    get("/events?aggregate=till&id=till-1&partition=1").await.is_problem(400, "bad_input");
    get("/events?aggregate=till&partition=8").await.is_problem(400, "bad_input");
    get("/events?aggregate=till&id=safe").await.is_problem(400, "bad_input");
    get("/events?aggregate=till&id=till-1&form=earliest").await.is_problem(400, "bad_input");
    get("/events?aggregate=till&id=till-1&from=here").await.is_problem(400, "bad_input");
    get("/events?aggregate=tilt&id=till-1").await.is_problem(404, "unknown_aggregate");
    let resume = |id: String| Answered::to(shop.get("/events?aggregate=till&partition=3").header("last-event-id", id));
    for id in ["3", "till/4@0", "safe/3@0", "till/3@-1", "till/3@x"] {
        resume(id.to_owned()).await.is_problem(400, "bad_input");
    }
    resume("till/3@1000000".to_owned()).await.is_problem(400, "foreign_position");
    shop.close().await;
}

#[tokio::test]
async fn streams_are_bounded_and_one_that_ends_makes_room() {
    let shop = Served::with(HttpSettings { streams: 1, ..HttpSettings::default() }).await;
    let path = "/events?aggregate=till&partition=0";
    let listener = Listener::to(&shop, path).await;
    let refused = Answered::to(shop.get(path)).await;
    refused.is_problem(503, "busy");
    assert_eq!(refused.header("retry-after"), "1");
    drop(listener);
    let deadline = headwater::clock::instant() + PATIENCE;
    while shop.get(path).send().await.expect("an answer").status() != 200 {
        assert!(headwater::clock::instant() < deadline, "no room is made");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_listeners_hear_every_event_and_go_to_another_gateway_when_theirs_is_gone() {
    const LISTENERS: usize = 1000;
    const EVENTS: usize = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let http = HttpSettings { concurrency_per_client: 0, ..HttpSettings::default() };
    let one = Served::on(settings(folder.path(), http.clone())).await;
    // The second has the same log, through the first process' address.
    let other = Served::on(settings(folder.path(), http)).await;
    let (here, there) = (one.base.clone(), other.base.clone());
    let tills: BTreeSet<_> = (0..10).map(|number| format!("till-{number}")).collect();
    let mut listening = Vec::new();
    for number in 0..LISTENERS {
        let shop = if number % 2 == 0 { &one } else { &other };
        let path = format!("/events?aggregate=till&id=till-{}", number % tills.len());
        let bases = [here.clone(), there.clone()];
        let mut listener = Listener::to(shop, &path).await;
        listening.push(tokio::spawn(async move {
            listener.until(EVENTS, &[&bases[0], &bases[1]]).await;
            (listener.versions(), listener.comebacks)
        }));
    }
    let Served { gateway, .. } = other;
    let mut gateway = Some(gateway);
    for round in 0..EVENTS {
        for till in &tills {
            deposit(&one, till).await;
        }
        if round == EVENTS / 2 {
            // As if its process were gone: every stream is cut wherever it is.
            drop(gateway.take());
        }
    }
    let expected: Vec<i64> = (1..=i64::try_from(EVENTS).expect("few")).collect();
    for (number, listener) in listening.into_iter().enumerate() {
        let (versions, comebacks) = listener.await.expect("it listened");
        assert_eq!((versions, comebacks), (expected.clone(), number % 2), "listener {number}");
    }
    one.close().await;
}
