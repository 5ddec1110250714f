//! Who is let in, and how many at once: what finds no room is told so at once and never queued.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use hashbrown::HashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Gate;
use super::problem::Problem;
use crate::settings::{HttpSettings, Period, Secret};

/// The requests under way.
#[derive(Debug)]
pub struct Limits {
    all: Semaphore,
    streams: Arc<Semaphore>,
    /// By address; one without requests is not in it.
    clients: Arc<Clients>,
}

#[derive(Debug)]
struct Clients {
    most: usize,
    under_way: Mutex<HashMap<IpAddr, usize>>,
}

/// An event stream, for as long as it lives.
#[derive(Debug)]
pub struct StreamSeat {
    _seat: Seat,
    _room: OwnedSemaphorePermit,
}

/// One of a client's requests or streams, for as long as it lives.
#[derive(Debug)]
pub struct Seat {
    clients: Arc<Clients>,
    /// `None` where nobody is counted.
    client: Option<IpAddr>,
}

impl Limits {
    /// As the settings say.
    pub fn new(settings: &HttpSettings) -> Self {
        let clients = Clients { most: settings.concurrency_per_client, under_way: Mutex::default() };
        let streams = Arc::new(Semaphore::new(settings.streams));
        Self { all: Semaphore::new(settings.concurrency), streams, clients: Arc::new(clients) }
    }

    /// Room for one more event stream of a client.
    pub fn stream(&self, client: Option<IpAddr>) -> Result<StreamSeat, Problem> {
        let seat = self.seat(client)?;
        let room = self.streams.clone().try_acquire_owned();
        let room = room.map_err(|_| Problem::unavailable("busy", "too many event streams are open; try again"))?;
        metrics::gauge!("headwater_event_streams").increment(1.0);
        Ok(StreamSeat { _seat: seat, _room: room })
    }

    /// A seat for one more request or stream of a client.
    pub fn seat(&self, client: Option<IpAddr>) -> Result<Seat, Problem> {
        let client = client.filter(|_| self.clients.most > 0);
        if let Some(client) = client {
            let mut under_way = self.clients.under_way();
            let count = under_way.entry(client).or_default();
            if *count == self.clients.most {
                let detail = format!("{} requests of this address are under way already", self.clients.most);
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail);
                return Err(problem.retry_after(std::time::Duration::from_secs(1)));
            }
            *count += 1;
        }
        Ok(Seat { clients: self.clients.clone(), client })
    }
}

impl Clients {
    fn under_way(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StreamSeat {
    fn drop(&mut self) {
        metrics::gauge!("headwater_event_streams").decrement(1.0);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut under_way = self.clients.under_way();
        if let Some(count) = under_way.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&client);
            }
        }
    }
}

/// Where a request comes from.
pub fn client_of(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// Turns away what is too much.
pub async fn bounded(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Result<Response, Problem> {
    let _seat = gate.limits.seat(client_of(&request))?;
    let room = gate.limits.all.try_acquire();
    let _room = room.map_err(|_| Problem::unavailable("busy", "too many requests are under way; try again"))?;
    // Whatever a request waits for has its own bound; this is for the routes of applications.
    let longest = gate.settings.longest_wait.0 + gate.settings.transfer_timeout.0;
    let answered = tokio::time::timeout(longest, next.run(request)).await;
    answered.map_err(|_| {
        let detail = format!("the request took longer than {}", Period(longest));
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "request_timeout", detail)
    })
}

/// Turns away who has no right: nobody has where no token is set.
pub async fn authorized(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Result<Response, Problem> {
    let HttpSettings { token, read_token, .. } = &gate.settings;
    if token.is_none() && read_token.is_none() {
        return Ok(next.run(request).await);
    }
    let given = request.headers().get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let given = given.and_then(|it| it.strip_prefix(b"Bearer ")).unwrap_or_default();
    let is = |token: &Option<Secret>| token.as_ref().is_some_and(|token| same(given, token.expose().as_bytes()));
    if is(token) {
        return Ok(next.run(request).await);
    }
    if !is(read_token) {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "bring a token: Authorization: Bearer …");
        return Err(problem.with_header(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer")));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "this token is for reading only"));
    }
    Ok(next.run(request).await)
}

/// Takes as long for a token that is nearly right as for one that is all wrong.
fn same(given: &[u8], token: &[u8]) -> bool {
    let differences = given.iter().zip(token).fold(0, |differences, (one, other)| differences | (one ^ other));
    given.len() == token.len() && !token.is_empty() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_seats_and_no_more() {
        let limits = Limits::new(&HttpSettings { concurrency_per_client: 2, ..HttpSettings::default() });
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let seats = [limits.seat(Some(one)), limits.seat(Some(one))];
        assert_eq!(limits.seat(Some(one)).expect_err("a third").status(), StatusCode::TOO_MANY_REQUESTS);
        limits.seat(Some(other)).expect("another client");
        drop(seats);
        limits.seat(Some(one)).expect("there is room again");
        assert!(limits.clients.under_way().is_empty());
    }

    #[test]
    fn a_token_is_all_of_it() {
        assert!(same(b"secret", b"secret"));
        for given in [b"".as_slice(), b"secre", b"secret1", b"Secret"] {
            assert!(!same(given, b"secret"));
        }
        assert!(!same(b"", b""));
    }
}
