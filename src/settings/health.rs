//! Where a worker is asked how it is.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Where a worker without a gateway answers `/livez`, `/readyz`, `/healthz` and `/metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSettings {
    /// Where it listens; port 0 takes any that is free. Unset, it is 127.0.0.1:9464, if that is free. A
    /// gateway answers as well, at `http.listen`.
    pub listen: Option<SocketAddr>,
}
