//! What a listener is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{ListenerProtocol, ProxyHeaders, ServerTls, Tcp, defaults};

/// `[listeners.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    pub listen: SocketAddr,
    pub protocol: ListenerProtocol,
    /// Its clients are redirected to it: where they were going is asked of the system.
    pub original_destination: bool,
    pub tls: Option<ServerTls>,
    /// The chain: names of `[filters.…]`, in the order in which request hooks run.
    pub filters: Vec<Arc<str>>,
    /// Where an exchange goes when no filter says otherwise; `None`: 404.
    pub cluster: Option<Arc<str>>,
    /// Peers whose X-Forwarded-* fields are believed.
    pub trusted: Vec<ipnet::IpNet>,
    /// Whether trusted peers say who their clients are.
    pub proxy_protocol: ProxyHeaders,
    /// Where connections go that are no HTTP.
    pub tcp: Tcp,
    pub paths: Paths,
    /// `header-underscores = "reject" | "pass"`: field names with `_` are 400, or go on.
    pub reject_underscores: bool,
    /// The field in which clients tell how long they wait; `None`: none.
    pub timeout_header: Option<http::HeaderName>,
    /// `access-log = "on" | "off"`: its exchanges have lines, as far as `[access-log]` says, or none.
    pub access_log: bool,
    pub limits: ListenerLimits,
    pub timeouts: ListenerTimeouts,
}

/// `paths = { normalize = true, merge-slashes = true, escaped-slashes = "reject" }`
#[derive(Debug, Clone, PartialEq)]
pub struct Paths {
    /// Escapes that change nothing are decoded (RFC 3986, 6.2.2.2) and dot segments removed (5.2.4) before any filter sees the path.
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
    /// TLS handshakes at once; further ones wait.
    pub handshakes: usize,
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
    /// What a peer says of its client, by the PROXY protocol.
    pub proxy_header_bytes: usize,
    /// The first message of a TLS connection that passes through.
    pub client_hello_bytes: usize,
    /// What is read at once of a raw connection, in each direction.
    pub tcp_buffer_bytes: usize,
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
    /// An HTTP/1 connection without an exchange gives its buffers back.
    pub rest: Duration,
    /// A connection older than this is drained after its present exchanges.
    pub connection_age: Duration,
    /// Nothing moved in either direction of an exchange that is past its head.
    pub stream_idle: Duration,
    /// Nothing moved in either direction after an upgrade.
    pub upgrade_idle: Duration,
    /// Nothing moved in either direction of a raw connection.
    pub tcp_idle: Duration,
    pub proxy_header: Duration,
    /// No datagram in either direction of a session.
    pub udp_idle: Duration,
}

from_defaults!(ListenerLimits {
    connections: LISTENER_CONNECTIONS,
    handshakes: HANDSHAKES,
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
    proxy_header_bytes: PROXY_HEADER_BYTES,
    client_hello_bytes: CLIENT_HELLO_BYTES,
    tcp_buffer_bytes: TCP_BUFFER_BYTES,
    pending_resets: PENDING_RESETS,
    local_resets: LOCAL_RESETS,
});
from_defaults!(ListenerTimeouts {
    tls_handshake: TLS_HANDSHAKE,
    protocol_detect: PROTOCOL_DETECT,
    request_headers: REQUEST_HEADERS,
    progress: PROGRESS,
    idle: DOWNSTREAM_IDLE,
    rest: DOWNSTREAM_REST,
    connection_age: CONNECTION_AGE,
    stream_idle: STREAM_IDLE,
    upgrade_idle: UPGRADE_IDLE,
    tcp_idle: TCP_IDLE,
    proxy_header: PROXY_HEADER,
    udp_idle: UDP_IDLE,
});
from_defaults!(Paths {
    normalize: NORMALIZE_PATHS,
    merge_slashes: MERGE_SLASHES,
    reject_escaped_slashes: REJECT_ESCAPED_SLASHES,
});
