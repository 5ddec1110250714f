//! What can be set about the HTTP face.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Origins, Period, Secret};

/// How the gateway listens, and what it takes of everybody. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Where it listens; port 0 takes any that is free. Unset, it is 127.0.0.1:8080, or another port if that one
    /// is taken: by another worker on this machine, for example.
    pub listen: Option<SocketAddr>,
    /// Who does not bring this text as a bearer token is turned away, except from health, metrics and the
    /// description of the API. Unset, everybody is let in.
    pub token: Option<Secret>,
    /// With this one as a bearer token one may read, and not send commands.
    pub read_token: Option<Secret>,
    /// Origins whose pages may call from a browser, separated by commas, or `*`. Unset, none may.
    pub cors: Option<Origins>,
    /// Whether answers are compressed for those who take gzip.
    pub compression: bool,
    /// The largest body of a request.
    pub body_bytes: usize,
    /// The largest head of a request: its line and its headers.
    pub header_bytes: usize,
    /// The most headers of a request.
    pub headers: usize,
    /// How long a connection may be idle, or take for the head of a request.
    pub idle_timeout: Period,
    /// How long a client may take to send a body, or to read what is written to it.
    pub transfer_timeout: Period,
    /// The most connections at once.
    pub connections: usize,
    /// The most requests at once; event streams count until they begin.
    pub concurrency: usize,
    /// The most requests and event streams at once from one address; 0 sets no limit, for a gateway behind a
    /// proxy.
    pub concurrency_per_client: usize,
    /// The most commands under way at once.
    pub in_flight: usize,
    /// How long a request waits for its outcome, or for a view, if it does not say so with `Prefer: wait`.
    pub wait: Period,
    /// The longest that a request may ask to wait.
    pub longest_wait: Period,
    /// The most event streams at once.
    pub streams: usize,
    /// How often an idle event stream says that it is alive.
    pub heartbeat: Period,
    /// When leaving: for how long connections are closed one by one, with their next answer, before no new
    /// one is taken; so that whoever sends meanwhile is answered.
    pub leave_notice: Period,
    /// When leaving: how long requests under way may still take.
    pub leave_timeout: Period,
}

impl HttpSettings {
    /// Where a gateway listens that is not told where, if it can.
    pub const USUAL: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: None,
            token: None,
            read_token: None,
            cors: None,
            compression: false,
            body_bytes: 1024 * 1024,
            header_bytes: 16 * 1024,
            headers: 64,
            idle_timeout: Period(Duration::from_secs(30)),
            transfer_timeout: Period(Duration::from_secs(10)),
            connections: 10_000,
            concurrency: 2_000,
            concurrency_per_client: 1_000,
            in_flight: 1_000,
            wait: Period(Duration::from_secs(5)),
            longest_wait: Period(Duration::from_mins(1)),
            streams: 2_000,
            heartbeat: Period(Duration::from_secs(15)),
            leave_notice: Period(Duration::from_secs(1)),
            leave_timeout: Period(Duration::from_secs(20)),
        }
    }
}
