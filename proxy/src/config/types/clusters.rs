//! What is said of clusters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use balance::{Balance, Balancing, Standing};
pub use health::*;
pub use limits::{Breakers, ClusterLimits};
pub use retry::{ATTEMPTS_MAX, Occasion, Occasions, Retry, RetryBudget, STATUSES_MAX};

use super::tls::ClientTls;
use crate::config::defaults;

mod balance;
mod health;
mod limits;
mod retry;

/// `[clusters.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    pub endpoints: Vec<Endpoint>,
    /// A service whose SRV records name further ones.
    pub srv: Option<Arc<str>>,
    /// A file that lists further ones.
    pub endpoints_file: Option<Arc<Path>>,
    /// It goes where the client was going before it was redirected, and lists nothing.
    pub original_destination: bool,
    /// What connections to its endpoints are marked with, for firewalls and routes.
    pub mark: Option<u32>,
    pub balance: Balance,
    pub balancing: Balancing,
    /// Where the proxy itself is; the top of the file says it.
    pub zone: Option<Arc<str>>,
    pub protocol: UpstreamProtocol,
    /// Without it, plain text.
    pub tls: Option<ClientTls>,
    pub limits: ClusterLimits,
    pub breakers: Breakers,
    pub retry: Retry,
    pub retry_budget: RetryBudget,
    pub timeouts: ClusterTimeouts,
    /// Without it nobody asks endpoints how they are.
    pub health: Option<HealthCheck>,
    pub outliers: Outliers,
    /// Series of its own for each endpoint.
    pub endpoint_metrics: bool,
}

impl Cluster {
    /// With these endpoints and every default.
    pub fn of(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            srv: None,
            endpoints_file: None,
            original_destination: false,
            mark: None,
            balance: Balance::LeastRequest,
            balancing: Balancing::default(),
            zone: None,
            protocol: UpstreamProtocol::Auto,
            tls: None,
            limits: ClusterLimits::default(),
            breakers: Breakers::default(),
            retry: Retry::default(),
            retry_budget: RetryBudget::default(),
            timeouts: ClusterTimeouts::default(),
            health: None,
            outliers: Outliers::default(),
            endpoint_metrics: false,
        }
    }
}

/// `"10.0.0.1:8080"`, or `{ address = "10.0.0.1:8080", weight = 2, labels = { zone = "a" } }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub at: EndpointSpec,
    /// Shared by all addresses of a name.
    pub labels: Arc<Labels>,
    /// The same.
    pub standing: Standing,
}

/// What an endpoint is, in words of the operator: `zone = "a"`, `version = "2"`.
pub type Labels = BTreeMap<String, String>;

/// `"10.0.0.1:8080"`, `"[::1]:80"` or `"users.internal:8080"`: a name stands for all of its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointSpec {
    Address(SocketAddr),
    Name { host: Arc<str>, port: u16 },
}

/// `protocol = "auto" | "http/1.1" | "h2"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// What TLS agrees on; HTTP/1.1 without TLS.
    Auto,
    Http1,
    Http2,
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

from_defaults!(ClusterTimeouts { connect: CONNECT, request: REQUEST, idle: UPSTREAM_IDLE });
