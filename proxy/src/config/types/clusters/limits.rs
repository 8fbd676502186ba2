//! How much of a cluster may be in use, and how much of one connection.

use crate::config::defaults;

/// `[clusters.NAME.limits]`, each for one worker and one endpoint unless it says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterLimits {
    pub idle_connections: usize,
    /// With `original-destination`: places to which a worker keeps connections.
    pub destinations: usize,
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

/// The keys of `[clusters.NAME.limits]` that hold for the cluster as a whole, over all workers. They are apart because a change
/// of them leaves the endpoints as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakers {
    /// Open, idle ones included. An exchange that needs one more waits for it.
    pub connections: usize,
    /// Exchanges that wait for a connection; one more is answered 503.
    pub pending: usize,
    /// Exchanges under way; one more is answered 503.
    pub requests: usize,
    /// Of them, those in a further attempt; one more keeps the answer that it has.
    pub retries: usize,
}

from_defaults!(ClusterLimits {
    idle_connections: UPSTREAM_IDLE_CONNECTIONS,
    destinations: DESTINATIONS,
    streams: UPSTREAM_STREAMS,
    stream_window_bytes: UPSTREAM_STREAM_WINDOW_BYTES,
    connection_window_bytes: UPSTREAM_CONNECTION_WINDOW_BYTES,
    header_bytes: UPSTREAM_HEADER_BYTES,
    header_count: UPSTREAM_HEADER_COUNT,
    buffer_bytes: UPSTREAM_BUFFER_BYTES,
    replay_bytes: REPLAY_BYTES,
});
from_defaults!(Breakers {
    connections: CLUSTER_CONNECTIONS,
    pending: CLUSTER_PENDING,
    requests: CLUSTER_REQUESTS,
    retries: CLUSTER_RETRIES,
});
