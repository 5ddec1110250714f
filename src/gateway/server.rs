//! Connections: taken, bounded, and closed in good order.
//!
//! What it promises: no more connections than there may be; one that does not send the head of a request in
//! time, or does not read what is written to it, is closed; when it leaves, whoever sends meanwhile is
//! answered.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::settings::HttpSettings;

/// What a connection too many is told: its body is written out here, since no request of it is read.
const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\r\n\
    there are too many connections; try again\n";

/// The least that hyper takes for the buffer of a connection.
const LEAST_BUFFER: usize = 8192;

/// How long to wait after a connection could not be taken: no file descriptor may be left.
const ACCEPT_WAIT: Duration = Duration::from_millis(50);

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; set `http.listen` to another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Whether this process is leaving, for all who have to know.
#[derive(Clone, Debug, Default)]
pub struct Leaving(Arc<LeavingState>);

#[derive(Debug, Default)]
struct LeavingState {
    announced: AtomicBool,
    told: watch::Sender<bool>,
}

impl Leaving {
    /// Whether it is.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.0.announced.load(Ordering::Relaxed)
    }

    /// Waits until it is.
    pub async fn announced(&self) {
        // The sender lives as long as this value.
        let _ = self.0.told.subscribe().wait_for(|told| *told).await;
    }

    fn announce(&self) {
        self.0.announced.store(true, Ordering::Relaxed);
        self.0.told.send_replace(true);
    }
}

/// A router that is served. Dropping it cuts every connection; [`stop`](Self::stop) leaves in good order.
pub struct Server {
    address: SocketAddr,
    leaving: Leaving,
    /// Ends the taking of connections.
    last_call: watch::Sender<bool>,
    accepting: Accepting,
    settings: HttpSettings,
}

/// The task that takes connections; those are cut with it.
struct Accepting(JoinHandle<Connections>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connections with what is under way on them.
#[derive(Default)]
struct Connections {
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
}

impl Server {
    /// Listens, and serves a router. Must be called within a tokio runtime.
    pub async fn start(settings: &HttpSettings, router: Router, leaving: Leaving) -> Result<Self, ServeError> {
        let (listener, address) = listen(settings.listen).await?;
        let told = leaving.clone();
        let router =
            router.layer(axum::middleware::from_fn(move |request, next| say_farewell(told.clone(), request, next)));
        let (last_call, called) = watch::channel(false);
        let accepting = Accepting(tokio::spawn(accept(listener, router, settings.clone(), called)));
        Ok(Self { address, leaving, last_call, accepting, settings: settings.clone() })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leaves in good order: for a while each connection is closed with its next answer, then no new one is
    /// taken and what is under way is finished, for as long as the settings allow.
    pub async fn stop(self) {
        let Self { leaving, last_call, mut accepting, settings, .. } = self;
        leaving.announce();
        tokio::time::sleep(settings.leave_notice.0).await;
        last_call.send_replace(true);
        let Ok(Connections { graceful, mut tasks }) = (&mut accepting.0).await else {
            tracing::error!("the task that takes connections ended early");
            return;
        };
        if tokio::time::timeout(settings.leave_timeout.0, graceful.shutdown()).await.is_err() {
            while tasks.try_join_next().is_some() {}
            tracing::warn!(connections = tasks.len(), after = %settings.leave_timeout, "left with requests under way");
        }
    }
}

/// Listens there; if nobody says where, at the usual address, or at any if that one is taken.
async fn listen(at: Option<SocketAddr>) -> Result<(TcpListener, SocketAddr), ServeError> {
    let usual = at.unwrap_or(HttpSettings::USUAL);
    let failed = |source| ServeError::Listen { address: usual, source };
    let listener = match TcpListener::bind(usual).await {
        Err(error) if at.is_none() && error.kind() == io::ErrorKind::AddrInUse => {
            tracing::info!(address = %usual, "is taken; set http.listen to choose another address");
            TcpListener::bind(SocketAddr::new(usual.ip(), 0)).await
        }
        bound => bound,
    };
    let listener = listener.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// A connection that is closed with an answer cannot meet a request that is on its way.
async fn say_farewell(leaving: Leaving, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if leaving.is_announced() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn accept(
    listener: TcpListener,
    router: Router,
    settings: HttpSettings,
    mut last_call: watch::Receiver<bool>,
) -> Connections {
    let mut connections = Connections::default();
    let taking = Taking::new(router, settings);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.tasks.join_next() => continue,
            _ = last_call.wait_for(|called| *called) => break,
        };
        match accepted {
            Ok(accepted) => taking.take(accepted, &mut connections),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_WAIT).await;
            }
        }
    }
    // Those that the system has taken already would be cut with the listener.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        taking.take(accepted, &mut connections);
    }
    connections
}

/// What every connection is taken with.
struct Taking {
    router: Router,
    settings: HttpSettings,
    http: http1::Builder,
    room: Arc<Semaphore>,
}

impl Taking {
    fn new(router: Router, settings: HttpSettings) -> Self {
        let (room, http) = (Arc::new(Semaphore::new(settings.connections)), http(&settings));
        Self { router, settings, http, room }
    }

    fn take(&self, (stream, peer): (TcpStream, SocketAddr), connections: &mut Connections) {
        let Ok(place) = self.room.clone().try_acquire_owned() else { return turn_away(stream) };
        let _ = stream.set_nodelay(true);
        let service = self.router.clone().map_request(move |request: Request<hyper::body::Incoming>| {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            request
        });
        let stream = patient(stream, self.settings.transfer_timeout.0);
        let serving = self.http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let watched = connections.graceful.watch(serving);
        connections.tasks.spawn(async move {
            let _place = place;
            if let Err(error) = watched.await {
                tracing::debug!(%error, %peer, "a connection ended early");
            }
        });
    }
}

fn http(settings: &HttpSettings) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.idle_timeout.0)
        .max_headers(settings.headers)
        .max_header_size(settings.header_bytes)
        // No `pipeline_flush`: it would keep back what a head that cannot be read is answered with.
        .max_buf_size(settings.header_bytes.max(LEAST_BUFFER));
    http
}

/// A peer that does not read what is written to it is given up.
fn patient(stream: TcpStream, wait: Duration) -> std::pin::Pin<Box<TimeoutStream<TcpStream>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(wait));
    Box::pin(stream)
}

/// Says so without waiting for anything.
fn turn_away(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(FULL.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_on_one_machine_both_listen_unless_they_are_told_where() {
        let (first, one) = listen(None).await.expect("it listens");
        let (_second, other) = listen(None).await.expect("it listens");
        assert_ne!(one, other);
        assert!(matches!(listen(Some(one)).await, Err(ServeError::Listen { address, .. }) if address == one));
        drop(first);
    }
}
