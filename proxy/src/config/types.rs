//! What a configuration says, as plain data: no I/O, no runtime state, no atomics.
//!
//! Two values are equal when they would build the same part, which is how a new snapshot knows what to carry over.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::defaults;

/// Everything one instance of the proxy is told. Maps are keyed by the name in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Worker threads; `None` means one a core.
    pub workers: Option<usize>,
    pub admin: Option<Admin>,
    pub state: State,
    pub access_log: AccessLog,
    pub limits: ProcessLimits,
    pub drain: Drain,
    pub dns: Dns,
    pub listeners: BTreeMap<Arc<str>, Arc<Listener>>,
    pub clusters: BTreeMap<Arc<str>, Arc<Cluster>>,
    pub filters: BTreeMap<Arc<str>, Arc<Filter>>,
}

/// `[admin]`: the listener of the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Whoever wants to change something shows what this file holds; `None`: only from this machine.
    pub token_file: Option<PathBuf>,
}

/// `[state]`: what is pushed through the admin, and how much of it is remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Where it is kept; `None`: until the process ends.
    pub directory: Option<PathBuf>,
    /// Versions of a filter that can be gone back to, the live one included.
    pub versions: usize,
}

/// `[access-log]`: where one JSON line an exchange goes.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    pub output: AccessLogOutput,
    /// Lines that wait for a slow output before further ones are dropped and counted.
    pub queue: usize,
}

/// `output = "stdout" | "off" | "a/path.log"`
#[derive(Debug, Clone, PartialEq)]
pub enum AccessLogOutput {
    Stdout,
    Off,
    File(PathBuf),
}

/// `[limits]`: what holds for the whole process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessLimits {
    /// Downstream connections of all listeners; one more is closed at once.
    pub connections: usize,
    /// Exchanges under way; one more is answered 503 `overloaded`.
    pub exchanges: usize,
}

/// `[drain]`: how the proxy leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
    /// Between the moment `/ready` turns 503 and the moment listeners close.
    pub pre_stop: Duration,
    /// What is still under way after this long is cut.
    pub timeout: Duration,
}

/// `[dns]`: how names in `endpoints` are resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Dns {
    /// Empty: the servers of the system's resolv.conf.
    pub servers: Vec<SocketAddr>,
    pub query_timeout: Duration,
    /// An answer is asked again after its TTL, but not sooner than this.
    pub ttl_min: Duration,
    /// After a failed query the last good answer is kept and the next query waits this long.
    pub retry: Duration,
}

/// `[listeners.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    pub listen: SocketAddr,
    pub tls: Option<ServerTls>,
    /// The chain: names of `[filters.…]`, in the order in which request hooks run.
    pub filters: Vec<Arc<str>>,
    /// Where an exchange goes when no filter says otherwise; `None`: 404.
    pub cluster: Option<Arc<str>>,
    /// Peers whose X-Forwarded-* fields are believed.
    pub trusted: Vec<ipnet::IpNet>,
    pub paths: Paths,
    /// `header-underscores = "reject" | "pass"`: field names with `_` are 400, or go on.
    pub reject_underscores: bool,
    pub limits: ListenerLimits,
    pub timeouts: ListenerTimeouts,
}

/// `tls = { certificates = [{ chain = "edge.pem", key = "edge.key" }] }`
#[derive(Debug, Clone, PartialEq)]
pub struct ServerTls {
    /// Chosen by the names in each certificate; the first one also serves a client that names none or an unknown one.
    pub certificates: Vec<Certificate>,
}

/// Paths are relative to the file that names them.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// `paths = { normalize = true, merge-slashes = true, escaped-slashes = "reject" }`
#[derive(Debug, Clone, PartialEq)]
pub struct Paths {
    /// Dot segments are removed (RFC 3986, 5.2.4) before any filter sees the path.
    pub normalize: bool,
    /// `//` becomes `/` before any filter sees the path.
    pub merge_slashes: bool,
    /// `%2F` and `%5C` in a path are 400 (`"reject"`), or go on (`"keep"`).
    pub reject_escaped_slashes: bool,
}

/// `[listeners.NAME.limits]`
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerLimits {
    pub connections: usize,
    pub backlog: u32,
    pub header_bytes: usize,
    pub header_count: usize,
    pub header_value_bytes: usize,
    pub uri_bytes: usize,
    /// HTTP/1 only; 0 means no limit.
    pub requests_per_connection: u64,
    /// The read and write buffer of one HTTP/1 connection.
    pub buffer_bytes: usize,
    pub streams: u32,
    pub stream_window_bytes: u32,
    pub connection_window_bytes: u32,
    pub frame_bytes: u32,
    pub send_buffer_bytes: usize,
    /// Streams reset by the peer before they were accepted, after which the connection is ended.
    pub pending_resets: usize,
    /// Streams reset by this side because the peer broke the protocol, after which the connection is ended.
    pub local_resets: usize,
}

/// `[listeners.NAME.timeouts]`. Zero switches one off.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerTimeouts {
    pub tls_handshake: Duration,
    pub protocol_detect: Duration,
    pub request_headers: Duration,
    /// No byte of an awaited request body arrived, or no byte of a response could be written.
    pub progress: Duration,
    /// A connection without an exchange.
    pub idle: Duration,
    /// A connection older than this is drained after its present exchanges.
    pub connection_age: Duration,
    /// Nothing moved in either direction of an exchange that is past its head.
    pub stream_idle: Duration,
    /// Nothing moved in either direction after an upgrade.
    pub upgrade_idle: Duration,
}

/// `[clusters.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    pub endpoints: Vec<EndpointSpec>,
    pub balance: Balance,
    pub protocol: UpstreamProtocol,
    pub limits: ClusterLimits,
    pub timeouts: ClusterTimeouts,
}

/// `"10.0.0.1:8080"`, `"[::1]:80"` or `"users.internal:8080"`: a name stands for all of its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointSpec {
    Address(SocketAddr),
    Name { host: Arc<str>, port: u16 },
}

/// `balance = "round-robin" | "least-request"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
    LeastRequest,
}

/// `protocol = "http/1.1" | "h2"` (HTTP/2 by prior knowledge)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    Http1,
    Http2,
}

/// `[clusters.NAME.limits]`, each for one worker and one endpoint.
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

/// `[filters.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub module: ModuleSource,
    pub on_failure: OnFailure,
    /// CPU time one hook may use; waiting does not count.
    pub deadline: Duration,
    /// CPU time `configure` may use.
    pub configure_deadline: Duration,
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// What `configure` is given, as JSON.
    pub config: Arc<serde_json::Value>,
}

/// `module = "builtin:router"`, or a path relative to the file that names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModuleSource {
    Builtin(Arc<str>),
    Path(PathBuf),
}

/// What an exchange gets when the filter fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// 500 `filter-failed`.
    Closed,
    /// The exchange goes on as if the filter were not there.
    Open,
}

macro_rules! from_defaults {
    ($type:ident { $($field:ident: $constant:ident),+ $(,)? }) => {
        impl Default for $type {
            fn default() -> Self {
                Self { $($field: defaults::$constant),+ }
            }
        }
    };
}

from_defaults!(ProcessLimits { connections: CONNECTIONS, exchanges: EXCHANGES });
from_defaults!(Drain { pre_stop: DRAIN_PRE_STOP, timeout: DRAIN_TIMEOUT });
from_defaults!(ListenerLimits {
    connections: LISTENER_CONNECTIONS,
    backlog: LISTENER_BACKLOG,
    header_bytes: HEADER_BYTES,
    header_count: HEADER_COUNT,
    header_value_bytes: HEADER_VALUE_BYTES,
    uri_bytes: URI_BYTES,
    requests_per_connection: REQUESTS_PER_CONNECTION,
    buffer_bytes: BUFFER_BYTES,
    streams: STREAMS,
    stream_window_bytes: STREAM_WINDOW_BYTES,
    connection_window_bytes: CONNECTION_WINDOW_BYTES,
    frame_bytes: FRAME_BYTES,
    send_buffer_bytes: SEND_BUFFER_BYTES,
    pending_resets: PENDING_RESETS,
    local_resets: LOCAL_RESETS,
});
from_defaults!(ListenerTimeouts {
    tls_handshake: TLS_HANDSHAKE,
    protocol_detect: PROTOCOL_DETECT,
    request_headers: REQUEST_HEADERS,
    progress: PROGRESS,
    idle: DOWNSTREAM_IDLE,
    connection_age: CONNECTION_AGE,
    stream_idle: STREAM_IDLE,
    upgrade_idle: UPGRADE_IDLE,
});
from_defaults!(ClusterLimits {
    idle_connections: UPSTREAM_IDLE_CONNECTIONS,
    streams: UPSTREAM_STREAMS,
    stream_window_bytes: UPSTREAM_STREAM_WINDOW_BYTES,
    connection_window_bytes: UPSTREAM_CONNECTION_WINDOW_BYTES,
    header_bytes: UPSTREAM_HEADER_BYTES,
    header_count: UPSTREAM_HEADER_COUNT,
    buffer_bytes: UPSTREAM_BUFFER_BYTES,
});
from_defaults!(ClusterTimeouts { connect: CONNECT, request: REQUEST, idle: UPSTREAM_IDLE });
from_defaults!(Paths {
    normalize: NORMALIZE_PATHS,
    merge_slashes: MERGE_SLASHES,
    reject_escaped_slashes: REJECT_ESCAPED_SLASHES,
});

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            query_timeout: defaults::DNS_QUERY,
            ttl_min: defaults::DNS_TTL_MIN,
            retry: defaults::DNS_RETRY,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self { directory: None, versions: defaults::STATE_VERSIONS }
    }
}

impl Default for AccessLog {
    fn default() -> Self {
        Self { output: AccessLogOutput::Stdout, queue: defaults::ACCESS_LOG_QUEUE }
    }
}

impl std::fmt::Display for ModuleSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ModuleSource::Builtin(name) => write!(f, "builtin:{name}"),
            ModuleSource::Path(path) => path.display().fmt(f),
        }
    }
}
