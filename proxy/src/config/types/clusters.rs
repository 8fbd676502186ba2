//! What is said of clusters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use health::*;

use crate::config::defaults;

mod health;

/// `[clusters.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    pub endpoints: Vec<Endpoint>,
    /// A service whose SRV records name further ones.
    pub srv: Option<Arc<str>>,
    /// A file that lists further ones.
    pub endpoints_file: Option<Arc<Path>>,
    pub balance: Balance,
    pub protocol: UpstreamProtocol,
    pub limits: ClusterLimits,
    pub timeouts: ClusterTimeouts,
    /// Without it nobody asks endpoints how they are.
    pub health: Option<HealthCheck>,
    pub outliers: Outliers,
}

impl Cluster {
    /// With these endpoints and every default.
    pub fn of(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            srv: None,
            endpoints_file: None,
            balance: Balance::LeastRequest,
            protocol: UpstreamProtocol::Http1,
            limits: ClusterLimits::default(),
            timeouts: ClusterTimeouts::default(),
            health: None,
            outliers: Outliers::default(),
        }
    }
}

/// `"10.0.0.1:8080"`, or `{ address = "10.0.0.1:8080", labels = { zone = "a" } }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub at: EndpointSpec,
    /// Shared by all addresses of a name.
    pub labels: Arc<Labels>,
}

/// What an endpoint is, in words of the operator: `zone = "a"`, `version = "2"`.
pub type Labels = BTreeMap<String, String>;

/// `"10.0.0.1:8080"`, `"[::1]:80"` or `"users.internal:8080"`: a name stands for all of its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointSpec {
    Address(SocketAddr),
    Name { host: Arc<str>, port: u16 },
}

/// `balance = "round-robin" | "least-request" | "hash"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
    LeastRequest,
    /// By the key that a filter sets; `LeastRequest` for an exchange without one.
    Hash,
}

/// `protocol = "http/1.1" | "h2"` (HTTP/2 by prior knowledge)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    Http1,
    Http2,
}

/// `[clusters.NAME.limits]`, each for one worker and one endpoint unless it says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterLimits {
    pub idle_connections: usize,
    /// Exchanges on one HTTP/2 connection; a further connection is opened at 80 % of it.
    pub streams: u32,
    pub stream_window_bytes: u32,
    pub connection_window_bytes: u32,
    pub header_bytes: usize,
    pub header_count: usize,
    pub buffer_bytes: usize,
    /// What is kept of one request's body for a retry.
    pub replay_bytes: usize,
}

/// `[clusters.NAME.timeouts]`. Zero switches one off.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterTimeouts {
    pub connect: Duration,
    /// From the end of the request to the head of the response. Upgrades and gRPC have none unless somebody sets one.
    pub request: Duration,
    /// An upstream connection without an exchange.
    pub idle: Duration,
}

from_defaults!(ClusterLimits {
    idle_connections: UPSTREAM_IDLE_CONNECTIONS,
    streams: UPSTREAM_STREAMS,
    stream_window_bytes: UPSTREAM_STREAM_WINDOW_BYTES,
    connection_window_bytes: UPSTREAM_CONNECTION_WINDOW_BYTES,
    header_bytes: UPSTREAM_HEADER_BYTES,
    header_count: UPSTREAM_HEADER_COUNT,
    buffer_bytes: UPSTREAM_BUFFER_BYTES,
    replay_bytes: REPLAY_BYTES,
});
from_defaults!(ClusterTimeouts { connect: CONNECT, request: REQUEST, idle: UPSTREAM_IDLE });
