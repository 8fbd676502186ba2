//! How endpoints are found to be well or not.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::defaults;

/// `[clusters.NAME.health]`
#[derive(Debug, Clone, PartialEq)]
pub struct HealthCheck {
    pub probe: Probe,
    pub interval: Duration,
    pub timeout: Duration,
    /// Checks in a row that have to fail before an endpoint is out.
    pub unhealthy: u32,
    /// Checks in a row that have to succeed before it is in again.
    pub healthy: u32,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A connection is opened, and that is all.
    Tcp,
    Http(HttpProbe),
    /// `grpc.health.v1.Health/Check` for this service; empty: the server as a whole.
    Grpc {
        service: String,
    },
}

/// One request and what is expected of its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpProbe {
    pub method: HttpProbeMethod,
    /// Path and query.
    pub target: String,
    /// `None`: the address of the endpoint.
    pub host: Option<String>,
    pub statuses: Vec<RangeInclusive<u16>>,
    /// What the body has to contain.
    pub contains: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpProbeMethod {
    Get,
    Head,
    Options,
}

/// `[clusters.NAME.outliers]`. A count or percentage of zero switches its rule off.
#[derive(Debug, Clone, PartialEq)]
pub struct Outliers {
    /// Attempts in a row that found no connection, lost it, or had no answer in time.
    pub local_failures: u32,
    /// Answers in a row with 502, 503 or 504.
    pub gateway_errors: u32,
    /// Answers in a row with any status from 500 to 599.
    pub server_errors: u32,
    /// Of the attempts within `interval`, how many in a hundred may not fail.
    pub failure_percent: u32,
    /// Attempts within `interval` before `failure_percent` is looked at.
    pub failure_requests: u32,
    /// Whether endpoints are compared with each other.
    pub success_rate: bool,
    /// Attempts within `interval` that make an endpoint worth comparing.
    pub success_rate_requests: u32,
    /// Such endpoints before any is compared.
    pub success_rate_endpoints: usize,
    /// Standard deviations below the mean, in hundredths.
    pub success_rate_deviation_percent: u32,
    pub interval: Duration,
    /// Of the first ejection; each further one lasts that much longer.
    pub ejection: Duration,
    pub ejection_max: Duration,
    pub ejection_jitter: Duration,
    /// Of the endpoints of a cluster, how many in a hundred are ejected at a time.
    pub ejected_percent: u32,
}

from_defaults!(Outliers {
    local_failures: OUTLIER_LOCAL_FAILURES,
    gateway_errors: OUTLIER_GATEWAY_ERRORS,
    server_errors: OUTLIER_SERVER_ERRORS,
    failure_percent: OUTLIER_FAILURE_PERCENT,
    failure_requests: OUTLIER_FAILURE_REQUESTS,
    success_rate: OUTLIER_SUCCESS_RATE,
    success_rate_requests: OUTLIER_SUCCESS_RATE_REQUESTS,
    success_rate_endpoints: OUTLIER_SUCCESS_RATE_ENDPOINTS,
    success_rate_deviation_percent: OUTLIER_SUCCESS_RATE_DEVIATION_PERCENT,
    interval: OUTLIER_INTERVAL,
    ejection: OUTLIER_EJECTION,
    ejection_max: OUTLIER_EJECTION_MAX,
    ejection_jitter: OUTLIER_EJECTION_JITTER,
    ejected_percent: OUTLIER_EJECTED_PERCENT,
});
