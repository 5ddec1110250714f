//! `GET /events`: Server-Sent Events of one aggregate, or of one partition.
//!
//! The id of an event says where to go on after it: `account/3@1043` is the offset after its own. A client
//! that comes back with `Last-Event-ID`, to this gateway or another, misses none and has none twice. The id is
//! told at the beginning and with each heartbeat too, so that whoever waits long reads nothing again.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures::Stream;

use super::Gate;
use super::limits::{StreamSeat, client_of};
use super::problem::Problem;
use super::server::Leaving;
use crate::clock;
use crate::engine::{AggregateGate, FeedError, FeedEvent, ReadersError, Start, Subscription};
use crate::position::{Offset, Partition};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// When a client that lost its stream comes back, in milliseconds.
const RETRY_MS: u32 = 1000;

/// What is to be streamed.
struct Asked {
    aggregate: Arc<dyn AggregateGate>,
    partition: Partition,
    id: Option<String>,
    start: Start,
}

/// Streams events until the client goes away, or the gateway does.
pub async fn stream(
    State(gate): State<Arc<Gate>>,
    fields: Result<UrlQuery<HashMap<String, String>>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let UrlQuery(fields) = fields?;
    let asked = gate.asked(&fields, request.headers())?;
    let seat = gate.limits.stream(client_of(&request))?;
    let Asked { aggregate, partition, id, start } = asked;
    let subscription = gate.feeds.subscribe(&aggregate, partition, id, start).await?;
    let stream = EventStream {
        place: format!("{}/{partition}", aggregate.name()),
        subscription,
        heartbeat: gate.settings.heartbeat.0,
        leaving: gate.leaving.clone(),
        begun: false,
        told: Offset::ZERO,
        _seat: seat,
    };
    let mut response = Response::new(Body::from_stream(stream.into_stream()));
    let heads = response.headers_mut();
    heads.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    heads.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Nginx, and others after it, hold a stream back otherwise.
    heads.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

impl Gate {
    fn asked(&self, fields: &HashMap<String, String>, heads: &HeaderMap) -> Result<Asked, Problem> {
        const KNOWN: [&str; 4] = ["aggregate", "id", "partition", "from"];
        if let Some(unknown) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(Problem::bad_field(&format!("/{unknown}"), format!("there is {}", KNOWN.join(", "))));
        }
        let engine = self.calls.engine();
        let name = fields.get("aggregate").ok_or_else(|| Problem::bad_field("/aggregate", "is required"))?;
        let aggregate = self.aggregate(name)?.clone();
        let (partition, id) = match (fields.get("id"), fields.get("partition")) {
            (Some(id), None) => {
                aggregate.check_id(id)?;
                (engine.partition_of(id), Some(id.clone()))
            }
            (None, Some(partition)) => (partition_of(partition, engine.topology.partitions)?, None),
            _ => return Err(Problem::bad_input("say either id or partition")),
        };
        let start = match heads.get(LAST_EVENT_ID) {
            Some(last) => Start::At(resumed(last, name, partition)?),
            None => first(fields.get("from").map(String::as_str))?,
        };
        Ok(Asked { aggregate, partition, id, start })
    }
}

fn partition_of(text: &str, partitions: i32) -> Result<Partition, Problem> {
    let number = text.parse().ok().filter(|number| (0..partitions).contains(number));
    let rule = || format!("must be a partition: 0 to {}", partitions - 1);
    number.map(Partition).ok_or_else(|| Problem::bad_field("/partition", rule()))
}

fn first(from: Option<&str>) -> Result<Start, Problem> {
    match from {
        None | Some("latest") => Ok(Start::Latest),
        Some("earliest") => Ok(Start::Earliest),
        Some(_) => Err(Problem::bad_field("/from", "must be earliest or latest")),
    }
}

/// The offset to go on at, of an id that was given by any gateway for the same partition.
fn resumed(last: &HeaderValue, aggregate: &str, partition: Partition) -> Result<Offset, Problem> {
    let parse = || {
        let (place, offset) = last.to_str().ok()?.trim().split_once('@')?;
        let offset = offset.parse().ok().filter(|offset| *offset >= 0)?;
        (place == format!("{aggregate}/{partition}")).then_some(Offset(offset))
    };
    parse().ok_or_else(|| Problem::bad_header(&LAST_EVENT_ID, "must be the id of an event of this very stream"))
}

struct EventStream {
    /// The partition, as ids have it.
    place: String,
    subscription: Subscription,
    heartbeat: Duration,
    leaving: Leaving,
    begun: bool,
    /// The last offset that the client was told.
    told: Offset,
    _seat: StreamSeat,
}

impl EventStream {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        futures::stream::unfold(self, |mut stream| async move { stream.next().await.map(|text| (Ok(text), stream)) })
    }

    /// The next text to send, or nothing at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(self.beginning());
        }
        // Events of others in the partition are no sign of life for the client.
        let heartbeat = clock::instant() + self.heartbeat;
        loop {
            tokio::select! {
                () = self.leaving.announced() => return None,
                heard = tokio::time::timeout_at(heartbeat.into(), self.subscription.events()) => match heard {
                    Ok(Ok(events)) if events.is_empty() && clock::instant() < heartbeat => {}
                    Ok(Ok(events)) if events.is_empty() => return Some(self.sign_of_life()),
                    Ok(Ok(events)) => return Some(self.rendered(&events)),
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "an event stream ends");
                        return None;
                    }
                    Err(_) => return Some(self.sign_of_life()),
                }
            }
        }
    }

    /// A text without data is no event, but its id counts.
    fn beginning(&mut self) -> Bytes {
        self.told = self.subscription.next_offset();
        format!("retry: {RETRY_MS}\nid: {}@{}\n\n", self.place, self.told).into()
    }

    fn sign_of_life(&mut self) -> Bytes {
        let next = self.subscription.next_offset();
        if std::mem::replace(&mut self.told, next) == next {
            return Bytes::from_static(b":\n\n");
        }
        format!("id: {}@{next}\n\n", self.place).into()
    }

    fn rendered(&mut self, events: &[Arc<FeedEvent>]) -> Bytes {
        let mut text = String::with_capacity(events.len() * 512);
        for event in events {
            let json = event.json.as_deref().unwrap_or_default();
            self.told = event.offset.next();
            let _ = write!(text, "id: {}@{}\ndata: {json}\n\n", self.place, self.told);
        }
        text.into()
    }
}

impl From<FeedError> for Problem {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Readers(ReadersError::Log(error)) => error.into(),
            FeedError::Readers(ReadersError::Busy) | FeedError::Ended => Self::unavailable("busy", error.to_string()),
            FeedError::OutOfRange { .. } => Self::new(StatusCode::BAD_REQUEST, "foreign_position", error.to_string()),
            FeedError::Unreadable { .. } => Self::internal(&error),
        }
    }
}
